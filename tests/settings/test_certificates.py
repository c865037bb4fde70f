"""Files of DICOM TLS: what is wrong with them is told with the place, the file and the mend, and a key is never repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.settings.configurations import changed, mistakes, written
from tests.support.certificates import Authority, Identity

Spoil = Callable[[Identity, Authority], Identity]


def _written(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def gone(own: Identity, _: Authority) -> Identity:
    own.certificate.unlink()
    return own


def no_certificate(own: Identity, _: Authority) -> Identity:
    _written(own.certificate, b"hunter2")
    return own


def no_authority(own: Identity, _: Authority) -> Identity:
    _written(own.ca, b"")
    return own


def expired(own: Identity, authority: Authority) -> Identity:
    return authority.issue("old", days=(-9, -1))


def early(own: Identity, authority: Authority) -> Identity:
    return authority.issue("new", days=(2, 9))


def weak(own: Identity, authority: Authority) -> Identity:
    return authority.issue("weak", key=rsa.generate_private_key(65537, 1024))


def open_key(own: Identity, _: Authority) -> Identity:
    own.key.chmod(0o644)
    return own


def no_key(own: Identity, _: Authority) -> Identity:
    _written(own.key, b"hunter2")
    return own


def locked_key(own: Identity, _: Authority) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    _written(own.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")))
    return own


def another_key(own: Identity, authority: Authority) -> Identity:
    return Identity(own.certificate, authority.issue("another").key, own.ca)


TABLE: list[tuple[Spoil, str, str]] = [
    (gone, "certificate", "own.pem cannot be read (No such file or directory); a PEM file"),
    (no_certificate, "certificate", "own.pem holds no certificate; a PEM file that begins with -----BEGIN CERT"),
    (no_authority, "ca", "ca.pem holds no certificate"),
    (expired, "certificate", "old.pem expired on"),
    (early, "certificate", "a certificate that is valid now, or the right clock"),
    (weak, "key", "weak.pem is refused by OpenSSL: ee key too small; RSA of 2048 bits or more"),
    (open_key, "key", "its mode 0644 lets others read it; mode 0600"),
    (no_key, "key", "the file holds no private key; a PEM file that begins with -----BEGIN PRIVATE KEY"),
    (locked_key, "key", "the private key is encrypted; a key without a passphrase"),
    (another_key, "key", "the key that the certificate was made with"),
]


def told(folder: Path, text: str) -> list[str]:
    """What is said of TLS: the files of other settings are not there either."""
    return [f"{m.where}: {m}" for m in mistakes(written(folder, text), files=True) if "tls" in m.where]


@pytest.mark.parametrize(("spoil", "setting", "words"), TABLE)
@pytest.mark.parametrize(("old", "where"), [("port = 11112", "receiver.tls"), ("port = 104", 'pacs "main": tls')])
def test_what_is_wrong(tmp_path: Path, spoil: Spoil, setting: str, words: str, old: str, where: str) -> None:
    authority = Authority(tmp_path / "ca")
    identity = spoil(authority.issue("own"), authority)
    (found,) = told(tmp_path, changed(old, f"{old}\n{identity.toml}"))
    assert found.startswith(f"{where}.{setting}: {tmp_path / 'gateway.toml'}:") and words in found
    assert "hunter2" not in found


def test_good_ones(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own = authority.issue("own", key=rsa.generate_private_key(65537, 2048))
    assert told(tmp_path, changed("port = 11112", f"port = 11112\n{own.toml}")) == []
    assert told(tmp_path, changed("port = 104", f'port = 104\ntls = {{ ca = "{own.ca}" }}')) == []


def test_a_key_as_a_credential_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Authority(tmp_path / "ca").issue("own")
    text = changed("port = 11112", f"port = 11112\n{own.toml}".replace(str(own.key), "credential:own.key"))
    assert "CREDENTIALS_DIRECTORY is not set" in "".join(told(tmp_path, text))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(own.key.parent))
    assert told(tmp_path, text) == []
