"""The house rules as functions: the text of a module in, one sentence per violation out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GATEWAY = REPOSITORY / "gateway"
ROOMS = ("accession", "cfind", "cmove", "cstore", "deidentify", "deliver", "dicom", "ops", "run", "state")
MANUAL = ("Takes", "Leaves", "Settings", "Metrics", "Fails how", "Standard")
FUNCTION_LINES, FILE_LINES = 40, 300
SAYS_NOTHING = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "handler", "data", "misc"})
CLOCK = frozenset({"now", "utcnow", "today"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> list[Path]:
    """Every Python file below these folders of the repository."""
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


def long_functions(text: str) -> Iterator[str]:
    """Bodies over 40 lines, the docstring not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function) and _lines(node) > FUNCTION_LINES:
            yield f"line {node.lineno}: {node.name} has {_lines(node)} lines"


def _lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_file(text: str) -> Iterator[str]:
    if text.count("\n") > FILE_LINES:
        yield f"{text.count(chr(10))} lines"


def broad_excepts(text: str) -> Iterator[str]:
    """`except:`, `except Exception`, `except BaseException`, alone or in a tuple.

    One whose last word is a bare `raise` stops nothing: it cleans up, as `finally` does.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _goes_on(node.body[-1]):
            yield f"line {node.lineno}: a broad except"


def _goes_on(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Raise) and statement.exc is None


def _is_broad(caught: ast.expr | None) -> bool:
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(p is None or (isinstance(p, ast.Name) and p.id in ("Exception", "BaseException")) for p in parts)


def swallowed_errors(text: str) -> Iterator[str]:
    """A handler that does nothing at all; `contextlib.suppress` says the same aloud."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and all(_is_nothing(statement) for statement in node.body):
            yield f"line {node.lineno}: an except that does nothing"


def _is_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def sleeps(text: str) -> Iterator[str]:
    """`time.sleep`, under whatever name; a daemon waits on its stop event."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr == "sleep":
            yield f"line {node.lineno}: sleep"
        elif isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in _names(node):
            yield f"line {node.lineno}: sleep is imported"


def _names(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def global_statements(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: global {', '.join(node.names)}"


def clock_readings(text: str) -> Iterator[str]:
    """`datetime.now()` and its like: what an import contract cannot see."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK:
            yield f"line {node.lineno}: {node.func.attr}()"


def manual_gaps(text: str) -> Iterator[str]:
    """A room's `__init__`: its manual page and nothing else."""
    tree = ast.parse(text)
    page = ast.get_docstring(tree) or ""
    for section in MANUAL:
        if not any(line.startswith((f"{section}:", f"{section} ")) for line in page.splitlines()):
            yield f"the manual page does not say: {section}"
    if len(tree.body) > 1:
        yield f"line {tree.body[1].lineno}: code in a room's __init__"
