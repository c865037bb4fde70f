"""Secrets come from files that others cannot read; what is wrong with one is said with the mend and without its content."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import Fatal
from gateway.settings import Settings, load, read_key, read_password, secret, secret_path
from gateway.settings.secret import Fault, key_fault, password_fault
from tests.settings.configurations import VALID, changed, line_of, mistakes, written

KEY = bytes(range(32))


def stored(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def with_key(reference: object) -> str:
    return VALID.replace("/etc/pacs-gateway/pseudonym.key", str(reference))


def with_password(key: Path, reference: object) -> str:
    return with_key(key).replace("[[ris]]", f'[[ris]]\npassword_file = "{reference}"')


def load_with_key(folder: Path, reference: object) -> Settings:
    return load(written(folder, with_key(reference)))


def test_read_key(tmp_path: Path) -> None:
    assert read_key(load_with_key(tmp_path, stored(tmp_path / "key", KEY))) == KEY


def test_read_key_from_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    stored(tmp_path / "pseudonym-key", KEY, 0o440)  # systemd's own modes are not ours to judge
    assert read_key(load_with_key(tmp_path, "credential:pseudonym-key")) == KEY


def test_a_credential_stays_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secret_path("credential:../../etc/shadow") == tmp_path / "shadow"


@pytest.mark.parametrize(
    ("content", "mode", "fragment"),
    [
        (None, 0, "there is no such file; make a key with: pacs-gateway key init"),
        (KEY[:31], 0o600, "the file does not hold 32 bytes"),
        (KEY + b"\n", 0o600, "the file does not hold 32 bytes"),
        (KEY, 0o640, "its mode 0640 lets others read it; mode 0600: chmod 600"),
        (KEY, 0o604, "its mode 0604 lets others read it"),
    ],
)
def test_bad_key(tmp_path: Path, content: bytes | None, mode: int, fragment: str) -> None:
    key = tmp_path / "key"
    if content is not None:
        stored(key, content, mode)
    (found,) = mistakes(written(tmp_path, with_key(key)), files=True)
    assert (found.where, found.line) == ("key_file", line_of(VALID, "key_file"))
    assert fragment in str(found)
    with pytest.raises(Fatal, match=r"key\.file"):
        read_key(load(written(tmp_path, with_key(key)), files=False))


def test_the_default_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "stat", lambda self: (_ for _ in ()).throw(FileNotFoundError()))
    text = changed('key_file = "/etc/pacs-gateway/pseudonym.key"\n', "")
    (found,) = mistakes(written(tmp_path, text), files=True)
    assert (found.line, found.found) == (0, "there is no such file (/etc/pacs-gateway/pseudonym.key, the default)")


def test_no_credentials_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (found,) = mistakes(written(tmp_path, with_key("credential:pseudonym-key")), files=True)
    assert "CREDENTIALS_DIRECTORY is not set" in found.found
    with pytest.raises(Fatal, match="CREDENTIALS_DIRECTORY"):
        secret("credential:pseudonym-key")


@pytest.mark.parametrize("content", [b"s p", b"s p\n", b"s p\r\n", b"s p\nsecond line\n", b"\xef\xbb\xbfs p\r\n"])
def test_read_password(tmp_path: Path, content: bytes) -> None:
    assert read_password(stored(tmp_path / "password", content, 0o640)) == "s p"


@pytest.mark.parametrize(
    ("content", "mode", "fragment"),
    [
        (None, 0, "there is no such file"),
        (b"", 0o600, "the file's first line is empty"),
        (b"\nhunter2\n", 0o600, "the file's first line is empty"),
        (b"hunter2\n", 0o644, "its mode 0644 lets others read it"),
        ("hunter2\n".encode("utf-16"), 0o600, "the file's first line is not UTF-8 text"),
        ("hunter2\n".encode("utf-16-le"), 0o600, "the file's first line is not UTF-8 text"),
        ("hunter\u00fc\n".encode("latin-1"), 0o600, "the file's first line is not UTF-8 text; a file saved as UTF-8"),
        (b"\xef\xbb\xbf\n", 0o600, "the file's first line is empty"),
    ],
)
def test_bad_password(tmp_path: Path, content: bytes | None, mode: int, fragment: str) -> None:
    path = tmp_path / "password"
    if content is not None:
        stored(path, content, mode)
    text = with_password(stored(tmp_path / "key", KEY), path)
    (found,) = mistakes(written(tmp_path, text), files=True)
    assert (found.where, found.line) == ('ris "ris": password_file', line_of(text, "password_file"))
    assert fragment in str(found)
    with pytest.raises(Fatal, match=r"password\.file") as raised:
        read_password(path)
    assert "hunter2" not in str(raised.value)


def test_a_password_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="not UTF-8") as raised:
        read_password(stored(tmp_path / "password", b"\xff\xfe"))
    assert raised.value.__context__ is None, "it would quote the bytes"


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    (found,) = mistakes(written(tmp_path, with_key(tmp_path)), files=True)
    assert "not a file that this user can read" in str(found)
    with pytest.raises(Fatal, match=r"secret\.unreadable"):
        secret(tmp_path)


OWNER, ACCOUNT = 4711, 4712  # of a file, and of whom the test pretends to be


@pytest.fixture
def made_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files belong to "maker", and "gateway" may read none of them: the tests may run as root, who reads all."""
    names = {OWNER: "maker", ACCOUNT: "gateway"}
    real = os.stat
    monkeypatch.setattr(Path, "stat", lambda self: os.stat_result((*real(self)[:4], OWNER, *real(self)[5:10])))
    monkeypatch.setattr(os, "geteuid", lambda: ACCOUNT)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd((names[uid], "x", uid, 0, "", "", "")))


