-- Inserts, an index, updates and aggregate selects over tables in memory.
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, amount INTEGER NOT NULL, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO customers SELECT i, 'customer ' || (i * 7919 % 2003), 'town ' || (i % 37) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO orders SELECT i, 1 + i * 104729 % 2000, i * 31 % 977, printf('note %x', i * 2654435761) FROM n;
CREATE INDEX orders_by_customer ON orders (customer, amount);
UPDATE orders SET amount = amount + 1 WHERE id % 3 = 0;
COMMIT;
SELECT town, count(*), sum(amount), max(note) FROM customers JOIN orders ON customer = customers.id
    GROUP BY town ORDER BY sum(amount) DESC LIMIT 5;
SELECT count(*) FROM orders WHERE note LIKE '%ab%';
SELECT avg(amount), total(length(note)) FROM orders;
