"""Certificates and keys of DICOM TLS: which settings belong together, and whether the files they name can be used.

Nothing of a private key is repeated, its path neither: people put the key itself where its file's name belongs.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.errors import Fatal
from gateway.settings.finding import Finding, Place, Raw, entries
from gateway.settings.schema import Tls
from gateway.settings.secret import Fault, private_fault, secret, secret_path

MAX_BUNDLE: Final = 16 * 2**20  # bytes of a file of authorities
PEM: Final = "a PEM file that begins with -----BEGIN CERTIFICATE-----"
PLACES: Final = ("receiver.tls", "pacs.*.tls", "audit.tls", "project.*.deliver.*.tls")


def half_certificates(raw: Raw) -> Iterator[Finding]:
    """The receiver is mutual: it needs all three. A PACS needs its authority, and a certificate of ours only with its key.

    An audit record repository may be known by the authorities of this machine.
    """
    for place, tls in entries(raw, "receiver.tls"):
        yield from missing(place, tls, ("certificate", "key", "ca"))
    for place, tls in entries(raw, "pacs.*.tls"):
        ours = isinstance(tls, Mapping) and ("certificate" in tls or "key" in tls)
        yield from missing(place, tls, ("certificate", "key", "ca") if ours else ("ca",))
    for place, tls in entries(raw, "audit.tls"):
        if isinstance(tls, Mapping) and ("certificate" in tls or "key" in tls):
            yield from missing(place, tls, ("certificate", "key"))


def missing(place: Place, tls: object, wanted: Sequence[str]) -> Iterator[Finding]:
    """A finding for each of `wanted` that this table has not."""
    if isinstance(tls, Mapping):
        for name in wanted:
            if name not in tls:
                yield Finding((*place, name), "missing", f"{', '.join(wanted)}: each an absolute path")


def bad_certificates(raw: Raw) -> Iterator[Finding]:
    """A finding for each file of TLS that cannot be used."""
    for pattern in PLACES:
        for place, tls in entries(raw, pattern):
            if isinstance(tls, Mapping) and all(isinstance(value, str) for value in tls.values()):
                for name, fault in certificate_faults(tls):
                    yield Finding((*place, name), *fault)


def paths(tls: Tls) -> dict[str, str]:
    """Setting -> path, of those that are set."""
    return {name: str(value) for name, value in tls if value is not None}


def certificate_faults(tls: Mapping[str, str], now: datetime | None = None) -> Iterator[tuple[str, Fault]]:
    """(setting, fault) for each of `certificate`, `key` and `ca` that is named and cannot be used."""
    faults = {name: _fault(name, path, now or datetime.now(UTC)) for name, path in tls.items()}
    found = {name: fault for name, fault in faults.items() if fault}
    if not found and "key" in tls and "certificate" in tls:
        pair = _pair_fault(tls["certificate"], tls["key"])
        found = {"key": pair} if pair else {}
    yield from found.items()


def _fault(name: str, path: str, now: datetime) -> Fault | None:
    if name == "key":
        return private_fault(path, "a file of mode 0600 with the private key of the certificate") or _key_fault(path)
    try:
        with Path(path).open("rb") as file:
            certificates = x509.load_pem_x509_certificates(file.read(MAX_BUNDLE))
    except (OSError, ValueError) as err:
        told = f"cannot be read ({err.strerror})" if isinstance(err, OSError) else "holds no certificate"
        return Fault(f"{path} {told}", PEM)
    return _time_fault(path, certificates[0], now) if name == "certificate" else None


def _time_fault(path: str, certificate: x509.Certificate, now: datetime) -> Fault | None:
    until, since = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if now > until:
        return Fault(f"{path} expired on {until.date()}", "a renewed certificate, and then SIGHUP")
    if now < since:
        return Fault(f"{path} is valid from {since.date()} on", "a certificate that is valid now, or the right clock")
    return None


def _key_fault(path: str) -> Fault | None:
    try:
        load_pem_private_key(secret(path), None)
    except TypeError:
        return Fault(
            "the private key is encrypted", "a key without a passphrase, mode 0600: openssl pkey -in KEY -out NEW"
        )
    except ValueError:
        return Fault("the file holds no private key", "a PEM file that begins with -----BEGIN PRIVATE KEY-----")
    return None


def _pair_fault(certificate: str, key: str) -> Fault | None:
    if _public(x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]) != _public_of_key(key):
        return Fault(f"the private key is not that of {certificate}", "the key that the certificate was made with")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, secret_path(key))
    except ssl.SSLError as err:
        reason = (err.reason or "no reason given").lower().replace("_", " ")
        return Fault(f"{certificate} is refused by OpenSSL: {reason}", "RSA of 2048 bits or more, or ECDSA P-256")
    return None


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_of_key(key: str) -> bytes:
    public = load_pem_private_key(secret(key), None).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def expiry(certificate: Path) -> datetime | None:
    """When the first certificate of the file expires; None when it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError):
        return None


def check_certificates(tls: Tls) -> None:
    """Raises Fatal("tls.file") with the file and the mend."""
    for _, fault in certificate_faults(paths(tls)):
        raise Fatal("tls.file", f"{fault.found}; {fault.allowed}")
