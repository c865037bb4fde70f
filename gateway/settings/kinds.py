"""The kinds of value a setting may have. Each check raises what `explain` turns into a mistake.

Settings made by hand (tests, the demo) give plain values: seconds, bytes, port 0 for "any free one". From a file, where the
validation context is `FROM_FILE`, a duration is text with a unit and a port is a real one.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from gateway.settings import units
from gateway.settings.cron import read_schedule
from gateway.settings.element import element_fault
from gateway.settings.finding import nearest, wrong
from gateway.settings.query import query_fault
from gateway.settings.template import accession_form_fault, layout_fault, patient_id_fault
from gateway.settings.window import read_window

OPTIONS: Final = (
    "retain-longitudinal-full-dates", "retain-longitudinal-modified-dates", "retain-patient-characteristics",
    "retain-device-identity", "retain-institution-identity", "retain-uids", "retain-safe-private", "clean-descriptors",
    "clean-structured-content", "clean-graphics", "clean-pixel-data", "clean-recognizable-visual-features",
)  # fmt: skip
"""The options of PS3.15 Table E.1-1 by the names of the interface."""

FROM_FILE: Final = {"from": "file"}
NO_PASSWORD: Final = "the URL without the secret; put that in a file of mode 0600 and name it with password_file"
SOCKET_PATH: Final = 107  # bytes, sun_path of Linux without its NUL

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_AE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_HOST: Final = re.compile(r"(?=[A-Za-z0-9].{0,252}$)[\w-]{1,63}(\.[\w-]{1,63})*(?<=[A-Za-z0-9])", re.ASCII)
"""No empty part and none of more than 63: Python would not even ask for it."""
_URL: Final = re.compile(r"[A-Za-z][\w+.-]*://[^\x00-\x1f]*", re.ASCII)
_WEB: Final = re.compile(r"https?://[^/\s]\S*")
_BUCKET: Final = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/(?!\.\.?(/|$))[^/\s?#%]+)*/?")
_PASSWORD: Final = re.compile(
    r"^[\w+.-]+://[^:/]*:[^@]+@|(pass(word|wd|phrase)?|pwd|secret|token)\s*(=|%3d)|://[^/]*:[^/]*@", re.IGNORECASE
)


def _that(fits: Callable[[str], object], allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if not fits(text):
            raise wrong("", allowed)
        return text

    return AfterValidator(check)


def _faultless(fault: Callable[[str], str | None]) -> AfterValidator:
    """`fault` says what is allowed instead."""

    def check(text: str) -> str:
        allowed = fault(text)
        if allowed:
            raise wrong("", allowed)
        return text

    return AfterValidator(check)


def _readable(read: Callable[[str], object]) -> AfterValidator:
    """`read` raises ValueError, whose message is what is allowed."""

    def fault(text: str) -> str | None:
        try:
            read(text)
        except ValueError as err:
            return str(err)
        return None

    return _faultless(fault)


def _measured(read: Callable[[str], float], allowed: str) -> BeforeValidator:
    def convert(value: object, info: ValidationInfo) -> object:
        if info.context is None and not isinstance(value, str):
            return value
        try:
            return read(value if isinstance(value, str) else "")
        except ValueError:
            raise wrong("", allowed) from None

    return BeforeValidator(convert)


def _between(low: int, high: int) -> AfterValidator:
    def check(number: float) -> float:
        if not low <= number <= high:
            raise wrong("", f"a number from {low} to {high}")
        return number

    return AfterValidator(check)


def _positive(number: float) -> float:
    if not number > 0:
        raise wrong("", "more than nothing")
    return number


def _port(number: int, info: ValidationInfo) -> int:
    if not (1 if info.context else 0) <= number <= 65535:
        raise wrong("", "a port from 1 to 65535")
    return number


def _processes(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64):
        return value
    raise wrong("", 'a number from 1 to 64, or "auto" for one per core')


def _path(value: object) -> object:
    """TOML has no paths: text becomes one."""
    if isinstance(value, str) and not value.isprintable():
        raise wrong("", "a path of printable characters")
    return Path(value) if isinstance(value, str) else value


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise wrong("", "an absolute path, such as /srv/research, without ..")
    return path


def _socket(path: Path) -> Path:
    if len(os.fsencode(path)) > SOCKET_PATH:
        raise wrong("", f"a path of at most {SOCKET_PATH} bytes: longer ones cannot name a Unix socket")
    return path


def _secret_file(path: Path) -> Path:
    """Never shows the value: people put the secret itself here."""
    credential = re.fullmatch(r"credential:[A-Za-z0-9][A-Za-z0-9._-]*", str(path))
    if not credential and not path.is_absolute():
        raise wrong("", 'the absolute path of a file that holds the secret, or "credential:NAME"')
    return path


def _secret_name(text: str) -> str:
    return str(_secret_file(Path(text)))


def _open_url(url: str) -> str:
    if _PASSWORD.search(url):
        raise wrong("found a secret in the URL", NO_PASSWORD)
    return url


def _long_enough(seconds: float) -> float:
    if seconds < 6:
        raise wrong("", 'at least "6s"; less than a minute only for tests')
    return seconds


def _web_fits(url: str) -> bool:
    return _WEB.fullmatch(url) is not None and _port_fits(url) and bool(urlsplit(url).hostname)


def _port_fits(url: str) -> bool:
    """Also what only looks like a URL has none: a port that is no number or beyond every port, half an IPv6 address."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _database_fits(text: str) -> bool:
    return text == "sqlite" or (re.fullmatch(r"postgresql\+psycopg://\S+", text) is not None and _port_fits(text))


