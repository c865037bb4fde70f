"""A whole configuration: what comes out of a valid one, files beside it, many mistakes at once, files that are none."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from gateway.settings import DirectorySink, Part, Settings, load
from gateway.settings.available import WORKS
from gateway.settings.finding import entries
from tests.settings.configurations import SECOND_PROJECT, VALID, changed, line_of, mistakes, written

ETC = Path(__file__).parents[2] / "etc"


def load_text(folder: Path, text: str | bytes) -> Settings:
    return load(written(folder, text), files=False)


def test_valid(tmp_path: Path) -> None:
    settings = load_text(tmp_path, VALID)
    (project,) = settings.project
    assert project.source is not None
    assert project.source.recheck == (3600.0, 86400.0)
    assert project.deliver == (
        DirectorySink(path=Path("/srv/research/chest-ct"), layout="{PatientID}/{SOPInstanceUID}.dcm"),
    )
    assert settings.receiver.peers[0].address == "10.1.2.0/24"
    assert settings.pacs[0].response_timeout == 900.0
    assert settings.node == platform.node()


def test_units_become_numbers(tmp_path: Path) -> None:
    text = changed("port = 11112", 'port = 11112\nprocesses = "auto"\nmin_free_disk = "1.5 GiB"\nbind = "::1"')
    text = text.replace("port = 11112", 'port = 11112\nmax_outbox = "2 TB"')
    settings = load_text(
        tmp_path, text.replace("port = 104", 'port = 104\nmax_rate = "2 MiB/s"\nresponse_timeout = "1.5m"')
    )
    assert settings.receiver.max_outbox == 2 * 10**12
    assert settings.pacs[0].max_rate == 2 * 2**20
    assert settings.receiver.min_free_disk == 3 * 2**29
    assert settings.receiver.processes == "auto"
    assert settings.pacs[0].response_timeout == 90.0


def test_a_project_needs_no_ris(tmp_path: Path) -> None:
    head = VALID[: VALID.index("[[ris]]")]
    assert load_text(tmp_path, head + SECOND_PROJECT).project[0].source is None


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode()
    assert load_text(tmp_path, text).pacs[0].name == "main"
    (found,) = mistakes(written(tmp_path, text.replace(b"port = 104", b"port = 0")))
    assert found.line == line_of(VALID, "port = 104")


def test_one_port_on_two_addresses(tmp_path: Path) -> None:
    text = changed("port = 11112", 'port = 9110\nbind = "10.1.2.9"')
    assert load_text(tmp_path, text).receiver.port == load_text(tmp_path, text).metrics.port
    (told,) = mistakes(written(tmp_path, text.replace("10.1.2.9", "::")))
    assert told.allowed == "two different ports"


QUERIES = [
    "select changed_at from v where changed_at >= :since;",
    "-- a comment; with a semicolon\nWITH x AS (select * from v where n = ';') SELECT * FROM x where changed_at > :since",
    "(select changed_at from v where changed_at > :since) union (select changed_at from w where changed_at > :since)",
    "select changed_at, '12:30', a::text, \"update\" from v where changed_at > :since /* delete from v */",
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_that_read(tmp_path: Path, query: str) -> None:
    old = '"select accession_number, changed_at from v where changed_at >= :since"'
    load_text(tmp_path, changed(old, f"'''{query.replace(chr(39) * 3, '')}\n'''"))


# ---- projects.d


def add_project(folder: Path, name: str, text: str) -> str:
    (folder / "projects.d").mkdir(exist_ok=True)
    path = folder / "projects.d" / name
    path.write_text(text)
    return str(path)


def test_projects_d_adds_projects_by_name(tmp_path: Path) -> None:
    add_project(tmp_path, "20.toml", SECOND_PROJECT.replace("knee-mr", "hip-mr"))
    add_project(tmp_path, "10.toml", SECOND_PROJECT)
    add_project(tmp_path, ".hidden.toml", "no toml")
    add_project(tmp_path, "10.toml.bak", "no toml")
    assert [p.name for p in load_text(tmp_path, VALID).project] == ["chest-ct", "knee-mr", "hip-mr"]


def test_projects_d_alone(tmp_path: Path) -> None:
    add_project(tmp_path, "a.toml", SECOND_PROJECT)
    assert [p.name for p in load_text(tmp_path, VALID[: VALID.index("[[project]]")]).project] == ["knee-mr"]


def test_mistakes_are_told_in_their_own_file(tmp_path: Path) -> None:
    a = add_project(tmp_path, "a.toml", SECOND_PROJECT.replace('["main"]', '["other"]'))
    b = add_project(tmp_path, "b.toml", "\n" + SECOND_PROJECT)
    found = mistakes(written(tmp_path, changed("port = 104", "port = 0")))
    told = [(m.file, m.line, m.where) for m in found]
    assert told == [
        (str(tmp_path / "gateway.toml"), 15, 'pacs "main": port'),
        (a, 3, 'project "knee-mr": pacs[0]'),
        (b, 3, 'project "knee-mr": name'),
        (b, 8, 'project "knee-mr": deliver[0].path'),
    ]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ('state_dir = "/x"\n' + SECOND_PROJECT, 1, 'unknown key "state_dir"'),
        (SECOND_PROJECT + "\n" + SECOND_PROJECT.replace("knee", "hip"), 9, "not one [[project]]"),
        ("", 0, "not one [[project]]"),
        ("[project]\nname = 'x'\n", 1, "not one [[project]]"),
    ],
)
def test_projects_d_holds_one_project_each(tmp_path: Path, text: str, line: int, found: str) -> None:
    path = add_project(tmp_path, "a.toml", text)
    (told,) = mistakes(written(tmp_path, VALID))
    assert (told.file, told.line, told.found) == (path, line, found)


def test_projects_d_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "projects.d").write_text("")
    (told,) = mistakes(written(tmp_path, VALID))
    assert told.found == "cannot be read (Not a directory)"


# ---- many at once


def test_all_mistakes_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = VALID
    for old, new in (
        ('"10.1.2.0/24"', '"10.1.2.0/33"'),
        ("port = 104", "prot = 104"),
        ("[[ris]]", '[[ris]]\npassword = "hunter2"'),
        ("*/5 * * * *", "*/5 * *"),
        ("Modality ==", "Modalty =="),
        ("CHEST-{pseudonym}", "CHEST"),
        ('type = "directory"', 'type = "dicom"'),
        ("state_dir", "statedir"),
        ('"1h", "1d"', '"1d", "1h"'),
    ):
        text = text.replace(old, new)
    found = mistakes(written(tmp_path, text))
    assert [(m.line, m.where.rpartition(" ")[2]) for m in found] == [
        (1, "statedir"),
        (8, "receiver.peers[0].address"),
        (15, "prot"),
        (18, "password"),
        (28, "source.schedule"),
        (31, "source.recheck[1]"),
        (34, "select.series"),
        (37, "deidentify.patient_id"),
        (39, "deliver[0].ae_title"),
        (39, "deliver[0].host"),
        (41, "deliver[0].path"),
        (42, "deliver[0].layout"),
    ]
    assert all(str(m).startswith(f"{tmp_path}/gateway.toml:{m.line}: ") for m in found)


def test_an_empty_file_says_what_is_required(tmp_path: Path) -> None:
    found = mistakes(written(tmp_path, ""))
    assert [(m.line, m.where, m.allowed) for m in found] == [
        (0, "pacs", "at least one [[pacs]]"),
        (0, "project", "at least one [[project]]"),
    ]


def test_an_invalid_entry_does_not_count_as_missing(tmp_path: Path) -> None:
    assert [m.where for m in mistakes(written(tmp_path, changed("port = 104", "port = 0")))] == ['pacs "main": port']


def test_a_project_without_delivery(tmp_path: Path) -> None:
    (found,) = mistakes(written(tmp_path, VALID[: VALID.index("[[project.deliver]]")]))
    assert (found.where, found.allowed) == ('project "chest-ct": deliver', "at least one [[project.deliver]]")
    assert found.line == line_of(VALID, "[[project]]")


def test_what_excludes_each_other(tmp_path: Path) -> None:
    dates = 'options = ["retain-longitudinal-full-dates", "retain-longitudinal-modified-dates"]'
    told = [
        str(m) for m in mistakes(written(tmp_path, changed("[project.deidentify]", f"[project.deidentify]\n{dates}")))
    ]
    assert any("one of the two (PS3.15 E.3.6)" in t for t in told)


# ---- files that are none


@pytest.mark.parametrize(
    ("content", "line", "fragment"),
    [
        (b"a = 1\nb = = 2\n", 2, "TOML: Invalid value; valid TOML 1.0"),
        (b"a = 1\n\na = 2\n", 3, 'TOML: the key "a" a second time'),
        (b"a = 1\n[pacs\n", 2, "TOML: Expected ']'"),
        (b'a = 1\nb = """x\n', 2, "TOML: a quote that is not closed"),
        (b"\npassword = hunter2\n", 2, "TOML: Invalid value"),
        (b"a = 1\nb = '\xe4'\n", 2, "not UTF-8 text; a TOML file saved as UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, 0, "a number or nesting beyond all measure"),
        (b"a = " + b"9" * 5000, 0, "a number or nesting beyond all measure"),
        (b"#" * (2**20 + 1), 0, "too large for a configuration"),
    ],
)
def test_not_toml(tmp_path: Path, content: bytes, line: int, fragment: str) -> None:
    (found,) = mistakes(written(tmp_path, content))
    assert found.line == line
    assert fragment in str(found)
    assert "hunter2" not in str(found)


