-- What every series under way and every request has beside its row, for tests/bench/scale.py, in the small state as in the large one.

INSERT INTO progress (series_id, sink, stage, covers, lost, reason, attempts, not_before, lease_until)
SELECT id, 'archive', 'delivered', '', 0, '', 0, 0, 0 FROM series WHERE state = 'delivered';

INSERT INTO evidence (
  key, request_id, study_hash, pacs, form, accession, patient, date, modality, standing, reason, decision, at
)
SELECT 'C-' || id, id, 'e' || id, 'main', '{an}', 'agrees', 'agrees', 'agrees', 'agrees', 'taken', '', '', CAST(:now AS FLOAT)
FROM request WHERE state IN ('done', 'planned');
