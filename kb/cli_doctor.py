"""`kb doctor`: prints what the examination found and what to do about it."""

from typing import Annotated

import typer

from kb.cli_output import AsJson, Home, emit, note, settings_for, show

MARKS = {"ok": "ok  ", "warning": "warn", "problem": "BAD "}


def doctor(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="Skip checksums and timings.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Examine this installation and say what to do about each finding."""
    from kb.doctor import examine

    report = examine(settings_for(context, home), quick=quick, progress=note)
    if as_json:
        emit(report)
    else:
        for finding in report.findings:
            show(f"{MARKS[finding.level]}  {finding.topic:<12} {finding.found}")
            if finding.advice:
                show(f"{'':19}-> {finding.advice}")
    raise typer.Exit(0 if report.healthy else 1)


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("doctor")(doctor)
