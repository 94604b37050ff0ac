-- Values that are no usual number, date or time: NaN, infinity, 24:00, years before 1 and after 9999.
CREATE TABLE numbers (id integer PRIMARY KEY, what text, bare numeric, exact numeric(10, 2), single real, double double precision, bares numeric[], doubles double precision[]);
CREATE TABLE moments (id integer PRIMARY KEY, what text, day date, clock time, clock_tz timetz, ts timestamp, ts3 timestamp(3), ts_tz timestamptz);
CREATE TABLE arrays (id integer PRIMARY KEY, what text, days date[], stamps timestamp[]);
INSERT INTO numbers VALUES (1, 'usual', 1.5, 1.50, 1.5, 1.5, '{1.5}', '{1.5}');
INSERT INTO moments VALUES (1, 'usual', '2024-02-29', '12:34', '12:34+00', '2024-02-29 12:34', '2024-02-29 12:34', '2024-02-29 12:34+00');
INSERT INTO arrays VALUES (1, 'usual', '{2024-02-29}', '{"2024-02-29 12:34"}');

-- changes
INSERT INTO numbers VALUES (2, 'floats NaN', NULL, NULL, 'NaN', 'NaN', NULL, '{NaN}');
INSERT INTO numbers VALUES (3, 'floats infinity', NULL, NULL, 'Infinity', '-Infinity', NULL, '{Infinity,-Infinity}');
INSERT INTO numbers VALUES (4, 'bare NaN', 'NaN', NULL, NULL, NULL, NULL, NULL);
INSERT INTO numbers VALUES (5, 'exact NaN', NULL, 'NaN', NULL, NULL, NULL, NULL);
INSERT INTO numbers VALUES (6, 'bare infinity', 'Infinity', NULL, NULL, NULL, NULL, NULL);
INSERT INTO numbers VALUES (7, 'bare -infinity', '-Infinity', NULL, NULL, NULL, NULL, NULL);
INSERT INTO numbers VALUES (8, 'array NaN', NULL, NULL, NULL, NULL, '{1,NaN}', NULL);
INSERT INTO numbers VALUES (9, 'usual again', 2.5, 2.50, 2.5, 2.5, '{2.5}', '{2.5}');
INSERT INTO moments VALUES (2, 'date infinity', 'infinity', NULL, NULL, NULL, NULL, NULL);
INSERT INTO moments VALUES (3, 'date -infinity', '-infinity', NULL, NULL, NULL, NULL, NULL);
INSERT INTO moments VALUES (4, 'timestamp infinity', NULL, NULL, NULL, 'infinity', 'infinity', NULL);
INSERT INTO moments VALUES (5, 'timestamp -infinity', NULL, NULL, NULL, '-infinity', '-infinity', NULL);
INSERT INTO moments VALUES (6, 'timestamptz infinity', NULL, NULL, NULL, NULL, NULL, 'infinity');
INSERT INTO moments VALUES (7, 'timestamptz -infinity', NULL, NULL, NULL, NULL, NULL, '-infinity');
INSERT INTO moments VALUES (8, 'time 24:00', NULL, '24:00', '24:00+00', NULL, NULL, NULL);
INSERT INTO moments VALUES (9, 'first', '4713-01-01 BC', NULL, NULL, '4713-01-01 00:00 BC', '4713-01-01 00:00 BC', '4713-01-01 00:00+00 BC');
INSERT INTO moments VALUES (10, 'year 10000', '10000-01-01', NULL, NULL, '10000-01-01', '10000-01-01', '10000-01-01 00:00+00');
INSERT INTO moments VALUES (11, 'last date', '5874897-12-31', NULL, NULL, NULL, NULL, NULL);
INSERT INTO moments VALUES (12, 'last timestamp', NULL, NULL, NULL, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999', NULL);
INSERT INTO moments VALUES (13, 'last timestamptz', NULL, NULL, NULL, NULL, NULL, '294276-12-31 23:59:59.999999+00');
INSERT INTO moments VALUES (14, 'usual again', '2024-03-01', '12:35', '12:35+00', '2024-03-01 12:35', '2024-03-01 12:35', '2024-03-01 12:35+00');
INSERT INTO arrays VALUES (2, 'infinity', '{infinity}', '{infinity}');
INSERT INTO arrays VALUES (3, 'usual again', '{2024-03-01}', '{"2024-03-01 12:35"}');
