"""Request -> plan: asks the PACS by accession number and decides, series by series, what is worth retrieving.

Takes:      claimed requests (state `new` or `empty` whose time has come), their project's PACS in order and its rules.
Leaves:     a plan (every series with its verdict and the reason of each exclusion), `empty` with the time of the next
            question, `held` for a person, `failed`, or the request given back for later; with each of them the evidence:
            which of accession number, patient, day and modality of each study agree with the RIS row.
Settings:   project.pacs, project.select, project.source.recheck, .fallback, project.deidentify.aliases;
            pacs.name, .host, .port, .ae_title, .tls, .query_model, .accession_forms, .result_limit; receiver.ae_title.
Metrics:    find_seconds, find_total, associations.
Fails how:  an item's failure (0xC0xx, too many rows, truncated) is charged to it alone: back-off from 30 s to 6 h,
            `failed` after 8 attempts. A PACS that does not answer costs no item an attempt: the claims go back, and
            Retry(charge=False) makes the worker wait; a question that ends without an answer while others are
            answered is charged after all. A PACS that finds studies for an accession number that cannot exist does not
            match by it and is asked nothing else (find.key-ignored). A mistake of ours is charged to the request that brought it
            to light (find.internal).
Standard:   PS3.4 C.4.1, C.6.2 (Study Root, strict hierarchy STUDY -> SERIES -> IMAGE).

An answer that is cut off is put together from narrower questions (`whole`), or is none: find.truncated.

Answers are believed only after checking: rows of another accession number, study or series are dropped and counted. A study
whose patient or day is not that of the RIS row is left out (evidence.patient, .date, .modality) beside one that agrees, else it is
held; so are studies of several patients where the RIS names none, and what only patient and day speak for unless it is one alone.
What a person decides (`held release`, `held discard`) stays with the request.
"""
