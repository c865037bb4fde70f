"""Plan -> C-MOVE: fetches planned series, one by one, to our own receiver, and judges by our own list whether all of it came.

Takes:      a claimed series (state `planned`), one retrieval for every project that wants it.
Leaves:     `retrieved`, `held` (pixels of some instance not proven clean), `excluded` (nothing kept), `failed`, or the series
            given back for later.
Settings:   pacs.name, .host, .port, .ae_title, .tls, .query_model, .retrieve, .max_moves, .windows, .time_zone,
            .response_timeout, .result_limit; project.share; receiver.ae_title (the move's destination).
Metrics:    move_seconds, move_total, moves_running, moves_allowed, window_open, breaker_open, associations.
Fails how:  incomplete or refused: charged to the series, back-off from 30 s to 6 h, `failed` after 8 attempts; one of which
            nothing came, as near-line archives do it, is tried again after 5 s, 15 min, 1 h, 6 h, then daily. A PACS that
            does not answer costs no series an attempt: given back, and Retry(charge=False) makes the worker wait. Stopping:
            C-CANCEL, 10 s, abort; given back uncharged; so at the end of a window. A mistake of ours is charged to the series
            that brought it to light (move.internal).
            What all moves of a PACS share is its `gate`: `windows` (when), `pressure` (how many), `breaker` (left alone).
Standard:   PS3.4 C.4.2 (C-MOVE), C.4.3 (C-GET), C.6.1 and C.6.2 (Patient and Study Root); IMAGE-level C-FIND for the list.

Status and counters of the PACS are hints in both directions: what counts is its IMAGE-level list less our ledger.
"""
