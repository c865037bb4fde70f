"""deliver: clean file -> archive, and the proof that it is there.

Takes:      series in state `retrieved` and `delivered`; their clean files in the outbox; a project's sinks.
Leaves:     the file in every sink of the project, whole or not at all (`sink`: `directory`, `storescu`, `stowrs`, `s3`); for
            each sink a row of progress (`courier`, `confirm`); with the last sink's receipt the series `confirmed` and its
            outbox folder gone, or `failed` with a reason.
Settings:   [[project.deliver]] and all below it (docs/delivering.md). A directory must exist: making it would hide a volume
            that is not mounted.
Metrics:    deliveries_total{sink,result: delivered, duplicate, refused, failed, lost, confirmed},
            delivery_lag_seconds{sink}; sink_up{sink} by the board.
Fails how:  full, silent, refusing, unreachable sink: it rests 30 s to 1 h (`breaker`), its series wait, uncharged, the
            oldest first (`care`); other sinks go on. One file that a sink chokes on is charged once others went through.
            Another content under the same name: `failed`, `deliver.conflict`; nothing is ever overwritten. What a code of an
            archive's means: `verdict`. Gone again after delivery: put again, a few times, then `failed`, `deliver.lost`.
            Killed anywhere: see `confirm`.
            A withdrawn patient is taken out where the archive can delete (`remove`, `unstow`). Beside the files of a
            directory, where it asks for them, tables of what lies there (`manifest`, `parquet`).
Standard:   PS3.10 files as they come out of the outbox, byte for byte; link(2), fsync(2) for what "there" means. PS3.4 B and J
            (`storescu`, by way of `dicom`), PS3.18 10.4 to 10.6 (`stowrs`, `multipart`, `web`), the S3 API (`s3`).
"""
