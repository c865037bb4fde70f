"""C-STORE -> clean file: whose instance is it, clean it, keep it, and only then say 0x0000.

Takes:      each arriving instance (`dicom.server.Incoming`); what the store expects of its study; a cleaner per project.
Leaves:     clean files in the outbox, one ledger line per instance that arrived for a planned series; a DIMSE status.
Settings:   receiver.peers (or the [[pacs]]), receiver.min_free_disk.
Metrics:    instances_received_total{project,result}, received_bytes_total{project}, store_seconds, deidentify_seconds,
            leaks_blocked_total{project}.
Fails how:  0x0000 for whatever belongs to a study that was asked for, kept or not: what is not kept is in the ledger with
            its reason, since one refusal ends some archives' whole move. 0xA700 when disk or database fail, 0x0124 for a
            study nobody asked for, 0xC000 for what cannot be read so far as to tell whose it is.
Standard:   PS3.4 B.2.3 (statuses of C-STORE).
"""