def test_no_such_file(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path / "absent.toml")
    assert "there is no such file; a readable TOML file; name another one with --config PATH" in str(found)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path)
    assert "cannot be read (Is a directory)" in str(found)


# ---- what is shipped


def test_the_first_configuration_is_valid() -> None:
    settings = load(ETC / "gateway.toml", files=False)
    assert settings.project[0].name == "chest-ct"
    assert settings.ris[0].password_file is not None


def test_the_first_configuration_needs_no_driver_that_is_not_installed() -> None:
    pinned = (ETC.parent / "requirements" / "run.txt").read_text()
    driver = load(ETC / "gateway.toml", files=False).ris[0].url.partition("://")[0].partition("+")[2]
    assert re.search(rf"^{driver}==", pinned, re.MULTILINE)


def test_the_readme_of_projects_d_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (ETC / "projects.d" / "README.md").read_text(), re.DOTALL)
    add_project(tmp_path, "knee.toml", example)
    assert load_text(tmp_path, VALID).project[1].name == "knee-mr"


def parts(section: type[Part] = Part) -> list[type[Part]]:
    return [inner for part in section.__subclasses__() for inner in (part, *parts(part))]


def test_the_first_configuration_names_every_setting() -> None:
    text = (ETC / "gateway.toml").read_text()
    later = {"DicomSink", "DicomWebSink", "S3Sink", "Tls"}
    named = {key for part in parts() if part.__name__ not in later for key in part.model_fields}
    assert [key for key in sorted(named) if not re.search(rf"\b{key}\b", text)] == []


@pytest.mark.parametrize("pattern", list(WORKS))
def test_the_table_names_settings_that_exist(pattern: str) -> None:
    """A row that fits nothing would refuse nothing."""
    section: type[Part] = Settings
    *above, last = [step for step in pattern.split(".") if step != "*"]
    names = {
        "receiver": "Receiver",
        "pacs": "Pacs",
        "project": "Project",
        "source": "Source",
        "deliver": "DirectorySink",
    }
    for step in above:
        assert step in section.model_fields
        section = next(p for p in parts() if p.__name__ == names.get(step, step.title()))
    assert last in section.model_fields


def test_entries_leaves_out_what_is_absent() -> None:
    raw = {"a": ({"b": 1}, {"c": 2}, 3)}
    assert list(entries(raw, "a.*.b")) == [(("a", 0, "b"), 1)]
