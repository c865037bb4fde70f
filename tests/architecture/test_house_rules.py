"""The house rules that neither ruff nor import-linter can hold; each is first shown to fire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.architecture import source
from tests.architecture.source import GATEWAY, REPOSITORY, ROOMS, modules

Rule = Callable[[str], Iterator[str]]

WORKER = GATEWAY / "run" / "worker.py"
EVERYWHERE: tuple[Rule, ...] = (source.long_functions, source.long_file)
PRODUCT: tuple[Rule, ...] = (source.swallowed_errors, source.sleeps, source.global_statements)
PURE = ("model.py", "rules.py", "keys.py", "state/machine.py", "cfind/select.py", "cmove/limits.py")

BODY = "\n    x = 1" * 40
PLANTED: tuple[tuple[Rule, str], ...] = (
    (source.long_functions, f'def f():\n    """Doc."""{BODY}\n    return x\n'),
    (source.long_file, "x = 1\n" * 301),
    (source.broad_excepts, "try:\n    x = 1\nexcept:\n    x = 2\n"),
    (source.broad_excepts, "try:\n    x = 1\nexcept (ValueError, Exception) as err:\n    raise OSError from err\n"),
    (source.swallowed_errors, "try:\n    x = 1\nexcept OSError:\n    pass\n"),
    (source.swallowed_errors, 'try:\n    x = 1\nexcept OSError:\n    "never mind"\n'),
    (source.sleeps, "import time\ntime.sleep(1)\n"),
    (source.sleeps, "from time import sleep as wait\nwait(1)\n"),
    (source.global_statements, "def f():\n    global x\n    x = 1\n"),
    (source.clock_readings, "from datetime import datetime\nx = datetime.now()\n"),
    (source.manual_gaps, '"""A room.\n\nTakes: a\nLeaves: b\nSettings: c\nMetrics: d\nFails how: e\n"""\n'),
    (source.manual_gaps, f'"""A room.\n\n{chr(10).join(s + ": x" for s in source.MANUAL)}\n"""\nimport os\n'),
)
ALLOWED: tuple[tuple[Rule, str], ...] = (
    (source.long_functions, f'def f():\n    """Doc.\n\n    More.\n    """{BODY}\n'),
    (source.long_file, "x = 1\n" * 300),
    (source.broad_excepts, "try:\n    x = 1\nexcept (ValueError, OSError):\n    raise\n"),
    (source.broad_excepts, "try:\n    x = 1\nexcept BaseException:\n    x = 2\n    raise\n"),
    (source.swallowed_errors, "try:\n    x = 1\nexcept OSError:\n    x = 2\n"),
    (source.sleeps, "import threading\nthreading.Event().wait(1)\n"),
    (source.clock_readings, "from datetime import timedelta\nx = timedelta(days=1)\n"),
    (source.manual_gaps, f'"""A room.\n\n{chr(10).join(s + ": x" for s in source.MANUAL)}\n"""\n'),
)


def told(rule: Rule, paths: Iterable[Path]) -> list[str]:
    """Every violation of `rule`, with its file. Fails when there is no file to look at."""
    looked_at = list(paths)
    assert looked_at, "no file to look at"
    return [f"{p.relative_to(REPOSITORY)}: {said}" for p in looked_at for said in rule(p.read_text("utf-8"))]


@pytest.mark.parametrize(("rule", "text"), PLANTED)
def test_the_rule_fires(rule: Rule, text: str) -> None:
    assert list(rule(text))


@pytest.mark.parametrize(("rule", "text"), ALLOWED)
def test_the_rule_lets_good_code_pass(rule: Rule, text: str) -> None:
    assert list(rule(text)) == []


@pytest.mark.parametrize("rule", EVERYWHERE)
def test_kept_everywhere(rule: Rule) -> None:
    assert told(rule, modules("gateway", "tests", "packaging")) == []


@pytest.mark.parametrize("rule", PRODUCT)
def test_kept_in_the_product(rule: Rule) -> None:
    assert told(rule, modules("gateway")) == []


def test_one_broad_except_in_the_worker_and_none_elsewhere() -> None:
    found = told(source.broad_excepts, modules("gateway"))
    assert [line.split(":")[0] for line in found] == ["gateway/run/worker.py"]
    assert WORKER.is_file()


def test_pure_modules_read_no_clock() -> None:
    pure = [GATEWAY / name for name in PURE] + modules("gateway/deidentify")
    assert told(source.clock_readings, pure) == []


def test_every_folder_is_a_room_that_we_know() -> None:
    folders = {p.parent.name for p in GATEWAY.glob("*/__init__.py")}
    assert folders == {*ROOMS, "settings"}  # settings is a layer, not a room: no work passes through it


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_opens_with_its_manual_page(room: str) -> None:
    assert told(source.manual_gaps, [GATEWAY / room / "__init__.py"]) == []


@pytest.mark.parametrize("room", [*ROOMS, "settings"])
def test_tests_mirror_the_rooms(room: str) -> None:
    assert list((REPOSITORY / "tests" / room).glob("test_*.py")), f"no tests/{room}/test_*.py"


def test_names_say_what_is_inside() -> None:
    named = {p.stem for p in modules("gateway", "tests")} | {p.parent.name for p in modules("gateway", "tests")}
    assert named & source.SAYS_NOTHING == set()
