"""State: rows are the truth, "in progress" is a lease.

Takes:      wanted examinations, plans, tallies; claims and settlements from every room.
Leaves:     rows (`request`, `series`), one line of history per transition, clean files and ledgers in the outbox.
Settings:   state_dir, database, database_password_file, node, node_lease, key_file.
Metrics:    requests, series, oldest_pending_request_age_seconds, outbox_bytes (counted from here by ops).
Fails how:  Retry("state.busy") when the database does not answer, Retry("outbox.unreadable") when the outbox does not.
            Fatal for a newer schema, another key, an empty or broken database file (state.database), a node name in use
            (node.taken), an illegal event.
Standard:   none; sealed columns are AES-256-GCM, look-ups BLAKE2b keyed hashes.
"""
