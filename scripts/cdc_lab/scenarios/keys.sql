-- Keys of every type that is used as one.
CREATE TABLE by_uuid (id uuid PRIMARY KEY, v integer);
CREATE TABLE by_text (id text PRIMARY KEY, v integer);
CREATE TABLE by_bigint (id bigint PRIMARY KEY, v integer);
CREATE TABLE by_numeric (id numeric(20, 2) PRIMARY KEY, v integer);
CREATE TABLE by_bare (id numeric PRIMARY KEY, v integer);
CREATE TABLE by_time (id timestamp(3) PRIMARY KEY, v integer);
CREATE TABLE by_time_tz (id timestamptz PRIMARY KEY, v integer);
CREATE TABLE by_day (id date PRIMARY KEY, v integer);
CREATE TABLE by_bytes (id bytea PRIMARY KEY, v integer);
CREATE TABLE by_flag (id boolean PRIMARY KEY, v integer);
CREATE TABLE by_two (b text, a integer, v integer, PRIMARY KEY (a, b));
CREATE TABLE "Odd Names" ("The Key" integer PRIMARY KEY, "a.b" text, "sélect" text, "$x" text, "quote""d" text);
INSERT INTO by_uuid VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1);
INSERT INTO by_two VALUES ('x', 1, 1);

-- changes
UPDATE by_uuid SET v = 2;
INSERT INTO by_text VALUES ('', 1), ('żółć "😀"', 1), ('1', 1), (' ', 1);
UPDATE by_text SET v = 2 WHERE id = '';
DELETE FROM by_text WHERE id = ' ';
INSERT INTO by_bigint VALUES (9007199254740993, 1), (-1, 1);
UPDATE by_bigint SET v = 2;
INSERT INTO by_numeric VALUES (1.00, 1), (123456789012345678.90, 1);
UPDATE by_numeric SET v = 2 WHERE id = 1;
INSERT INTO by_bare VALUES (1.0, 1), (10, 1), (1e-10, 1);
UPDATE by_bare SET v = 2 WHERE id = 1;
-- An equal number with another scale is the same key for the database, and another text.
UPDATE by_bare SET id = 1.000 WHERE id = 1;
DELETE FROM by_bare WHERE id = 1;
INSERT INTO by_time VALUES ('2024-02-29 12:34:56.789', 1);
UPDATE by_time SET v = 2;
INSERT INTO by_time_tz VALUES ('2024-02-29 12:34:56.789012+05:30', 1);
UPDATE by_time_tz SET v = 2;
INSERT INTO by_day VALUES ('1969-12-31', 1);
UPDATE by_day SET v = 2;
INSERT INTO by_bytes VALUES ('\x00ff', 1);
UPDATE by_bytes SET v = 2;
INSERT INTO by_flag VALUES (true, 1);
UPDATE by_flag SET id = false;
INSERT INTO by_two VALUES ('y', 1, 1), ('x', 2, 1);
UPDATE by_two SET b = 'z' WHERE a = 2;
DELETE FROM by_two WHERE b = 'y';
INSERT INTO "Odd Names" VALUES (1, 'dot', 'accent', 'dollar', 'quote');
UPDATE "Odd Names" SET "a.b" = NULL WHERE "The Key" = 1;
