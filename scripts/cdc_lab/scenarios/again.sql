-- What is sent twice: Connect is killed before it has noted how far it was.
CREATE TABLE orders (id integer PRIMARY KEY, state text);
CREATE TABLE customers (id integer PRIMARY KEY, name text);
ALTER TABLE customers REPLICA IDENTITY FULL;
INSERT INTO orders VALUES (1, 'new'), (2, 'new');
INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');

-- changes
-- No offset of the first snapshot is noted yet: all rows are read again, with what has changed.
UPDATE orders SET state = 'paid' WHERE id = 1;
DELETE FROM customers WHERE id = 2;
-- lab: kill
INSERT INTO orders VALUES (3, 'new');
-- lab: noted
UPDATE orders SET state = 'sent' WHERE id = 1;
DELETE FROM orders WHERE id = 2;
UPDATE orders SET id = 30 WHERE id = 3;
BEGIN;
INSERT INTO customers VALUES (3, 'Cy');
UPDATE customers SET name = 'Cyril' WHERE id = 3;
COMMIT;
-- All of this is in the topics, and is sent once more after the kill.
-- lab: kill
UPDATE orders SET state = 'done' WHERE id = 1;
-- Rows are read again on demand, while they change.
-- lab: noted
INSERT INTO signals VALUES ('one', 'execute-snapshot', '{"type": "incremental", "data-collections": ["public.orders", "public.customers"]}');
UPDATE orders SET state = 'done twice' WHERE id = 1;
-- lab: mark
UPDATE orders SET state = 'after it' WHERE id = 30;