def _zone_fits(text: str) -> bool:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):  # no name of one; unknown; a folder of them
        return False
    return True


def _host_fits(text: str) -> bool:
    return _HOST.fullmatch(text) is not None or _address_fits(text)


def _address_fits(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _option_fault(name: str) -> str | None:
    meant = nearest(name, OPTIONS)
    return (
        None if name in OPTIONS else (f"did you mean {meant!r}? " if meant else "") + "Allowed: " + ", ".join(OPTIONS)
    )


def _network_fault(text: str) -> str | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "an IP address or network, such as 10.1.2.3 or 10.1.2.0/24"
    exact = "/" not in text or ipaddress.ip_address(text.partition("/")[0]) == network.network_address
    return None if exact else f"the first address of the network: {network}"


Name: TypeAlias = Annotated[str, _that(_NAME.fullmatch, "1 to 64 letters, digits, dots, hyphens and underscores")]
Node: TypeAlias = Annotated[
    str, _that(lambda n: not n or _NAME.fullmatch(n), "letters, digits, dots, hyphens, underscores")
]
AeTitle: TypeAlias = Annotated[
    str, _that(_AE.fullmatch, "an AE title: 1 to 16 printable ASCII characters, no backslash")
]
Host: TypeAlias = Annotated[str, _that(_host_fits, "a host name or IP address alone, without scheme and port")]
Address: TypeAlias = Annotated[str, _that(_address_fits, 'an IP address of this machine, "0.0.0.0" or "::" for all')]
Network: TypeAlias = Annotated[str, _faultless(_network_fault)]
Port: TypeAlias = Annotated[int, AfterValidator(_port)]
Processes: TypeAlias = Annotated[int | Literal["auto"], BeforeValidator(_processes)]
Few: TypeAlias = Annotated[int, _between(1, 64)]
Many: TypeAlias = Annotated[int, _between(1, 1000)]
Rows: TypeAlias = Annotated[int, _between(0, 1_000_000)]
Duration: TypeAlias = Annotated[float, _measured(units.duration, units.DURATION)]
Wait: TypeAlias = Annotated[float, _measured(units.duration, units.DURATION), AfterValidator(_positive)]
Lease: TypeAlias = Annotated[Wait, AfterValidator(_long_enough)]
Size: TypeAlias = Annotated[int, _measured(units.size, units.SIZE)]
Room: TypeAlias = Annotated[int, _measured(units.size, units.SIZE), AfterValidator(_positive)]
Rate: TypeAlias = Annotated[float, _measured(units.rate, units.RATE)]
AnyPath: TypeAlias = Annotated[Path, BeforeValidator(_path)]
AbsolutePath: TypeAlias = Annotated[Path, BeforeValidator(_path), AfterValidator(_absolute)]
SocketPath: TypeAlias = Annotated[AbsolutePath, AfterValidator(_socket)]
SecretFile: TypeAlias = Annotated[Path, BeforeValidator(_path), AfterValidator(_secret_file)]
SecretName: TypeAlias = Annotated[str, AfterValidator(_secret_name)]
Url: TypeAlias = Annotated[str, AfterValidator(_open_url)]
SqlUrl: TypeAlias = Annotated[Url, _that(_URL.fullmatch, "a URL such as postgresql+psycopg://reader@host/database")]
WebUrl: TypeAlias = Annotated[Url, _that(_web_fits, "a URL such as https://archive.example/dicomweb")]
BucketUrl: TypeAlias = Annotated[Url, _that(_BUCKET.fullmatch, "a URL such as s3://bucket/prefix")]
Database: TypeAlias = Annotated[Url, _that(_database_fits, '"sqlite", or postgresql+psycopg://host/db')]
Schedule: TypeAlias = Annotated[str, _readable(read_schedule)]
Window: TypeAlias = Annotated[str, _readable(read_window)]
Zone: TypeAlias = Annotated[str, _that(_zone_fits, "a time zone such as Europe/Berlin")]
Query: TypeAlias = Annotated[str, _faultless(query_fault)]
Layout: TypeAlias = Annotated[str, _faultless(layout_fault)]
PatientId: TypeAlias = Annotated[str, _faultless(patient_id_fault)]
AccessionForm: TypeAlias = Annotated[str, _faultless(accession_form_fault)]
Option: TypeAlias = Annotated[str, _faultless(_option_fault)]
Element: TypeAlias = Annotated[str, _faultless(element_fault)]
