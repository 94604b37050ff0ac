-- A slot is lost, and what changes until the next one is in no message.
CREATE TABLE orders (id integer PRIMARY KEY, state text);
INSERT INTO orders VALUES (1, 'new'), (2, 'new'), (3, 'new');

-- changes
UPDATE orders SET state = 'paid' WHERE id = 1;
UPDATE orders SET state = 'paid' WHERE id = 3;
-- lab: noted
-- lab: lose
UPDATE orders SET state = 'sent' WHERE id = 1;
DELETE FROM orders WHERE id = 2;
INSERT INTO orders VALUES (4, 'in the gap');
-- lab: over
UPDATE orders SET state = 'sent, too' WHERE id = 3;
INSERT INTO orders VALUES (5, 'after it');
