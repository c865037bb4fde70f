"""Each mistake is told once, with the right file, line and place, what was found and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.settings.configurations import changed, line_of, mistakes, written

PACS = '[[pacs]]\nname = "main"'
SOURCE = 'project "chest-ct": source.'
DEID = 'project "chest-ct": deidentify'
DELIVER = 'project "chest-ct": deliver[0].'
DIRECTORY = 'type = "directory"\npath = "/srv/research/chest-ct"\nlayout = "{PatientID}/{SOPInstanceUID}.dcm"'
DICOM = 'type = "dicom"\nae_title = "A"\nhost = "h"\n'
DICOMWEB = 'type = "dicomweb"\nurl = "https://h/w"\n'
LAYOUT = 'layout = "{PatientID}/{SOPInstanceUID}.dcm"'
QUERY = 'query = "select accession_number, changed_at from v where changed_at >= :since"'
TEMPLATE = 'patient_id = "CHEST-{pseudonym}"'
RULE = "series = \"Modality == 'CT'\""

TABLE = [
    # ---- keys and types: what stood there, what stands there, where it is told, what is told
    ("port = 104", "prot = 104", 'pacs "main": prot', 'did you mean "port"?'),
    ("[receiver]", 'colour = "red"\n[receiver]', "colour", 'unknown key "colour"; known here: audit, database, database_password'),
    ('ae_title = "RESEARCH"', 'node = "gw1"', "receiver.node", 'belongs above the first [table]'),
    ('ae_title = "RESEARCH"', 'database_password_file = "hunter2"', "receiver.database_password_file", "above the first [table]"),
    ("port = 104", 'state_dir = "/x"', 'pacs "main": state_dir', "belongs above the first [table]"),
    ("port = 104", "project = 3", 'pacs "main": project', "known here"),
    ("[receiver]", "[reciever]", "reciever", 'did you mean "receiver"?'),
    ("[[ris]]", "[[riss]]", "riss", 'did you mean "ris"?'),
    (LAYOUT, 'pth = "/x"', DELIVER + "pth", 'did you mean "path"?'),
    ("port = 104", 'port = "104"', 'pacs "main": port', 'found "104"; a whole number, without quotes'),
    ("port = 104", "port = true", 'pacs "main": port', "found true; a whole number"),
    ('host = "10.1.2.3"', "host = 2020-01-01", 'pacs "main": host', "found a date or time; text in quotes"),
    ('pacs = ["main"]', 'pacs = "main"', 'project "chest-ct": pacs', 'found "main"; a list in brackets'),
    ('pacs = ["main"]', "pacs = []", 'project "chest-ct": pacs', "at least one entry"),
    ("[[pacs]]", "[pacs]", "pacs", "found a table; a list of tables: [[pacs]]"),
    ("[[project.deliver]]", "[project.deliver]", 'project "chest-ct": deliver', "a list of tables: [[project.deliver]]"),
    ("[receiver]", "health = 3\n[receiver]", "health", "found 3; a table"),
    ("port = 104", 'retrieve = "gett"', 'pacs "main": retrieve', 'found "gett"; "move" or "get"'),
    ('type = "directory"', 'type = "folder"', DELIVER + "type", 'found "folder"; one of "directory", "dicom"'),
    # ---- values
    ("port = 104", "port = 70000", 'pacs "main": port', "found 70000; a port from 1 to 65535"),
    ("port = 11112", "port = 0", "receiver.port", "found 0; a port from 1 to 65535"),
    ("port = 11112", "processes = 65", "receiver.processes", 'found 65; a number from 1 to 64, or "auto"'),
    ("port = 11112", 'processes = "all"', "receiver.processes", 'or "auto"'),
    ("port = 11112", 'bind = "eth0"', "receiver.bind", "an IP address of this machine"),
    ("port = 11112", 'min_free_disk = "5 Gb"', "receiver.min_free_disk", 'found "5 Gb"; a size in quotes'),
    ("port = 11112", "min_free_disk = 5", "receiver.min_free_disk", "found 5; a size in quotes"),
    ("port = 11112", 'max_outbox = "0 GiB"', "receiver.max_outbox", "more than nothing"),
    ("port = 104", 'max_rate = "40 MiB"', 'pacs "main": max_rate', "a rate in quotes"),
    ('ae_title = "RESEARCH"', 'ae_title = "SEVENTEEN_LETTERS"', "receiver.ae_title", "1 to 16 printable ASCII"),
    ('ae_title = "RESEARCH"', 'ae_title = "A\\\\B"', "receiver.ae_title", "no backslash"),
    ('ae_title = "RESEARCH"', 'ae_title = ""', "receiver.ae_title", 'found ""; an AE title'),
    ('host = "10.1.2.3"', 'host = "10.1.2.3:104"', 'pacs "main": host', "without scheme and port"),
    ('host = "10.1.2.3"', 'host = "pacs..example"', 'pacs "main": host', "without scheme and port"),
    ('host = "10.1.2.3"', f'host = "{"p" * 64}.example"', 'pacs "main": host', "without scheme and port"),
    ('"10.1.2.0/24"', '"10.1.2.9/24"', "receiver.peers[0].address", "the first address of the network: 10.1.2.0/24"),
    ('"10.1.2.0/24"', '"pacs.example"', "receiver.peers[0].address", "an IP address or network"),
    ("port = 104", 'response_timeout = "5 min"', 'pacs "main": response_timeout', 'found "5 min"; a duration in quotes'),
    ("port = 104", "response_timeout = 900", 'pacs "main": response_timeout', "found 900; a duration in quotes"),
    ("port = 104", 'response_timeout = "0s"', 'pacs "main": response_timeout', "more than nothing"),
    ("port = 104", 'windows = ["Mon-Fri 19-06"]', 'pacs "main": windows[0]', "days and hours in local time"),
    ("port = 104", 'windows = ["Mon-Fry 19:00-06:00"]', 'pacs "main": windows[0]', "the days are Mon, Tue"),
    ("port = 104", 'windows = ["Mon 07:00-07:00"]', 'pacs "main": windows[0]', "the whole day is 00:00-24:00"),
    ("port = 104", 'windows = ["Mon 19:00-25:00"]', 'pacs "main": windows[0]', "a day has 00:00 to 24:00"),
    ("port = 104", 'time_zone = "Europe/Bonn"', 'pacs "main": time_zone', "a time zone such as Europe/Berlin"),
    ("port = 104", "max_moves = 0", 'pacs "main": max_moves', "found 0; a number from 1 to 64"),
    ('name = "chest-ct"', 'name = "chest ct"', 'project "chest ct": name', "letters, digits"),
    ('state_dir = "/var/lib/pacs-gateway"', 'state_dir = "state"', "state_dir", "an absolute path"),
    ('path = "/srv/research/chest-ct"', 'path = "chest"', DELIVER + "path", "an absolute path"),
    ('path = "/srv/research/chest-ct"', 'path = "/srv/../x"', DELIVER + "path", "without .."),
    ("[receiver]", f'health.socket = "/run/{"x" * 110}"\n[receiver]', "health.socket", "at most 107 bytes"),
    ("[receiver]", 'database = "mysql://h/db"\n[receiver]', "database", 'found text; "sqlite", or postgresql'),
    ("[receiver]", 'database = "postgresql+psycopg://h:PORT/d"\n[receiver]', "database", 'found text; "sqlite", or'),
    ('schedule = "*/5 * * * *"', 'schedule = "*/5 * * *"', SOURCE + "schedule", 'found "*/5 * * *"; five cron fields'),
    ('schedule = "*/5 * * * *"', 'schedule = "61 * * * *"', SOURCE + "schedule", "five cron fields"),
    ('schedule = "*/5 * * * *"', 'schedule = "0 0 31 2 *"', SOURCE + "schedule", "this schedule never runs"),
    ('schedule = "*/5 * * * *"', 'schedule = "0 0 1 * mon"', SOURCE + "schedule", "either a day of the month or a weekday"),
    ('schedule = "*/5 * * * *"', 'schedule = "0s"', SOURCE + "schedule", "an interval of at least"),
    ('schedule = "*/5 * * * *"', 'schedule = "999999999d"', SOURCE + "schedule", 'at most "3650d"'),
    ("port = 104", 'response_timeout = "999999999d"', 'pacs "main": response_timeout', 'at most "3650d"'),
    # ---- the query and its cursor
    (QUERY, 'query = "update v set changed_at = :since"', SOURCE + "query", "one statement that reads"),
    (QUERY, 'query = "select changed_at from v where a > :since; drop table v"', SOURCE + "query", "no ; is followed"),
    (QUERY, 'query = "select changed_at into w from v where a > :since"', SOURCE + "query", "only reads"),
    (QUERY, 'query = "select changed_at from v where a > :since and b = :b"', SOURCE + "query", "the query binds :b"),
    (QUERY, 'query = "select changed_at from v"', SOURCE + "cursor", "the query has no :since"),
    ('cursor = "changed_at"', "", SOURCE + "query", "the query has :since but there is no cursor"),
    ('cursor = "changed_at"', 'cursor = "changed"', SOURCE + "cursor", "the name of a column that the query selects"),
    ('["1h", "1d"]', '["1d", "1h"]', SOURCE + "recheck[1]", 'waits that widen, such as ["1h"'),
    ('["1h", "1d"]', '["1h", "soon"]', SOURCE + "recheck[1]", 'found "soon"; a duration'),
    # ---- templates
    (LAYOUT, 'layout = "{PatientID}.dcm"', DELIVER + "layout", "{SOPInstanceUID} must be in it"),
    (LAYOUT, 'layout = "{PatientName}/{SOPInstanceUID}"', DELIVER + "layout", "a path below `path` made of"),
    (LAYOUT, 'layout = "{SOPInstanceUID!r}"', DELIVER + "layout", "a path below `path` made of"),
    (LAYOUT, 'layout = "{SOPInstanceUID"', DELIVER + "layout", "{ and } only around a keyword"),
    (LAYOUT, 'layout = "../{SOPInstanceUID}"', DELIVER + "layout", "a relative path"),
    (LAYOUT, 'layout = "/x/{SOPInstanceUID}"', DELIVER + "layout", "a relative path"),
    (LAYOUT, 'layout = "a:b/{SOPInstanceUID}"', DELIVER + "layout", "letters, digits, space"),
    (TEMPLATE, 'patient_id = "CHEST"', DEID + ".patient_id", "{pseudonym} in it exactly once"),
    (TEMPLATE, 'patient_id = "{pseudonym}{name}"', DEID + ".patient_id", "no other braces"),
    (TEMPLATE, 'patient_id = "A\\\\{pseudonym}"', DEID + ".patient_id", "without backslash"),
    (TEMPLATE, f'patient_id = "{"A" * 49}{{pseudonym}}"', DEID + ".patient_id", "at most 48 characters"),
    # ---- rules and elements
    (RULE, "series = \"Modalty == 'CT'\"", 'project "chest-ct": select.series', "did you mean Modality?"),
    (RULE, 'series = "Modality =="', 'project "chest-ct": select.series', "syntax error"),
    (RULE, "series = \"Rows >= 'x'\"", 'project "chest-ct": select.series', "data type mismatch"),
    (RULE, f'series = "{"not " * 900}true"', 'project "chest-ct": select.series', "too deeply nested"),
    (RULE, f'series = "{" " * 5000}true"', 'project "chest-ct": select.series', "more than 4000 characters"),
    (TEMPLATE, 'keep = ["PatientSexx"]', DEID + ".keep[0]", "did you mean 'PatientSex'?"),
    (TEMPLATE, 'remove = ["(0009,0010)"]', DEID + ".remove[0]", "a keyword or tag of the DICOM dictionary"),
    (TEMPLATE, 'remove = ["(FFFE,E000)"]', DEID + ".remove[0]", "a keyword or tag of the DICOM dictionary"),
    (TEMPLATE, 'keep = ["SOPInstanceUID"]', DEID + ".keep[0]", "decided by the gateway"),
    (TEMPLATE, 'replace = { PatientID = "X" }', DEID + ".replace.PatientID", "decided by the gateway"),
    (TEMPLATE, 'replace = { PatientBirthDate = "1900" }', DEID + ".replace.PatientBirthDate", "that VR DA allows"),
    (TEMPLATE, 'replace = { Rows = "5" }', DEID + ".replace.Rows", "an element of text: this one is US"),
    (TEMPLATE, "replace = { StudyID = 5 }", DEID + ".replace.StudyID", "found 5; text in quotes"),
    (TEMPLATE, 'keep = ["PatientSex"]\nremove = ["00100040"]', DEID + ".remove[0]", "a second time"),
    (TEMPLATE, 'options = ["clean-pixels"]', DEID + ".options[0]", "did you mean 'clean-pixel-data'? Allowed: retain-long"),
    (TEMPLATE, 'keep = ["StudyDate"]\noptions = ["retain-longitudinal-modified-dates"]', DEID + ".keep[0]", "it tells the shift"),
    (TEMPLATE, 'crosswalk = "x.csv"\npatient_id = "CHEST-{pseudonym}"', DEID + ".crosswalk", "one of the two"),
    (TEMPLATE, 'options = ["retain-longitudinal-full-dates", "clean-graphics", "retain-longitudinal-modified-dates"]',
     DEID + ".options", "one of the two (PS3.15 E.3.6)"),
    # ---- what one part says about another
    ('pacs = ["main"]', 'pacs = ["man"]', 'project "chest-ct": pacs[0]', 'is called "man"; did you mean "main"?'),
    ('pacs = ["main"]', 'pacs = ["main", "main"]', 'project "chest-ct": pacs[1]', "each PACS once"),
    ('ris = "ris"', 'ris = "xyz"', SOURCE + "ris", 'no [[ris]] is called "xyz"; one of: "ris"'),
    ("[[ris]]", PACS + '\nae_title = "A"\nhost = "h"\n[[ris]]', 'pacs "main": name', 'found "main" a second time'),
    ("port = 11112", "port = 9110", "receiver.port", "9110 is the port of receiver and of metrics"),
    ('path = "/srv/research/chest-ct"', 'path = "/var/lib/pacs-gateway/x"', DELIVER + "path", "state_dir"),
    ('path = "/srv/research/chest-ct"', 'path = "/var/lib"', DELIVER + "path", "a folder outside of state_dir"),
    # ---- certificates
    ("port = 11112", 'tls = { key = "/k", ca = "/a" }', "receiver.tls.certificate", "certificate, key, ca: each an absolute path"),
    ("port = 11112", 'tls = { key = "/k", certificate = "/c" }', "receiver.tls.ca", "missing; certificate, key, ca"),
    ("port = 104", 'accession_forms = ["{an}", "X"]', 'pacs "main": accession_forms[1]', "text with {an} in it exactly once"),
    ("port = 104", 'accession_forms = ["{an!r}"]', 'pacs "main": accession_forms[0]', "text with {an} in it exactly once"),
    ("port = 104", 'accession_forms = ["{an.value}"]', 'pacs "main": accession_forms[0]', "text with {an} in it exactly once"),
    ("port = 104", 'accession_forms = ["{an:0>9999}"]', 'pacs "main": accession_forms[0]', "text with {an} in it exactly once"),
    ("port = 104", 'accession_forms = ["{an:*>10}"]', 'pacs "main": accession_forms[0]', "printable ASCII without * ?"),
    ("port = 104", 'accession_forms = ["{an}*"]', 'pacs "main": accession_forms[0]', "printable ASCII without * ?"),
    ("port = 104", 'accession_forms = ["{an"]', 'pacs "main": accession_forms[0]', "text with {an} in it exactly once"),
    ("port = 104", "accession_forms = []", 'pacs "main": accession_forms', ""),
    ("port = 104", "result_limit = -1", 'pacs "main": result_limit', "a number from 0 to 1000000"),
    ("port = 104", "tls = { }", 'pacs "main": tls.ca', "missing; ca: each an absolute path"),
    ("port = 104", 'tls = { ca = "/a", key = "/k" }', 'pacs "main": tls.certificate', "missing; certificate, key, ca"),
    ("port = 104", 'tls = { ca = "a" }', 'pacs "main": tls.ca', "an absolute path"),
    ("port = 104", 'tls = { ca = "/a", certificate = "/c", key = "hunter2" }', 'pacs "main": tls.key', "found text; the abs"),
    ('cursor = "changed_at"', 'cursor = "changed_at"\npush = true\npush_quiet = "0s"', SOURCE + "push_quiet", "more than nothing"),
    # ---- secrets, inline
    ("mssql+pymssql://reader@", "mssql+pymssql://reader:hunter2@", 'ris "ris": url', "found a secret in the URL"),
    ("ris/db", "ris/db?password=hunter2", 'ris "ris": url', "name it with password_file"),
    ("[receiver]", 'database = "postgresql+psycopg://u:hunter2@h/d"\n[receiver]', "database", "a secret in the URL"),
    ("[[project]]", 'password = "hunter2"\n[[project]]', 'ris "ris": password', 'password_file = "..."'),
    ("[[project]]", 'password_file = "hunter2"\n[[project]]', 'ris "ris": password_file', "found text; the absolute path"),
    ('key_file = "/etc/pacs-gateway/pseudonym.key"', 'key_file = "hunter2"', "key_file", "found text; the absolute path"),
    ("[receiver]", 'secret = "hunter2"\n[receiver]', "secret", "a secret written inline"),
    ("[receiver]", 'database_password_file = "hunter2"\n[receiver]', "database_password_file", "found text; the absolute path"),
    ("[receiver]", 'database_password_file = "/p"\n[receiver]', "database_password_file", "leave it out"),
    # ---- the audit record repository
    ("[receiver]", '[audit]\nport = 514\n[receiver]', "audit.host", "missing"),
    ("[receiver]", '[audit]\nhost = "arr"\nprotocol = "tcp"\n[receiver]', "audit.protocol", '"tls"'),
    ("[receiver]", '[audit]\nhost = "arr"\nprotocol = "udp"\ntls = { ca = "/c" }\n[receiver]', "audit.tls", "one of the two"),
    ("[receiver]", '[audit]\nhost = "arr"\ntls = { certificate = "/c" }\n[receiver]', "audit.tls.key", "missing"),
    # ---- several nodes
    ("[receiver]", 'node_lease = "5s"\n[receiver]', "node_lease", 'at least "6s"'),
    # ---- not in this version
    ('cursor = "changed_at"', 'cursor = "changed_at"\nopt_out = "select a from b"', SOURCE + "opt_out", "no column patient_id"),
    ('cursor = "changed_at"', 'cursor = "changed_at"\nopt_out = "select patient_id from b where c > :since"', SOURCE + "opt_out",
     "binds :since"),
    ('cursor = "changed_at"', 'cursor = "changed_at"\nopt_out = "delete from b"', SOURCE + "opt_out", "one statement that reads"),
    (TEMPLATE, 'options = ["clean-descriptors", "clean-recognizable-visual-features"]', DEID + ".options[1]",
     'not available in this version; allowed now: "retain-longitudinal-full-dates", "retain-longitudinal-modified-dates", '),
    # ---- archives
    (DIRECTORY, 'type = "s3"\nurl = "s3:/b"', DELIVER + "url", "a URL such as s3://bucket/prefix"),
    (DIRECTORY, DICOMWEB + 'user = "u"', DELIVER + "user", "user without password_file; both of them"),
    (DIRECTORY, DICOMWEB + 'password_file = "/p"', DELIVER + "password_file", "password_file without user"),
    (DIRECTORY, DICOMWEB + 'token_file = "/t"\nuser = "u"\npassword_file = "/p"', DELIVER + "user", "token_file together"),
    (DIRECTORY, 'type = "dicomweb"\ntoken_file = "/t"\nurl = "http://h/w"', DELIVER + "url", "in the clear; https://"),
    (DIRECTORY, DICOMWEB + 'tls = { certificate = "/c" }', DELIVER + "tls.key", "missing; certificate, key"),
    (DIRECTORY, DICOM + 'tls = { certificate = "/c", key = "/k" }', DELIVER + "tls.ca", "missing; ca, certificate, key"),
    (DIRECTORY, DICOM + "report_port = 11112", DELIVER + "report_port", "11112 is taken by another setting"),
    (DIRECTORY, DICOM + "report_port = 9110", DELIVER + "report_port", "9110 is taken by another setting"),
    (DIRECTORY, DICOM + "report_port = 9\nstorage_commitment = false", DELIVER + "report_port", "one of the two"),
    (DIRECTORY, 'type = "dicomweb"\nurl = "http://h/w"\ntls = {}', DELIVER + "tls", "begins with http://; https://"),
    (DIRECTORY, 'type = "dicomweb"\nurl = "https://h:99999/w"', DELIVER + "url", "a URL such as"),
    (DIRECTORY, 'type = "dicomweb"\nurl = "http://[::1/w"\ntoken_file = "/t"', DELIVER + "url", "a URL such as"),
    (DIRECTORY, 'type = "s3"\nurl = "s3://bucket/a/../b"', DELIVER + "url", "a URL such as s3://"),
    (DIRECTORY, 'type = "s3"\nurl = "s3://b?x"', DELIVER + "url", "a URL such as s3://"),
    (LAYOUT, 'layout = "manifests/{SOPInstanceUID}"\nmanifests = "csv"', DELIVER + "layout", "another folder"),
    (DIRECTORY, DICOM + 'commitment_timeout = "0s"', DELIVER + "commitment_timeout", "more than nothing"),
    (DIRECTORY, DICOM + "[[project.deliver]]\n" + DICOM, 'project "chest-ct": deliver[1].ae_title', "another delivery goes there"),
]  # fmt: skip


def told_line(text: str, new: str, where: str) -> int:
    """The line that must be told: where the last key of `where` stands in the new piece, or else the piece's first line."""
    keys = re.sub(r"\[\d+\]", "", where.rpartition(": ")[2]).split(".")
    start = text.index(new) if new else text.index(QUERY)
    inside = [n for key in keys for n, line in enumerate(new.split("\n")) if line.startswith(f"{key} =")]
    return text[:start].count("\n") + 1 + (inside[-1] if inside else 0)


@pytest.mark.parametrize(("old", "new", "where", "fragment"), TABLE)
def test_one_mistake(tmp_path: Path, old: str, new: str, where: str, fragment: str) -> None:
    text = changed(old, new)
    found = [m for m in mistakes(written(tmp_path, text)) if m.where == where]
    assert len(found) == 1, mistakes(written(tmp_path, text))
    expected = line_of(text, "cursor =") if where.endswith("source.cursor") else told_line(text, new, where)
    assert (found[0].file, found[0].line) == (str(tmp_path / "gateway.toml"), expected)
    assert fragment in str(found[0])
    assert "hunter2" not in " ".join(map(str, mistakes(written(tmp_path, text))))


FOLLOWS = {"[reciever]", "[[riss]]", "[pacs]", "[project.deliver]"}
"""Renaming a section, its entries are missing elsewhere too: these are told as well."""


@pytest.mark.parametrize(("old", "new"), [row[:2] for row in TABLE if row[1] not in FOLLOWS])
def test_nothing_else_is_told(tmp_path: Path, old: str, new: str) -> None:
    assert len(mistakes(written(tmp_path, changed(old, new)))) == 1
