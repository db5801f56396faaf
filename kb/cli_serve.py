"""`kb serve`, `kb ui` and `kb run`: the two servers, alone or together with the sample corpus."""

import os
import sys
from typing import Annotated

import typer

from kb.cli_output import Home, note, settings_for
from kb.launch import SAMPLE_QUESTION, claim_port, launch

Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on.")]


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on (else KB_HOST).")] = None,
    port: Port = None,
    home: Home = None,
) -> None:
    """Start the API; it also does the background work. Ctrl-C ends it after the requests in progress."""
    from kb.api.server import run

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    run(settings_for(context, home).model_copy(update=given))


def ui(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Port = None,
    api: Annotated[
        str | None, typer.Option("--api", envvar="KB_API_URL", help="Address of the API (else KB_HOST and KB_PORT).")
    ] = None,
    home: Home = None,
) -> None:
    """Start the chat window, which talks to a running API."""
    settings = settings_for(context, home)
    listening = claim_port(host, settings.ui_port, "chat", note) if port is None else port
    token = settings.token.get_secret_value() if settings.token else ""
    address = api or f"http://{settings.host}:{settings.port}"
    note(f"Chat on http://{host}:{listening}; it asks the API on {address}")
    # The screens are a program of their own: this process becomes it, so that signals reach it.
    arguments = [sys.executable, "-m", "ui", "--host", host, "--port", str(listening)]
    arguments += ["--max-upload-mb", str(settings.max_upload_mb)]
    os.execve(sys.executable, arguments, {**os.environ, "KB_API_URL": address, "KB_TOKEN": token})


def run_all(
    context: typer.Context,
    question: Annotated[str, typer.Option("--question", help="What to ask the user guide.")] = SAMPLE_QUESTION,
    once: Annotated[bool, typer.Option("--once", help="Stop after the answer; start no server.")] = False,
    home: Home = None,
) -> None:
    """Ingest the user guide, print one cited answer, then serve API and chat until Ctrl-C."""
    raise typer.Exit(launch(settings_for(context, home), note, question=question, serve=not once))


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("serve")(serve)
    app.command("ui")(ui)
    app.command("run")(run_all)
