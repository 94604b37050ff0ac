-- A table that changes while its rows do.
CREATE TABLE items (id integer PRIMARY KEY, name varchar(10), price numeric(8, 2), stock integer, old text);
CREATE TABLE items_full (LIKE items INCLUDING ALL);
ALTER TABLE items_full REPLICA IDENTITY FULL;
INSERT INTO items VALUES (1, 'tea', 1.50, 10, 'x'), (2, 'cup', 2.50, 20, 'y');
INSERT INTO items_full SELECT * FROM items;

-- changes
UPDATE items SET stock = 11 WHERE id = 1;
ALTER TABLE items ADD COLUMN colour text;
INSERT INTO items VALUES (3, 'pot', 3.50, 30, 'z', 'red');
UPDATE items SET stock = 12 WHERE id = 1;
ALTER TABLE items ADD COLUMN rating integer NOT NULL DEFAULT 5;
INSERT INTO items VALUES (4, 'jar', 4.50, 40, 'w', 'blue', 4);
UPDATE items SET stock = 21 WHERE id = 2;
ALTER TABLE items DROP COLUMN old;
UPDATE items SET stock = 13 WHERE id = 1;
DELETE FROM items WHERE id = 2;
ALTER TABLE items RENAME COLUMN colour TO color;
INSERT INTO items VALUES (5, 'lid', 5.50, 50, 'green', 3);
ALTER TABLE items ALTER COLUMN stock TYPE bigint;
UPDATE items SET stock = 9007199254740993 WHERE id = 5;
ALTER TABLE items ALTER COLUMN price TYPE numeric(12, 4);
UPDATE items SET price = 5.5555 WHERE id = 5;
ALTER TABLE items ALTER COLUMN name TYPE text;
INSERT INTO items VALUES (6, 'a name of more than ten', 6.5, 60, NULL, 1);
ALTER TABLE items ALTER COLUMN rating TYPE text;
UPDATE items SET rating = 'good' WHERE id = 6;
BEGIN;
UPDATE items SET stock = 61 WHERE id = 6;
ALTER TABLE items ADD COLUMN late boolean DEFAULT false;
UPDATE items SET late = true WHERE id = 6;
COMMIT;
ALTER TABLE items_full ADD COLUMN colour text DEFAULT 'none';
UPDATE items_full SET stock = 12 WHERE id = 1;
ALTER TABLE items_full DROP COLUMN old;
UPDATE items_full SET stock = 13 WHERE id = 1;
DELETE FROM items_full WHERE id = 2;
ALTER TABLE items_full ALTER COLUMN price TYPE numeric(12, 4);
UPDATE items_full SET price = 1.2345 WHERE id = 1;
-- Dropped and made again with the same name, in one place the key of another type.
DROP TABLE items_full;
CREATE TABLE items_full (id text PRIMARY KEY, name text);
ALTER TABLE items_full REPLICA IDENTITY FULL;
INSERT INTO items_full VALUES ('one', 'made again');
