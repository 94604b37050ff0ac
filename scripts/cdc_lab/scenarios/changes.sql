-- Every operation, transactions of several statements, interleaved ones, keys that change.
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, city text, points integer NOT NULL DEFAULT 0);
ALTER TABLE customers REPLICA IDENTITY FULL;
CREATE TABLE orders (id bigint PRIMARY KEY, customer integer, state text DEFAULT 'new', amount numeric(10, 2), placed timestamp);
CREATE TABLE order_lines (order_id bigint, line smallint, product text, quantity integer, PRIMARY KEY (order_id, line));
CREATE TABLE notes (at integer, note text);
ALTER TABLE notes REPLICA IDENTITY FULL;
CREATE TABLE by_index (code text NOT NULL, value integer);
CREATE UNIQUE INDEX by_code ON by_index (code);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_code;
INSERT INTO customers VALUES (1, 'Ada', 'London', 10), (2, 'Bob', NULL, 0), (3, 'Cy', 'Rome', 5);
INSERT INTO orders VALUES (1, 1, 'new', 10.00, '2024-01-01 10:00'), (2, 2, 'paid', 20.50, '2024-01-02 11:00');
INSERT INTO order_lines VALUES (1, 1, 'tea', 1), (1, 2, 'cup', 2), (2, 1, 'pot', 1);
INSERT INTO notes VALUES (1, 'first');
INSERT INTO by_index VALUES ('a', 1);

-- changes
INSERT INTO customers VALUES (4, 'Di', 'Oslo', 1);
UPDATE customers SET city = 'Paris' WHERE id = 1;
UPDATE customers SET points = points + 1 WHERE id IN (2, 3);
DELETE FROM customers WHERE id = 2;
INSERT INTO orders VALUES (3, 4, DEFAULT, 30.00, '2024-01-03 12:00');
UPDATE orders SET state = 'paid' WHERE id = 1;
DELETE FROM orders WHERE id = 2;
-- NULL where the column has a default: Connect's JSON has the default, unless it is asked not to.
INSERT INTO orders VALUES (20, 1, NULL, 20.00, '2024-01-20');
UPDATE orders SET state = NULL WHERE id = 1;
-- A key changes: a delete, a tombstone and a create.
UPDATE orders SET id = 30 WHERE id = 3;
UPDATE customers SET id = 40, name = 'Dina' WHERE id = 4;
UPDATE order_lines SET line = 3 WHERE order_id = 1 AND line = 2;
-- Two keys change places in one transaction.
BEGIN;
UPDATE order_lines SET line = 9 WHERE order_id = 1 AND line = 1;
UPDATE order_lines SET line = 1 WHERE order_id = 1 AND line = 3;
UPDATE order_lines SET line = 3 WHERE order_id = 1 AND line = 9;
COMMIT;
-- A key is deleted and made again, in one transaction and in two.
BEGIN;
DELETE FROM customers WHERE id = 3;
INSERT INTO customers VALUES (3, 'Cyril', 'Rome', 6);
COMMIT;
DELETE FROM customers WHERE id = 1;
INSERT INTO customers VALUES (1, 'Adam', 'Bonn', 0);
-- A row changes several times in one transaction; another comes and goes.
BEGIN;
INSERT INTO orders VALUES (4, 1, 'new', 1.00, '2024-01-04');
UPDATE orders SET amount = 2.00 WHERE id = 4;
UPDATE orders SET amount = 3.00, state = 'paid' WHERE id = 4;
INSERT INTO orders VALUES (5, 1, 'new', 5.00, '2024-01-05');
DELETE FROM orders WHERE id = 5;
INSERT INTO order_lines VALUES (4, 1, 'jar', 4), (4, 2, 'lid', 4);
COMMIT;
-- Taken back, whole and in part.
BEGIN;
INSERT INTO orders VALUES (6, 1, 'never', 6.00, '2024-01-06');
ROLLBACK;
BEGIN;
INSERT INTO orders VALUES (7, 1, 'new', 7.00, '2024-01-07');
SAVEPOINT here;
UPDATE orders SET state = 'never' WHERE id = 7;
ROLLBACK TO SAVEPOINT here;
UPDATE orders SET state = 'kept' WHERE id = 7;
COMMIT;
-- a begins first and commits last: its changes have the lower positions, and count later.
-- on a
BEGIN;
UPDATE orders SET amount = 100.00 WHERE id = 1;
INSERT INTO orders VALUES (8, 1, 'by a', 8.00, '2024-01-08');
-- on b
BEGIN;
UPDATE orders SET amount = 400.00 WHERE id = 4;
INSERT INTO orders VALUES (9, 1, 'by b', 9.00, '2024-01-09');
-- on a
UPDATE customers SET points = 100 WHERE id = 1;
-- on b
UPDATE customers SET points = 300 WHERE id = 3;
COMMIT;
-- on c
UPDATE customers SET points = 301 WHERE id = 3;
-- on a
UPDATE customers SET points = 302 WHERE id = 3;
UPDATE orders SET state = 'by a, after b' WHERE id = 9;
COMMIT;
-- on main
UPDATE orders SET state = 'after both' WHERE id = 8;
-- No key, and a key that is an index.
INSERT INTO notes VALUES (2, 'second'), (2, 'second');
UPDATE notes SET note = 'changed' WHERE at = 1;
DELETE FROM notes WHERE at = 2;
INSERT INTO by_index VALUES ('b', 2);
UPDATE by_index SET value = 20 WHERE code = 'b';
UPDATE by_index SET code = 'c' WHERE code = 'a';
DELETE FROM by_index WHERE code = 'b';
-- An update that changes nothing; a message of the application.
UPDATE customers SET city = city WHERE id = 1;
SELECT pg_logical_emit_message(true, 'audit', 'a message');
-- All rows at once.
TRUNCATE notes;
INSERT INTO notes VALUES (3, 'after the truncation');
BEGIN;
INSERT INTO order_lines VALUES (7, 1, 'gone', 1);
TRUNCATE order_lines, notes;
INSERT INTO order_lines VALUES (7, 1, 'new', 1);
COMMIT;
