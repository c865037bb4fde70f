"""Identifiable data set -> clean Part 10 file, or a reason why not. Pure: bytes and a key in, bytes out.

Takes       the bytes of a C-STORE data set, its transfer syntax, and the request's own values (`Cleaner.clean`).
Leaves      `Kept` (the parts of a Part 10 file, pixel data as a view of the input); `Held` (the same, but its pixels may show a
            name and nobody has looked at them: `cstore.screening` does); or `Dropped` (excluded or refused).
Settings    `[project.deidentify]` (options, patient_id, crosswalk, aliases, keep, remove, replace) and `[project.select] instance`.
Metrics     none here; the receiver counts `instances_received_total` and `leaks_blocked_total` from the outcome.
Fails how   never by an exception: data that is malformed, incomplete or not proven clean is `Dropped` with a slug:
            dataset.malformed, dataset.incomplete, dataset.transfer-syntax, crosswalk.no-such-patient, select.instance,
            select.instance.error, verify.*; `Held` with pixels.burned-in, pixels.at-risk, pixels.capture, pixels.projection.
Standard    PS3.15 Annex E (Basic Application Level Confidentiality Profile and its options), PS3.5 (encoding), PS3.10 7.1.

The way through. `cleaner` joins the rest. `preview` and `harvest` look at the original: whose instance it is
(`subject`), which values are the patient's own. `walker` goes once over the header bytes: `fastpath` and `route` tell
in one look-up what stays, `decision` what is done to all else and `pseudonym`, `dates`, `text`, `meanings`, `icc`,
`documents` what is written in its place; `pixels` and `comments` see to what hides in and behind an image, `private` to private
elements that are known to be safe. `filter` judges what the walk saw, `risk` its pixels; `marks` and `meta` say what
was done. `verify` reads the result again, on its own (`reading`), before anyone may have it: for what `searched`
lists, in every spelling (`spelling`, `views`) that is no everyday word (`needles`, `ordinary`, `sought`).

What is done to an element is compiled once into a `profile`: `table` (Table E.1-1) and `options`, `types` and
`places` (the attribute's type in the instance's own IOD; `ages` in years), `defaults` (what the table does not name), the
project's own `override`s.

`screen` cleans the pixels of what is held, in a process of its own: `regions` and their rules, then `looking`, which
has `recogniser` and `textlines` find text in `frames` (compressed ones: `fragments`) that `codecs` decode; `masking` and
`writing` blank it. Its reasons to leave a file to a person are listed there (pixels.*).
"""
