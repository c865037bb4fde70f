"""deliver: clean file -> archive, and the proof that it is there.

Takes:      series in state `retrieved` and `delivered`; their clean files in the outbox; a project's sinks.
Leaves:     the file in every sink of the project, whole or not at all (`sink`, `directory`, `layout`, `header`); the
            series `delivered` (`courier`), then `confirmed` with its outbox folder gone (`confirm`), or `failed` with a
            reason.
Settings:   [[project.deliver]] type, path, layout. The path must exist: making it would hide a volume that is not
            mounted.
Metrics:    deliveries_total{sink,result: delivered, duplicate, refused, failed, lost, confirmed},
            delivery_lag_seconds{sink}; sink_up{sink} by the board.
Fails how:  full, unwritable, unreadable sink: the series waits, uncharged, and the project's other series with it, 30 s
            to 1 h (`care`). Another content under the same name: `failed`, `deliver.conflict`; nothing is ever
            overwritten. Gone again after delivery: put again, a few times, then `failed`, `deliver.lost`. Killed
            anywhere: see `confirm`.
            A withdrawn patient is taken out where the archive can delete (`remove`, `unstow`). Beside the files of a
            directory, where it asks for them, tables of what lies there (`manifest`, `parquet`).
Standard:   PS3.10 files as they come out of the outbox, byte for byte; link(2), fsync(2) for what "there" means.
"""
