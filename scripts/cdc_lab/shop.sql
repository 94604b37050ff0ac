-- The tables of the shop. No foreign keys: with them, two open transactions of one program would
-- wait for each other.
CREATE TABLE IF NOT EXISTS customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email text,
    city text,
    credit numeric(12, 2) NOT NULL DEFAULT 0,
    tags text[],
    since timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS products (
    id integer PRIMARY KEY,
    sku uuid NOT NULL,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL,
    description text,
    sold_from date
);
CREATE TABLE IF NOT EXISTS orders (
    id bigint PRIMARY KEY,
    customer_id integer NOT NULL,
    state text DEFAULT 'new',
    total numeric(12, 2),
    placed timestamp NOT NULL,
    details jsonb,
    remark text
);
CREATE TABLE IF NOT EXISTS order_lines (
    order_id bigint,
    line integer,
    product_id integer NOT NULL,
    quantity integer NOT NULL,
    price numeric(10, 2),
    PRIMARY KEY (order_id, line)
);
-- What gold is loaded into.
CREATE SCHEMA IF NOT EXISTS warehouse;
-- An update or delete of these has the whole row of before; of the others, only its key.
ALTER TABLE customers REPLICA IDENTITY FULL;
ALTER TABLE order_lines REPLICA IDENTITY FULL;
