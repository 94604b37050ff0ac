-- Long values lie outside of their row. An update that leaves them does not send them, unless the
-- replica identity is full. Each is just long enough: 260 bytes in a row of 2,400, and one of 9,000.
CREATE TABLE documents (id integer PRIMARY KEY, version integer, body text, words text[], numbers integer[], big_numbers bigint[], raw bytea, js json, jsb jsonb, uids uuid[], stamps timestamptz[]);
CREATE TABLE documents_full (LIKE documents INCLUDING ALL);
CREATE TABLE letters (id integer PRIMARY KEY, version integer, body text, summary varchar(9500));
ALTER TABLE documents_full REPLICA IDENTITY FULL;
ALTER TABLE documents SET (toast_tuple_target = 128);
ALTER TABLE documents_full SET (toast_tuple_target = 128);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL, ALTER words SET STORAGE EXTERNAL, ALTER numbers SET STORAGE EXTERNAL, ALTER big_numbers SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, ALTER js SET STORAGE EXTERNAL, ALTER jsb SET STORAGE EXTERNAL, ALTER uids SET STORAGE EXTERNAL, ALTER stamps SET STORAGE EXTERNAL;
ALTER TABLE documents_full ALTER body SET STORAGE EXTERNAL, ALTER words SET STORAGE EXTERNAL, ALTER numbers SET STORAGE EXTERNAL, ALTER big_numbers SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, ALTER js SET STORAGE EXTERNAL, ALTER jsb SET STORAGE EXTERNAL, ALTER uids SET STORAGE EXTERNAL, ALTER stamps SET STORAGE EXTERNAL;
CREATE FUNCTION long_text(seed text, parts integer) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(md5(seed || i), '' ORDER BY i) FROM generate_series(1, parts) i $$;
CREATE FUNCTION document(seed text) RETURNS documents LANGUAGE sql AS $$
    SELECT 0, 1, long_text(seed, 8),
        (SELECT array_agg(md5(seed || i) ORDER BY i) FROM generate_series(1, 8) i),
        (SELECT array_agg(i * 1000003 ORDER BY i) FROM generate_series(1, 64) i),
        (SELECT array_agg(i * 1000000000003 ORDER BY i) FROM generate_series(1, 32) i),
        decode(long_text(seed || 'raw', 16), 'hex'),
        json_build_object('a', long_text(seed || 'js', 8)), jsonb_build_object('a', long_text(seed || 'jsb', 8)),
        (SELECT array_agg(md5(seed || i)::uuid ORDER BY i) FROM generate_series(1, 16) i),
        (SELECT array_agg('2024-01-01 00:00+00'::timestamptz + i * interval '1 hour' ORDER BY i) FROM generate_series(1, 32) i) $$;
INSERT INTO documents SELECT (document('one')).*;
UPDATE documents SET id = 1;
INSERT INTO documents_full SELECT * FROM documents;
INSERT INTO letters VALUES (1, 1, long_text('letter', 282), long_text('summary', 80));

-- changes
UPDATE documents SET version = 2 WHERE id = 1;
UPDATE documents_full SET version = 2 WHERE id = 1;
UPDATE letters SET version = 2 WHERE id = 1;
-- Only the text changes, the others stay; then the text becomes short, then nothing.
UPDATE documents SET body = long_text('two', 8) WHERE id = 1;
UPDATE documents SET body = 'short', numbers = NULL WHERE id = 1;
UPDATE documents SET version = 3 WHERE id = 1;
UPDATE documents_full SET body = 'short', numbers = NULL WHERE id = 1;
-- The key changes while long values stay.
UPDATE documents SET id = 2 WHERE id = 1;
UPDATE letters SET id = 2 WHERE id = 1;
-- Two changes in one transaction, the second without the long values of the first.
BEGIN;
INSERT INTO letters VALUES (3, 1, long_text('third', 80), 'short');
UPDATE letters SET version = 2 WHERE id = 3;
COMMIT;
-- A value that is the same text as Debezium's placeholder.
INSERT INTO letters VALUES (4, 1, '__debezium_unavailable_value', 'a real value');
UPDATE letters SET version = 2 WHERE id = 4;
DELETE FROM letters WHERE id = 3;
DELETE FROM documents_full WHERE id = 1;
