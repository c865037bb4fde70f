"""The command line: `pacs-gateway COMMAND`. Every error ends here as a sentence on stderr and an exit code, never a traceback."""

from __future__ import annotations

import sys

import click

from gateway import __version__
from gateway.dicom.quiet import silence
from gateway.errors import BadConfiguration, GatewayError
from gateway.ops import log as logs
from gateway.run.commands.daemon import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pacs-gateway")
def pacs_gateway() -> None:
    """Fills a research archive from a hospital PACS, de-identified before it is stored."""


pacs_gateway.add_command(run)


def main() -> int:
    silence()
    logs.configure("warning", sys.stderr)
    try:
        return int(pacs_gateway.main(standalone_mode=False) or 0)
    except BadConfiguration as err:
        for mistake in err.mistakes:
            click.echo(str(mistake), err=True)
        return 2
    except GatewayError as err:
        click.echo(err.detail or err.reason, err=True)
        return 1
    except click.ClickException as err:
        err.show()
        return err.exit_code


if __name__ == "__main__":
    sys.exit(main())
