"""The corpus and its scorer: synthetic DICOM files with an answer key, in the manner of MIDI-B but stricter.

`python -m tests.corpus.score` prints the table; `python -m tests.corpus.generate FOLDER` writes the files to look at.

The way through: `people` invents patients and everything that could identify them; `objects.txt` and `documents.txt` say what an
instance of each IOD holds and `traps.txt` what is hidden in it, all read by `script`, and `tables` makes a trap of every row of
Table E.1-1; `maker` turns script and person into elements and writes the answer key beside them (`key`); `oddities`, `payloads`
and `pixels` do what no script can; `generate` decides which file gets which; `reader` reads what a cleaner left, `search` looks
for what it should not have left, in nine encodings; `expect` says what each option owes to each element; `judge` compares one
output with its key, `score` all of them; `masking` and `validity` ask the screener and dciodvfy.

How it differs from MIDI-B: a missing file fails everything that should have been kept, and a missing reference is no
consistent one; what was planted is searched for in all bytes of the output, not in the element where it was; options change what is
owed. Two controls are tests: the unmodified input leaks everything, an empty output nothing and keeps nothing.
"""
