-- Rows beyond the first, made by the database itself for tests/bench/scale.py: alike in number and state, due later, and of no use
-- but to be in the way: older, too, where they are over or only wait to be asked again. first and last number requests, now is a
-- time; the states are those of REQUESTS and SERIES there.

INSERT INTO request (id, key, project, accession_hash, modality, state, reason, attempts, empties, not_before, lease_until, created, updated)
WITH RECURSIVE n(i) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last)
SELECT i + 1, 'R-' || i, CASE i % 3 WHEN 0 THEN 'chest' WHEN 1 THEN 'knee' ELSE 'brain' END,
  'a' || i, 'CT',
  CASE WHEN i / 3 % 20 < 16 THEN 'done' WHEN i / 3 % 20 < 18 THEN 'empty' WHEN i / 3 % 20 = 18 THEN 'new' ELSE 'planned' END,
  '', 0, 0, CAST(:now AS FLOAT) - i % 10, 0,
  CAST(:now AS FLOAT) - CASE WHEN i / 3 % 20 < 18 THEN 9000 ELSE 0 END - i % 10, CAST(:now AS FLOAT) - 9000
FROM n;

INSERT INTO series (
  id, key, project, series_hash, study_hash, pacs, modality, state, reason, attempts, not_before, lease_until, kept, excluded, refused,
  held, reasons, created, updated, node
)
WITH RECURSIVE n(i) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last)
SELECT 3 * i + k, 'S-' || (3 * i + k), CASE i % 3 WHEN 0 THEN 'chest' WHEN 1 THEN 'knee' ELSE 'brain' END,
  's' || (3 * i + k), 't' || i, 'main', 'CT',
  CASE WHEN i / 3 % 20 < 16 THEN CASE k WHEN 2 THEN 'excluded' ELSE 'confirmed' END
    ELSE CASE k WHEN 0 THEN 'planned' WHEN 1 THEN 'retrieved' ELSE 'delivered' END END,
  '', 0, CAST(:now AS FLOAT) - i % 10, 0, 3, 0, 0, 0, '{}', CAST(:now AS FLOAT), CAST(:now AS FLOAT), 'gw1'
FROM n CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) AS three
WHERE i / 3 % 20 NOT BETWEEN 16 AND 18;

INSERT INTO asked (request_id, series_id)
WITH RECURSIVE n(i) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last)
SELECT i + 1, 3 * i + k
FROM n CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) AS three
WHERE i / 3 % 20 NOT BETWEEN 16 AND 18;

INSERT INTO history (request_id, at, event, before, after, reason)
WITH RECURSIVE n(i) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last)
SELECT i + 1, CAST(:now AS FLOAT), 'asked', '', 'new', ''
FROM n;

INSERT INTO history (series_id, at, event, before, after, reason)
WITH RECURSIVE n(i) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last)
SELECT 3 * i + k, CAST(:now AS FLOAT), 'found', '', 'planned', ''
FROM n CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) AS three
WHERE i / 3 % 20 NOT BETWEEN 16 AND 18;
