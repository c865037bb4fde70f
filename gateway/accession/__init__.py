"""Accession: what the RIS, or a person with a list, wants becomes requests.

Takes:      rows of a RIS query (`sql`), or a CSV file (`csvfile`): `accession_number`, and where there is
            `patient_id`, `study_date`, `modality`, `accession_issuer` (whose number it is, where two sites number alike) and the
            cursor column. Other columns are ignored; those of a file are told, and one that only is spelt differently
            (PatientID) is refused.
Leaves:     requests, idempotent on (project, accession number); a row that cannot become one is set aside with a
            reason: accession.null, .blank, .too-long, .wildcard, .control-character, .encoding (broken characters),
            .not-text (a number has lost its leading zeros: cast the column in the view, where it is still text), or
            csv.columns (more cells than column names), csv.contradicted (lines of one number name two patients or two
            days), or csv.study-date (a date of a file that is not understood; one of the RIS is none).
            A row that is known and says something else changes its request (state.listed); one that is gone cancels it,
            once a day, where `vanished = "cancel"`: never more than half of them, nor any for an empty view.
            Who is on the opt-out list is withdrawn before the poll (`optout`); rows of the withdrawn are set aside:
            patient.withdrawn.
Settings:   [[ris]] name, url, password_file; [project.source] ris, schedule, query, cursor, overlap, vanished,
            opt_out (a query of patient IDs).
            `:since` in the query is the newest cursor value stored, less the overlap: a duration for times (also
            when written as ISO text, or as YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, text or number; as text with
            fractions, and a zone, too), as many numbers for another number, nothing for other text. The first poll, and the first
            after a change of query or cursor, starts at the earliest value there is. Times without a zone are the RIS's
            own and are compared with one another; our clock has one say: a row dated ahead of it does not move the cursor.
Metrics:    ris_polls_total{project,result=ok|failed}, ris_last_success_timestamp_seconds, ris_lag_seconds (a time
            without a zone is taken for our local time).
Fails how:  ris.down (no connection, log-in refused, connection lost), ris.slow (no answer within the limits),
            ris.schema (a column or table is missing or of another type; the sentence names it). All are Retry without
            charge: the next poll starts where this one started, and finds known what this one had stored. Nothing is
            lost, nothing is doubled.
Standard:   PS3.4 C.2.2.2.4 (why wildcards are set aside), PS3.5 6.2 (SH, DA); PEP 249 (Python DB-API).
"""
