"""`pacs-gateway COMMAND`: whatever happens ends here, as a sentence on standard error and an exit code, never as a traceback.

0 done; 1 the thing asked about is not well; 2 wrong usage or configuration; 3 the daemon or a peer cannot be reached.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, TextIO

import click

from gateway.errors import BadConfiguration, GatewayError
from gateway.ops.core import forbid_core_dumps
from gateway.run.commands.exits import DONE, NOT_WELL, WRONG, exit_code

STANDARD_ERROR: Final = 2
NO_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
"""Without it onnxruntime 1.32 puts a device number and a database of what it did into the home folder, to be sent to its maker.

It looks when it is loaded; its own disable_telemetry_events() comes too late. Child processes inherit it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """`argv`: the words after the program's name, by default those of the process, which is ours then. Returns the exit code."""
    sys.excepthook = uncaught
    if argv is None:
        forbid_core_dumps()
    os.environ[NO_TELEMETRY] = "1"
    _ready_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BadConfiguration as err:
        return _say(*map(str, err.mistakes), code=WRONG)
    except GatewayError as err:
        return _say(_sentence(err), code=exit_code(err.reason))
    except click.ClickException as err:
        _speak(err.show)
        return WRONG
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", code=NOT_WELL)
    except BrokenPipeError:  # whoever read our output has seen enough
        return _closed(sys.stdout)
    except OSError as err:
        _closed(sys.stdout)
        return _say(
            f"the system refuses: {err.strerror or type(err).__name__} ({_where(err.__traceback__)})", code=NOT_WELL
        )
    return code


def uncaught(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
    """A mistake of the program: class and place. Never the message, which may hold what nobody may read."""
    if issubclass(kind, KeyboardInterrupt):
        _say("interrupted", code=NOT_WELL)
    else:
        _say(f"internal error {kind.__name__} at {_where(trace)}; please report this line", code=NOT_WELL)


def _ready_streams() -> None:
    """A stream that the caller closed leads nowhere, and what a terminal's encoding lacks is shown as an escape."""
    # Its number is taken: else the next file that is opened, such as the database, would get it, and what is printed.
    while (number := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STANDARD_ERROR, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(argv: Sequence[str] | None) -> int:
    # Here, for they take a second: by now an interrupted or failed import has somebody to say so.
    from gateway.dicom.quiet import silence
    from gateway.ops import log as logs
    from gateway.run.commands.group import pacs_gateway

    silence()
    logs.configure("warning", sys.stderr)
    logs.install_hooks()
    sys.excepthook = uncaught
    words = None if argv is None else list(argv)
    return int(pacs_gateway.main(words, prog_name="pacs-gateway", standalone_mode=False) or DONE)


def _sentence(err: GatewayError) -> str:
    detail = " ".join(err.detail.split())
    return f"{detail} ({err.reason})" if detail else err.reason


def _say(*lines: str, code: int) -> int:
    for line in lines:
        _speak(partial(click.echo, f"pacs-gateway: {line}" if code != WRONG else line, err=True))
    return code


def _speak(say: Callable[[], None]) -> None:
    """To standard error. Where nobody listens the exit code alone says it, and must."""
    try:
        say()
    except OSError:
        _closed(sys.stderr)


def _closed(stream: TextIO) -> int:
    """Nobody takes it any more: what is still buffered goes nowhere, else Python would complain at exit."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
    return NOT_WELL


def _where(trace: TracebackType | None) -> str:
    frames = list(traceback.walk_tb(trace))
    return f"{os.path.basename(frames[-1][0].f_code.co_filename)}:{frames[-1][1]}" if frames else "?"


if __name__ == "__main__":
    sys.exit(main())
