-- Types of extensions, which not every installation of PostgreSQL has.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION ltree;
CREATE TABLE extended (id integer PRIMARY KEY, pairs hstore, word citext, path ltree, pairs_list hstore[]);
INSERT INTO extended VALUES (1, 'a => 1, "b c" => NULL, d => "x\"y"', 'Word', 'top.middle.leaf', array['a => 1'::hstore]);

-- changes
INSERT INTO extended VALUES (2, '', '', '', '{}'), (3, NULL, NULL, NULL, NULL);
UPDATE extended SET pairs = pairs || 'e => "żółć"' WHERE id = 1;
DELETE FROM extended WHERE id = 3;
