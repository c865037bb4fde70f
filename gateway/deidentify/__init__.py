"""Identifiable data set -> clean Part 10 file, or a reason why not. Pure: bytes and a key in, bytes out.

Takes       the bytes of a C-STORE data set, its transfer syntax, and the request's own values (`Cleaner.clean`).
Leaves      `Kept` (the parts of a Part 10 file, pixel data as a view of the input) or `Dropped` (excluded or refused).
Settings    `[project.deidentify]` (options, patient_id, keep, remove, replace) and `[project.select] instance`.
Metrics     none here; the receiver counts `instances_received_total` and `leaks_blocked_total` from the outcome.
Fails how   never by an exception: malformed, incomplete, unverifiable or withheld data is `Dropped` with a slug:
            dataset.malformed, dataset.incomplete, dataset.transfer-syntax, encapsulated-document, pixels.burned-in,
            select.instance, select.instance.error, verify.*
Standard    PS3.15 Annex E (Basic Application Level Confidentiality Profile), PS3.5 (encoding), PS3.10 7.1 (file meta).

The way through: `cleaner` joins the rest; `encoding` knows the transfer syntaxes; `walker` goes once over the header bytes,
asking `profile` (made of `table`, `actions` and `defaults`) what to do and `pseudonym` what to write; `filter` judges what
the walk saw; `marks` and `meta` say what was done; `verify` reads the result again, on its own, before anyone may have it.
"""
