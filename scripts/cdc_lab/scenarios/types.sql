-- A column of each type that matters: usual values, the least, the most, none, and odd ones.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'so so', 'happy');
CREATE DOMAIN percent AS numeric(5, 2);
CREATE TABLE types (
    id integer PRIMARY KEY,
    small smallint, whole integer, big bigint,
    exact numeric(10, 2), wide numeric(38, 10), no_scale numeric(12), bare numeric,
    single real, double double precision, cash money, flag boolean,
    txt text, vchar varchar(20), fixed char(8), bin bytea,
    day date, clock time, clock3 time(3), clock_tz timetz,
    ts timestamp, ts0 timestamp(0), ts3 timestamp(3), ts6 timestamp(6),
    ts_tz timestamptz, ts_tz3 timestamptz(3), span interval,
    uid uuid, js json, jsb jsonb, feeling mood, share percent,
    ints integer[], bigs bigint[], texts text[], uids uuid[], exacts numeric(10, 2)[], bares numeric[],
    doubles double precision[], flags boolean[], days date[], stamps timestamp[], stamps_tz timestamptz[],
    feelings mood[], grid integer[][], documents jsonb[],
    ip inet, net cidr, mac macaddr, bit1 bit(1), bits bit(12), varbits bit varying(12),
    whole_range int4range, period tstzrange, place point
);
CREATE TABLE types_full (LIKE types INCLUDING ALL);
ALTER TABLE types_full REPLICA IDENTITY FULL;
INSERT INTO types VALUES (
    1, 7, 1234567, 9007199254740993,
    12345.67, 1234567890123456789012345678.0123456789, 123456789012, 3.14159,
    1.5, 0.1, 1234.56, true,
    'hello', 'varying', 'fixed', '\xdeadbeef00',
    '2024-02-29', '12:34:56.789012', '12:34:56.789', '12:34:56.789+02:30',
    '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.000001',
    '2024-02-29 12:34:56.789012+05:30', '2024-02-29 12:34:56.789-08', '1 year 2 mons 3 days 04:05:06.789',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1, "a": [1.10, 2e3, null], "b": 2}', '{"b": 1, "a": [1.10, 2e3, null]}', 'so so', 99.95,
    '{1,-2,3}', '{9007199254740993}', '{a,"b c","d,e"}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{1.10,22.22}', '{1.10,22.2222}',
    '{0.1,1e300}', '{t,f}', '{2024-02-29,1999-12-31}', '{"2024-02-29 12:34:56.789012"}', '{"2024-02-29 12:34:56.789012+00"}',
    '{sad,"so so"}', '{{1,2},{3,4}}', array['{"a": 1}'::jsonb],
    '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '1', '101010101010', '1010',
    '[1,10)', '["2024-01-01 00:00:00+00","2024-02-01 00:00:00+00")', '(1.5,-2.5)'
);
INSERT INTO types VALUES (
    2, -32768, -2147483648, -9223372036854775808,
    -99999999.99, -9999999999999999999999999999.9999999999, -999999999999, -0.000000000000000000000000000001,
    -3.4028235e38, -1.7976931348623157e308, '-92233720368547758.08', false,
    '', '', '', '\x',
    '0001-01-01', '00:00:00', '00:00:00', '00:00:00-15:59',
    '0001-01-01 00:00:00', '0001-01-01 00:00:00', '0001-01-01 00:00:00', '1969-12-31 23:59:59.999999',
    '0001-01-01 00:00:00+00', '1969-12-31 23:59:59.999+00', '-1 years -2 mons +3 days -04:05:06',
    '00000000-0000-0000-0000-000000000000', 'null', '[]', 'sad', -999.99,
    '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}',
    '::1', '::/0', '00:00:00:00:00:00', '0', '000000000001', '',
    'empty', '(,)', '(0,0)'
);
INSERT INTO types VALUES (
    3, 32767, 2147483647, 9223372036854775807,
    99999999.99, 9999999999999999999999999999.9999999999, 999999999999, 123456789012345678901234567890.123456789,
    3.4028235e38, 1.7976931348623157e308, '92233720368547758.07', true,
    E'line\nbreak, tab\t, quote " and '', backslash \\ and żółć 😀', 'żółć 😀', 'ż', '\x00ff',
    '9999-12-31', '23:59:59.999999', '23:59:59.999', '23:59:59.999999+15:59',
    '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '2262-04-11 23:47:16.854776',
    '9999-12-31 23:59:59.999999+00', '9999-12-31 23:59:59.999+00', '9999 years 11 mons 30 days 23:59:59.999999',
    'ffffffff-ffff-ffff-ffff-ffffffffffff', '"text"', '{"żółć": "😀", "n": 123456789012345678901234567890}', 'happy', 999.99,
    '{2147483647,NULL}', '{9223372036854775807,NULL}', '{NULL,"NULL","",żółć,"\"\\"}', '{NULL}', '{99999999.99,NULL}', '{NULL,1e30}',
    '{NULL}', '{t,NULL}', '{9999-12-31,NULL}', '{"9999-12-31 23:59:59.999999",NULL}', '{"9999-12-31 23:59:59.999999+00",NULL}',
    '{happy,NULL}', '{{1,NULL},{NULL,4}}', array['null'::jsonb, NULL],
    '2001:db8::ff00:42:8329/64', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', '1', '111111111111', '111111111111',
    '(,10]', '["2024-01-01 00:00:00+00",)', '(1e300,-1e-300)'
);
INSERT INTO types (id) VALUES (4);
INSERT INTO types_full SELECT * FROM types WHERE id = 1;

-- changes
INSERT INTO types_full SELECT * FROM types WHERE id = 3;
UPDATE types_full SET whole = whole - 1, bare = -bare, exact = NULL WHERE id = 1;
DELETE FROM types_full WHERE id = 3;
INSERT INTO types SELECT 5, small, whole, big, exact, wide, no_scale, bare, single, double, cash, flag, txt, vchar,
    fixed, bin, day, clock, clock3, clock_tz, ts, ts0, ts3, ts6, ts_tz, ts_tz3, span FROM types WHERE id = 1;
UPDATE types SET bare = 100, exact = 0, double = -0.0, single = '-0' WHERE id = 5;
DELETE FROM types WHERE id = 4;
