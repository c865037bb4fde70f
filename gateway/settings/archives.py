"""What the settings of one [[project.deliver]] say about each other, and about the files they name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.settings.certificates import certificate_faults, missing
from gateway.settings.finding import Finding, Place, Raw, entries, shown, texts
from gateway.settings.schema import Settings
from gateway.settings.secret import password_fault, private_fault

EVERY: Final = "project.*.deliver.*"
SAME: Final = {"dicomweb": ("url",), "s3": ("url", "endpoint"), "dicom": ("ae_title", "host", "port")}
"""What makes two archives of a kind one."""


def bad_archives(raw: Raw) -> Iterator[Finding]:
    """Every finding that needs no file."""
    for place, archive in entries(raw, EVERY):
        if isinstance(archive, Mapping):
            yield from _credentials(place, archive)
            yield from _half_tls(place, archive)
            yield from _in_vain(place, archive)
    yield from _twice(raw)
    yield from _ports(raw)


def bad_archive_files(raw: Raw) -> Iterator[Finding]:
    """A finding for each secret, and each authority of HTTPS, that cannot be used. For `tls`: `certificates`."""
    for name, fault_of in (
        ("token_file", password_fault),
        ("password_file", password_fault),
        ("credentials_file", lambda path: private_fault(path, "a file of mode 0600 as the AWS tools write it")),
    ):
        for place, path in texts(raw, f"{EVERY}.{name}"):
            fault = fault_of(path)
            if fault:
                yield Finding(place, *fault)
    for place, path in texts(raw, f"{EVERY}.ca"):
        yield from (Finding(place, *fault) for _, fault in certificate_faults({"ca": path}))


def _credentials(place: Place, archive: Mapping[str, object]) -> Iterator[Finding]:
    basic = [name for name in ("user", "password_file") if name in archive]
    if "token_file" in archive and basic:
        yield Finding((*place, basic[0]), f"token_file together with {basic[0]}", "one of the two")
    if len(basic) == 1:
        (other,) = {"user", "password_file"} - {*basic}
        yield Finding((*place, basic[0]), f"{basic[0]} without {other}", "both of them, or token_file, or none")
    url = archive.get("url")
    if ("token_file" in archive or basic) and isinstance(url, str) and url.startswith("http://") and not _here(url):
        yield Finding((*place, "url"), "a secret would cross the network in the clear", "https://")


def _here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _half_tls(place: Place, archive: Mapping[str, object]) -> Iterator[Finding]:
    """A DICOM archive is known by the site's own authority; HTTPS by the system's, where none is named."""
    tls = archive.get("tls")
    if not isinstance(tls, Mapping):
        return
    wanted = ["ca"] if archive.get("type") == "dicom" else []
    wanted += ["certificate", "key"] if "certificate" in tls or "key" in tls else []
    yield from missing((*place, "tls"), tls, wanted)


def _in_vain(place: Place, archive: Mapping[str, object]) -> Iterator[Finding]:
    """What another setting makes of no effect: nobody must think that it has one."""
    for name, url in (("tls", archive.get("url")), ("ca", archive.get("endpoint"))):
        if name in archive and isinstance(url, str) and url.startswith("http://"):
            yield Finding((*place, name), f"{name} with a URL that begins with http://", "https://, or leave it out")
    if "report_port" in archive and archive.get("storage_commitment") is False:
        yield Finding((*place, "report_port"), "report_port with storage_commitment = false", "one of the two")
    if "manifests" in archive and str(archive.get("layout")).startswith("manifests/"):
        yield Finding((*place, "layout"), "files among the manifests", "another folder than manifests")


def _twice(raw: Raw) -> Iterator[Finding]:
    """An S3 prefix is one project's; another archive may serve several, but a project has each once."""
    seen: set[tuple[object, ...]] = set()
    for place, archive in entries(raw, EVERY):
        kind = archive.get("type") if isinstance(archive, Mapping) else None
        if not isinstance(archive, Mapping) or not isinstance(kind, str) or kind not in SAME:
            continue
        same = (kind, None if kind == "s3" else place[1], *(str(archive.get(name)) for name in SAME[kind]))
        if same in seen:
            yield Finding(
                (*place, SAME[kind][0]), "another delivery goes there", "each [[project.deliver]] an archive of its own"
            )
        seen.add(same)


def _ports(raw: Raw) -> Iterator[Finding]:
    """Each archive brings its reports to a port of its own."""
    used = [(name, port) for name in ("receiver", "metrics") for _, port in entries(raw, f"{name}.port")]
    ports = {port for _, port in used if isinstance(port, int)}
    given = {name for name, _ in used}
    ports |= {Settings.model_fields[name].default.port for name in ("receiver", "metrics") if name not in given}
    for place, port in entries(raw, f"{EVERY}.report_port"):
        if isinstance(port, int) and port in ports:
            yield Finding(
                place, f"{shown(port)} is taken by another setting", "a port that nothing else here listens on"
            )
        elif isinstance(port, int):
            ports.add(port)
