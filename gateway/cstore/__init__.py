"""C-STORE -> clean file: whose instance is it, clean it, keep it, and only then say 0x0000.

Takes:      each arriving instance (`dicom.server.Incoming`); what the store expects of its study; a cleaner per project.
            What nobody asked for, where a project says so (`push`, settled by `settling`; docs/adr/0012-push.md).
            The screening (`screening`): held files, and a screener that looks at their pixels.
Leaves:     clean files in the outbox, one ledger line per instance that arrived for a planned series; a DIMSE status.
            Files whose pixels are not proven clean in the held folder; the screening moves them on, masked, or leaves them
            to a person with the reason. Reports of what the archives have confirmed (`commitment`).
Settings:   receiver.peers (or the [[pacs]]), source.push, source.push_quiet, receiver.min_free_disk,
            receiver.max_outbox, pacs.max_rate.
Metrics:    instances_received_total{project,result}, received_bytes_total{project}, store_seconds, deidentify_seconds,
            leaks_blocked_total{project}; screened_total{project,result}, screen_seconds; receiver_paused{reason}
            (disk, outbox: worth an alert), rate_delay_seconds_total{pacs}.
Fails how:  0x0000 for whatever belongs to a study that was asked for, kept or not: what is not kept is in the ledger with
            its reason, since one refusal ends some archives' whole move. 0xA700 when disk or database fail, and
            while there is no room (new associations are then refused, as transient, and moves pause), 0x0124 for a study
            nobody asked for, 0xC000 for what cannot be read so far as to tell whose it is. Pixels that cannot be
            screened are held, never guessed; the screening may die anywhere and begins that file again.
Standard:   PS3.4 B.2.3 (statuses of C-STORE), J (storage commitment).
"""
