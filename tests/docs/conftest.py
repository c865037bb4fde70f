"""The process as it was before a command, as for the commands' own tests."""

from tests.run.conftest import own_process

__all__ = ["own_process"]
