"""The `kb` command: parses options, calls a use case, prints. Nothing is decided here.

Exit status: 0 done, 1 done but not all of it (a file failed, a figure fell below its baseline), 2 could not run. Heavy
imports happen inside the commands, so that `kb --help` answers at once.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from kb import cli_ask, cli_doctor, cli_documents, cli_eval, cli_models, cli_serve
from kb.cli_output import Home, emit, note, show
from kb.errors import KbError

COULD_NOT_RUN = 2

# Before torch is loaded: its threads wait asleep. Spinning, they fight each other for the cores of a busy machine (155
# instead of 594 tokens a second were embedded beside a test run).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    name="kb",
    help="A knowledge base that answers from your documents, with citations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (cli_documents, cli_ask, cli_serve, cli_models, cli_eval, cli_doctor):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"kb {version('kb')}")
        raise typer.Exit


@app.callback()
def options(
    home: Home = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Take the options that may stand before every command."""


def main() -> None:
    """Run the command line and exit with its status."""
    as_json = "--json" in sys.argv[1:]
    try:
        app()
    except KbError as error:
        note(f"kb: {error.message}")
        if as_json:
            emit({"error": {"code": error.code, "message": error.message}})
        raise SystemExit(COULD_NOT_RUN) from error
    except SystemExit as done:
        if as_json and done.code == COULD_NOT_RUN:  # the command line itself was wrong, and stderr says how
            emit({"error": {"code": "usage", "message": f"wrong usage: kb {' '.join(sys.argv[1:])}"}})
        raise


if __name__ == "__main__":
    main()
