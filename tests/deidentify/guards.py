"""What the rules rely on, taken out one by one (`GUARDS`), and a battery of checks in which somebody should notice (`noticed`)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.options import MODIFIED_DATES
from gateway.deidentify.profile import Profile, compile_profile
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.model import Buffer, Dropped, Held, Kept
from gateway.settings import Deidentify
from tests.deidentify.planted import TRAPS, build, leaks, opened
from tests.deidentify.reading import Read, body_of, elements
from tests.deidentify.test_pixels import JPEG, JPEG_2000, WORDS, grey
from tests.deidentify.writer import SYNTAXES, Element, base, big, with_, write

OPTIONS = (MODIFIED_DATES, "retain-patient-characteristics", "retain-safe-private")
SAFE = [Element(0x001900E1, "LO", b"X"), Element(0x00E10012, "LO", b"ELSCINT1"), Element(0x00E11221, "DS", b"7.25")]
ICC = bytes(12) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(88)
SHIFT_BASE = with_(base(), Element(0x00080021, "DA", b"20240320"), Element(0x00101010, "AS", b"093Y"))


def icc() -> bytes:
    """A profile of one text tag."""
    body = ICC + struct.pack(">I4sII", 1, b"cprt", 144, 24) + (b"text" + bytes(4) + WORDS).ljust(24, b"\0")
    return struct.pack(">I", len(body)) + body[4:]


@lru_cache(8)
def compiled(options: tuple[str, ...]) -> Profile:
    """Once for all mutants; those that concern the profile itself must clear the cache."""
    return compile_profile(Deidentify(options=options))


class Battery:
    """Made under one mutant, and used up by one run of its checks."""

    def __init__(self) -> None:
        self.basic = self.made(())
        self.kept = self.made(OPTIONS)

    @staticmethod
    def made(options: tuple[str, ...], key: bytes = bytes(32)) -> Cleaner:
        """Its mapping remembers nothing of another mutant's."""
        return Cleaner(compiled(options), None, Pseudonyms(key, "{pseudonym}"))

    def clean(
        self, planted: list[Element] | bytes, syntax: str = "explicit", *, cleaner: Cleaner | None = None
    ) -> bytes:
        """The whole file; b"" when it was dropped."""
        data = planted if isinstance(planted, bytes) else write(big(planted) if syntax == "big" else planted, syntax)
        result = (cleaner or self.basic).clean(data, SYNTAXES[syntax], frozenset())
        return b"" if isinstance(result, Dropped) else opened(result.parts, syntax)

    def read(self, planted: list[Element] | bytes, syntax: str = "explicit", **more: Cleaner) -> dict[str, Read]:
        return {e.path: e for e in elements(body_of(self.clean(planted, syntax, **more)), syntax)}

    # ---- the checks: each asserts

    def traps(self) -> None:
        for trap in TRAPS:
            for syntax in (
                ("explicit", "implicit", "big") if trap in ("private", "un_sequences", "nested") else ("explicit",)
            ):
                data, planted = build(trap, syntax)
                output = self.clean(data, syntax)
                assert output and not leaks(output, planted), trap
                elements(body_of(output), syntax)

    def head(self) -> None:
        output = self.clean(base())
        assert output[:132] == bytes(128) + b"DICM" and b"PACSGATEWAY" in output
        found = {e.path: e.value for e in elements(body_of(output), "explicit")}
        assert found["00120062"] == b"YES " and b"113100" in found["00120064[0].00080100"]
        assert found["00080018"].rstrip(b"\0") in output[:400] and found["00280303"].strip() == b"REMOVED"

    def refusals(self) -> None:
        data = write(base(), "explicit")
        for broken in (data[:-20], data + b"\xfe\xff\x0d\xe0\0\0\0\0", data[:4] + b"??" + data[6:], data[:40]):
            assert self.clean(broken) == b""
        assert self.clean([e for e in base() if e.tag != 0x0020000D]) == b""
        assert self.clean(with_(base(), Element(0x00080018, "UI", b"1.2.x/../y"))) == b""
        text = write(with_(base(), Element(0x7FE00010, "LO", WORDS)), "explicit")
        pixels = self.basic.clean(text, SYNTAXES["explicit"], frozenset())
        assert isinstance(pixels, Dropped) and pixels.reason == "dataset.malformed"
        assert self.clean(write([e for e in base() if e.tag != 0x7FE00010], "explicit")[:-1]) == b""
        assert isinstance(self.basic.clean(data, "1.2.3", frozenset()), Dropped)
        item = (Element(0x00180060, "DS", b"120 "), Element(0x00280010, "US", b"\7\0"))
        beyond = with_(base(), Element(0x00082218, "SQ", (item,)), Element(0x00084000, "LT", WORDS))
        # the rows of the item: made to swallow the element behind the sequence
        at = write(beyond, "explicit").index(b"\x28\0\x10\0US\2")
        longer = bytearray(write(beyond, "explicit"))
        longer[at + 6] += 8 + len(WORDS) + (len(WORDS) & 1)
        assert self.clean(bytes(longer)) == b""
        tower = b"\x08\x00\x18\x22SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 60
        tower += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * 60
        at = data.index(b"\x10\x00\x10\x00")
        assert self.clean(data[:at] + tower + data[at:]) == b""

    def mended(self) -> None:
        assert self.clean(write(base(), "explicit") + bytes(64)) != b""
        shuffled = write([*base()[5:], *base()[:5]], "explicit", sort=False)
        assert self.read(shuffled).keys() == self.read(base()).keys()
        twice = self.read([*base(), Element(0x00180050, "DS", b"9.75")])
        assert twice["00180050"].value == b"2.5 "
        odd = with_(base(), Element(0x00180060, "DS", b"120", odd=True), Element(0x00189087, "FD", bytes(8)))
        assert self.read(odd)["00180060"].value == b"120 "

    def pixels(self) -> None:
        found = self.read(grey(12, 0x8ABC, 0xF123))["7FE00010"].value
        assert struct.unpack("<64H", found) == (0x0ABC, 0x0123) * 32
        image = struct.pack("<64H", *range(64))
        tail = with_(base(), Element(0x00280100, "US", b"\x10\0"), Element(0x7FE00010, "OW", image + WORDS))
        assert self.read(tail)["7FE00010"].value == image
        for frame in (JPEG, JPEG_2000):
            even = frame + bytes(len(frame) & 1)
            output = self.clean(with_(base(), Element(0x7FE00010, "OB", even)), "encapsulated")
            assert output and WORDS not in output and even[:20] in output
        assert self.clean(grey(12, 1), "encapsulated") == b""

    def held(self) -> None:
        for sop_class, kind in ((b"2", Kept), (b"6.1", Held), (b"7", Held), (b"1", Kept)):
            named = Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1." + sop_class)
            assert isinstance(
                self.basic.clean(write(with_(base(), named), "explicit"), SYNTAXES["explicit"], frozenset()), kind
            )
        for more in (Element(0x00280301, "CS", b"YES"), Element(0x00080008, "CS", b"DERIVED\\SECONDARY\\SCREEN SAVE")):
            assert isinstance(
                self.basic.clean(write(with_(base(), more), "explicit"), SYNTAXES["explicit"], frozenset()), Held
            )

    def dates(self) -> None:
        found = self.read(SHIFT_BASE, cleaner=self.kept)
        study, series = (int(found[tag].value) for tag in ("00080020", "00080021"))
        assert study < 20240317 and (series - study) % 100 in (
            3,
            3 + 100 - 31,
            3 + 100 - 30,
            3 + 100 - 28,
            3 + 100 - 29,
        )
        assert found["00101010"].value == b"090Y" and found["00100030"].value == b""
        young = with_(SHIFT_BASE, Element(0x00101010, "AS", b"076Y"))
        assert self.read(young, cleaner=self.kept)["00100030"].value not in (b"", b"19470822")
        assert (
            self.read(with_(young, Element(0x00080021, "DA", b"2024032x")), cleaner=self.kept)["00080021"].value == b""
        )
        other = self.read(with_(young, Element(0x00100020, "LO", b"PX-99")), cleaner=self.kept)
        assert other["00080020"].value != found["00080020"].value

    def mapping(self) -> None:
        pair = Element(0x00083010, "UI", b"1.2.826.0.1.99.4.1\\1.2.826.0.1.99.4.2")
        one, two = self.read(with_(base(), pair)), self.read(with_(base(2), pair))
        assert one["0020000D"] == two["0020000D"] and one["00080018"] != two["00080018"]
        uids = one["00083010"].value.strip(b"\0").split(b"\\") if "00083010" in one else [b"2.25.1", b"2.25.2"]
        assert len(uids) == 2 and uids[0] != uids[1] and all(uid.startswith(b"2.25.") for uid in uids)
        assert one["00080050"] == two["00080050"] and one["00100020"] == two["00100020"]
        other = self.read(base(), cleaner=self.made((), b"\7" * 32))
        assert all(other[tag].value != one[tag].value for tag in ("0020000D", "00080050", "00100020"))
        frame = Element(0x00200052, "UI", b"1.2.840.10008.1.4.1.1")
        assert self.read(with_(base(), frame))["00200052"].value.strip(b"\0") == b"1.2.840.10008.1.4.1.1"
        nobody = [self.read(with_(base(study=n), Element(0x00100020, "LO", b"")))["00100020"].value for n in (1, 2)]
        assert nobody[0] != nobody[1] and all(nobody)

    def private(self) -> None:
        found = self.read(with_(base(), *SAFE, Element(0x00E11299, "LO", WORDS)), cleaner=self.kept)
        assert found["00E11221"].value == b"7.25" and "00E11299" not in found and "001900E1" not in found
        wrong = with_(base(), SAFE[1], Element(0x00E11221, "LO", WORDS))
        assert WORDS not in self.clean(wrong, cleaner=self.kept)
        assert WORDS not in self.clean(
            with_(base(), Element(0x00E10012, "LO", b"ELSCINT2"), Element(0x00E11221, "DS", b"7.25"))
        )
        stranger = self.read(with_(base(), Element(0x00E10012, "LO", b"OTHER"), SAFE[2]), cleaner=self.kept)
        assert "00E11221" not in stranger and "00E10012" not in stranger

    def forms(self) -> None:
        for tag, vr, value in (
            (0x00180060, "DS", b"Qzxwordsxqjk"), (0x00180022, "CS", b"Qzxwordsxqjk"), (0x00180060, "LO", b"Qzxwordsxqjk"),
            (0x00200013, "IS", b"12 Qzxwordsxqjk"), (0x00280030, "UT", b"Qzxwordsxqjk"),
            (0x00080102, "LT", b"Qzxwordsxqjk"), (0x00189087, "FD", b"Qzxwordsxqjk"), (0x00080102, "PN", b"Qzxwordsxqjk"),
        ):  # fmt: skip
            output = self.clean(with_(base(), Element(tag, vr, value)))
            assert output and b"qzxwordsxqjk" not in output.lower()

    def contents(self) -> None:
        output = self.clean(with_(base(), Element(0x00282000, "OB", icc())))
        assert b"acsp" in output and WORDS not in output
        pdf = with_(base(), Element(0x00420011, "OB", b"%PDF-1.4 " + WORDS + b"\0" * 9))
        assert b"%PDF" in (output := self.clean(pdf)) and WORDS not in output
        nobodys = Element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.999")  # where the type is unknown, items stay
        person = (Element(0x00080100, "SH", WORDS), Element(0x00080104, "LO", WORDS))
        assert WORDS not in self.clean(
            with_(base(), nobodys, Element(0x00081072, "SQ", ((Element(0x00401101, "SQ", (person,)),),)))
        )

    def leaks(self) -> None:
        """What only `verify` can know: the patient's own values in labels that stay, or in the request."""
        planted = with_(base(), Element(0x00180015, "CS", b"QUASTENBERG"), Element(0x300A0003, "SH", b"x Quastenberg"))
        assert b"quastenberg" not in self.clean(planted).lower()
        data = write(with_(base(), Element(0x00180015, "CS", b"SYNORDERXQ")), "explicit")
        result = self.basic.clean(data, SYNTAXES["explicit"], frozenset({"SYNORDERXQ"}))
        assert isinstance(result, Dropped) or b"SYNORDERXQ" not in b"".join(result.parts)

    def told(self) -> None:
        steps = self.basic.explain(build("nested", "explicit")[0], SYNTAXES["explicit"], frozenset())
        assert any(step.path.startswith("(0054,0016)[0].") for step in steps)
        names = [step.keyword for step in steps]
        assert "PatientName" in names and "PixelData" in names

    def deflated(self) -> None:
        result = self.basic.clean(write(base(), "deflated"), SYNTAXES["deflated"], frozenset())
        assert isinstance(result, Kept)
        body = b"".join(result.parts[1:])
        assert len(body) % 2 == 0 and zlib.decompressobj(-15).decompress(body).startswith(b"\x08\0\x05\0CS")
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        endless = deflater.compress(write(base(), "explicit")) + deflater.flush(zlib.Z_SYNC_FLUSH)
        assert self.clean(endless, "deflated") == b""
        assert isinstance(self.basic.clean(write(base(), "deflated")[:-30], SYNTAXES["deflated"], frozenset()), Dropped)


