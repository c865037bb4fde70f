"""What docs/delivering.md shows is a configuration, and says what the settings are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.run import delivering
from gateway.settings import load
from gateway.settings.schema import SINKS
from tests.architecture.source import REPOSITORY
from tests.settings.configurations import SECOND_PROJECT, VALID, mistakes, written

PAGE = (REPOSITORY / "docs" / "delivering.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_there_is_one_of_each_type() -> None:
    assert sorted(re.findall(r'^type = "(\w+)"', "".join(EXAMPLES), flags=re.MULTILINE)) == sorted(
        set(SINKS) - {"directory"}
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_configuration(tmp_path: Path, example: str) -> None:
    assert mistakes(written(tmp_path, VALID + example)) == ()
    assert mistakes(written(tmp_path, VALID + example.replace("url", "ulr").replace("host", "hots"))) != ()


def test_all_of_them_are_archives_of_one_project(tmp_path: Path) -> None:
    together = VALID + "".join(e for e in EXAMPLES if "tls" not in e) + SECOND_PROJECT
    found = load(written(tmp_path, together), files=False)
    sinks = delivering.make_sinks(found, found.project[0])
    assert [sink.name for sink in sinks] == [
        "directory:/srv/research/chest-ct", "dicomweb:https://archive.example/dicom-web", "s3://research/chest-ct@https://s3.example",
    ]  # fmt: skip
    names = ("chest-ct", "chest-ct/2", "chest-ct/3", "knee-mr")
    assert [delivering.role("deliver", p, n) for p in found.project for n in range(len(p.deliver))] == [
        f"deliver-{n}" for n in names
    ]


def test_a_bucket_of_the_same_name_at_another_server_is_another_archive(tmp_path: Path) -> None:
    """Under one name the receipt of one was that of both: the files left the outbox, and one of them never had them."""
    (example,) = (e for e in EXAMPLES if "s3://" in e)
    together = VALID + example + example.replace("s3.example", "mirror.example")
    found = load(written(tmp_path, together), files=False)
    assert len({sink.name for sink in delivering.make_sinks(found, found.project[0])}) == 3


def test_every_setting_of_an_archive_is_told() -> None:
    page = PAGE + (REPOSITORY / "docs" / "reference" / "configuration.md").read_text()
    keys = {key for section in SINKS.values() for key in section.model_fields}
    assert [key for key in sorted(keys) if f"`{key}`" not in page and f"{key} =" not in page] == []
