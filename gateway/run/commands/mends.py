"""What to do about what `check --connect` finds, by the reason of the error: the setting or the person that mends it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MENDS: Final[Mapping[str, str]] = MappingProxyType({
    "pacs.unreachable": "nobody listens there: is it up, are `host` and `port` right, does a firewall let this machine through?",
    "pacs.no-answer": "it takes connections and says nothing: is `port` that of DICOM, or does it want `tls`?",
    "pacs.rejected 1/1/3": "our AE title is not known there: its administrator enters receiver.ae_title and our address",
    "pacs.rejected 1/1/7": "it goes by another AE title: correct `ae_title` of the [[pacs]]",
    "pacs.rejected": "it refuses us: its administrator sees why in its log; both AE titles must be known on both sides",
    "pacs.busy": "it has no association left for us: try again, or ask for a higher limit",
    "pacs.aborted": "it broke off: does it know our AE title, and does it want TLS (`tls` of the [[pacs]])?",
    "pacs.hung-up": "one side speaks TLS and the other does not: compare `tls` of the [[pacs]] with its own settings for this port",
    "pacs.tls alert": "it refuses us: `certificate` must be in date and of an authority trusted there; TLS 1.2 is the least",
    "pacs.tls": "`ca` must name the authority of its certificate, this port want TLS; or mend the file named",
    "pacs.context-refused": "it does not offer this service to us: its administrator allows query and retrieval for our AE title",
    "pacs.echo-refused": "it refuses C-ECHO: its administrator allows verification for our AE title",
    "pacs.stranger": "its administrator enters our AE title as a client of queries and as a destination",
    "pacs.ignores-keys": "it cannot be used for finding examinations: ask its maker, or use another query model",
    "move.unknown-destination": "its administrator enters receiver.ae_title, our address and receiver.port as a destination",
    "ris.down": "is it up, are host, port, user and database of `url` right, is the account open and `password_file` current?",
    "ris.slow": "the view is too slow for us: ask for an index on the cursor's column",
    "ris.schema": "the view has other columns than the query: correct `query`, or have the view restored",
    "ris.driver": "install its driver (docs/install.md, Drivers); there already are mysql+pymysql:// and postgresql+psycopg://",
    "accession.not-text": "a number has lost its leading zeros: cast the column to text in the view, where it still has them",
    "password.file": "the file of the password must exist, be of mode 0640 or 0600, and readable for this user",
    "sink.unwritable": "the folder must exist, be mounted, and be writable for this user; systemd needs ReadWritePaths= for it",
    "sink.unreadable": "the folder must be readable for this user",
    "sink.full": "make room there, or enlarge it",
    "sink.unauthorised": "it knows us and does not let us: token, password or credentials, and their rights",
    "sink.unreachable": "nobody answers there: is it up, are host, port or url right, does a firewall let this machine through?",
    "sink.strange": "it answers otherwise than such an archive: is `url` its service (DICOMweb: without /studies), or a bucket?",
    "sink.tls": "TLS with it fails: does the machine know its certificate's authority? else mend the file that is named",
    "sink.secret": "the file of the token, password or credentials must exist, be of mode 0640 or 0600, readable for this user",
})  # fmt: skip
"""By reason; where one reason has several causes, by reason and the codes in its detail."""

STATE: Final = (
    "give the folder of `state_dir` to the daemon's account, as root: chown -R pacs-gateway: FOLDER (make it first where there is "
    "none), and run commands as that account; on another volume the systemd unit needs ReadWritePaths= for it"
)
"""For `state_dir`."""
KEY: Final = "one file of 32 bytes, mode 0600, owned by the daemon's account; `pacs-gateway key init` makes it"
DISK: Final = "make room: below that nothing is received; never delete in the outbox, it is the only copy"

ELSE: Final[Mapping[str, str]] = MappingProxyType({
    "pacs": "is it up; are host, port and both AE titles right, and is ours known there?",
    "database": "is `database` its url, `database_password_file` current, and does it let this machine and this user in?",
    "query": "is it up; are url, user, password and the query right?",
    "archive": "it must be there, have room, and let this user write",
})  # fmt: skip


def mend(what: str, reason: str, detail: str) -> str:
    """The most special that is known. `what`: pacs, query, archive or database."""
    special = next((text for key, text in MENDS.items() if _codes(key, reason, detail)), "")
    return special or MENDS.get(reason) or ELSE[what]


def _codes(key: str, reason: str, detail: str) -> bool:
    named, _, codes = key.partition(" ")
    return bool(codes) and named == reason and codes in detail
