"""DICOM on the wire: the only room that imports pynetdicom.

Takes:      a PACS's address and a query or move (association, qrscp); a listening socket and two callables (server). What follows
            an acceptance: `lean` reads it, `pdu` and `dimse` tell what it is (pure), `gather` puts data sets together.
            Before it: `tls` makes handshakes, `turnstile` tells a crowd to come again. `commitment` takes N-ACTIONs.
            `storing` and `committing` are the other way round: C-STORE to an archive, and its word that it holds it.
Leaves:     C-FIND rows, C-MOVE answers; each arriving C-STORE as `Incoming`, undecoded, to `on_store`.
Settings:   receiver.ae_title, receiver.max_associations, receiver.tls; pacs.host, pacs.port, pacs.ae_title, pacs.tls,
            pacs.response_timeout.
Metrics:    associations; associations_rejected_total{reason}: calling-ae, unresolved (its host's name), called-ae, limit,
            connections (more than can even be negotiated with), plain (no TLS where it is wanted), tls (no handshake), disk,
            outbox.
Fails how:  Retry(charge=False) when a peer does not answer or the association is lost; Refused for data that cannot be read.
            As a server: A-ASSOCIATE-RJ for strangers and over the limit, and for peers without TLS where it is
            wanted; 0xA700 when the gateway is unable; A-ABORT for silence and half messages. Never logs what it
            carries: see `quiet`.
Standard:   PS3.4 B (storage), C (query/retrieve), J (storage commitment); PS3.7; PS3.8; PS3.10 7.1; PS3.15 B.12 (TLS).

What is leaned on in pynetdicom 3.0.4 beyond its public interface stands at the head of the module that does, with the test that
holds it: `asking`, `commitment`, `lean`, `listener`, `reactor`, `sockets`, `storing`, `waiting`.
"""
