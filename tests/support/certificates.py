"""A hospital's certificate authority for tests: certificates and keys as PEM files, made on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.settings import Tls

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """The files of one party."""

    certificate: Path
    key: Path
    ca: Path

    @property
    def tls(self) -> Tls:
        return Tls(certificate=self.certificate, key=self.key, ca=self.ca)

    @property
    def toml(self) -> str:
        return f'tls = {{ certificate = "{self.certificate}", key = "{self.key}", ca = "{self.ca}" }}'


_SIGNS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
    key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


class Authority:
    """Issues certificates into `folder`."""

    def __init__(self, folder: Path, name: str = "Synthetic CA") -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._name, self._key = folder, _name(name), ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._made(self._name, self._key, days=(-1, 30), ca=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(
        self, name: str, *, key: PrivateKey | None = None, days: tuple[int, int] = (-1, 30), address: str = ""
    ) -> Identity:
        """`days`: from when to when, counted from today. `address`: an IP address that it is for."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(self._made(_name(name), key, days=days, address=address).public_bytes(Encoding.PEM))
        secret.touch(0o600)
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Identity(certificate, secret, self.path)

    def _made(
        self, subject: x509.Name, key: PrivateKey, *, days: tuple[int, int], ca: bool = False, address: str = ""
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )  # fmt: skip
        if ca:  # Python 3.13 wants it, and the identifiers (RFC 5280 4.2.1)
            made = made.add_extension(_SIGNS, critical=True)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            made = made.add_extension(names, critical=False)
        return made.sign(self._key, SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