BROKEN = (AssertionError, KeyError, ValueError, IndexError, TypeError, AttributeError, struct.error, zlib.error)
"""How a check may fail: what is asserted, or what cannot even be read."""
CHECKS = [
    name for name, made in vars(Battery).items() if not name.startswith("_") and name not in ("made", "clean", "read")
]


def noticed() -> str:
    """The first check that fails, or ""."""
    battery = Battery()
    for name in CHECKS:
        try:
            getattr(battery, name)()
        except BROKEN:
            return name
    return ""


KEPT = Rule(Action.KEEP, "mutant")


def same(*arguments: Any, **more: Any) -> Any:
    """The first argument, as it came."""
    return arguments[0]


def constant(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def second(*arguments: Any) -> Any:
    return arguments[1]


def unpadded(codec: Any, tag: int, vr: bytes, value: bytes) -> bytes:
    header: bytes = codec.encode_header(tag, vr, len(value))
    return header + value


def not_recursing(walker: Any, head: Any, end: int, scope: Any, action: Action) -> tuple[None, int]:
    return None, walker._skip(head, end, scope)


def first_uid(pseudonyms: Any, value: bytes) -> bytes:
    new: bytes = pseudonyms.uid(value.split(b"\\")[0])
    return new


def unkeyed(pseudonyms: Any, kind: bytes, text: bytes, size: int) -> bytes:
    import hashlib

    return hashlib.blake2b(text, digest_size=size, person=kind).digest()


def explicit_inside(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda walker, head, scope, action: original(walker, head, scope, action)._replace(codec=scope.codec)


def unscrubbed(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda walker, head, scope, action: original(walker, head, scope, action)._replace(scrub=False)


def without_preamble(original: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda *a: b"Quastenberg".ljust(128, b"\0") + original(*a)[128:]


def whole(value: Buffer, *_: Any) -> Buffer:
    return value


LETTERS = re.compile(rb"(?s).*").fullmatch
