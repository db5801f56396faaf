"""How the command line speaks: one JSON object on stdout with `--json`, sentences otherwise; all else on stderr.

Options that every command has are defined here once, so that they mean the same everywhere.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kb.settings import Settings, load_settings

notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress, notes and errors."""

Home = Annotated[
    Path | None, typer.Option("--home", help="Folder with everything kb stores (else KB_HOME, else ~/.kb).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]


def settings_for(context: typer.Context, home: Path | None) -> Settings:
    """The settings with the home given after the command, else the one given before it, else the environment's."""
    return load_settings(home or context.find_root().params.get("home"))


def plain(record: Any) -> Any:
    """A record as values that JSON knows: dataclasses by field, `to_json()` where a record has its own form."""
    if hasattr(record, "to_json"):
        return record.to_json()
    if is_dataclass(record) and not isinstance(record, type):
        return {name: plain(value) for name, value in asdict(record).items()}
    if isinstance(record, Mapping):
        return {str(name): plain(value) for name, value in record.items()}
    if isinstance(record, list | tuple | set | frozenset):
        return [plain(item) for item in record]
    return str(record) if isinstance(record, Path | datetime) else record


def emit(record: Any) -> None:
    """Print the one JSON object of a command."""
    print(json.dumps(plain(record), ensure_ascii=False), flush=True)


def show(text: str = "") -> None:
    """Print a line of the result on stdout."""
    print(text, flush=True)


def note(text: str) -> None:
    """Print a line that is not the result, on stderr."""
    print(text, file=sys.stderr, flush=True)