@pytest.mark.parametrize("fault", [key_fault, password_fault])
def test_a_file_of_another_account(tmp_path: Path, made_as_somebody: None, fault: Callable[[Path], Fault]) -> None:
    told = fault(stored(tmp_path / "file", KEY))
    assert told.found == "it belongs to maker, and gateway may not read it"
    assert "chown gateway: FILE" in told.allowed and "init" not in told.allowed


def test_a_file_of_an_account_without_a_name(tmp_path: Path, made_as_somebody: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pwd, "getpwuid", lambda _: (_ for _ in ()).throw(KeyError()))
        told = key_fault(stored(tmp_path / "file", KEY))
    assert told is not None and f"it belongs to {OWNER}, " in told.found and f"chown {ACCOUNT}: " in told.allowed


def test_a_file_that_its_own_user_cannot_read(
    tmp_path: Path, made_as_somebody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: OWNER)
    assert key_fault(stored(tmp_path / "file", KEY, 0)) == ("its own user cannot read it", "mode 0600: chmod 600")


def test_a_file_in_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "stat", lambda self: (_ for _ in ()).throw(PermissionError()))
    told = key_fault(tmp_path / "file")
    assert told is not None and told.found == "its folder is closed to this user" and "init" not in told.allowed


MISPLACED = """\
key_file = "/a2VYc2VjcmV0/hunter2"
database = "postgresql+psycopg://u:hunter2@h/d"
[[pacs]]
name = "m"
ae_title = "A"
host = "h"
password = 5
[pacs.tls]
key = "hunter2"
passphrase = "hunter2"
[[ris]]
name = "r"
url = "mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3Dhunter2"
password_file = ["hunter2"]
[[ris]]
name = "r2"
url = "hunter2"
token = "hunter2"
[[ris]]
name = "r3"
url = "mssql://u@dom:hunt@er2@host/db"
[[project]]
name = "p"
pacs = ["m"]
[[project.deliver]]
type = "dicomweb"
url = "https://u:hunter2@h"
token = "hunter2"
[[project.deliver]]
type = "s3"
url = "s3://b"
endpoint = "hunter2"
secret_key = "hunter2"
access_key_id = "hunter2"
"""


def test_no_message_repeats_a_secret(tmp_path: Path) -> None:
    told = mistakes(written(tmp_path, MISPLACED), files=True)
    lines = [n for n, line in enumerate(MISPLACED.splitlines(), start=1) if "hunt" in line]
    assert set(lines) <= {m.line for m in told}
    assert "hunt" not in " ".join(map(str, told))
