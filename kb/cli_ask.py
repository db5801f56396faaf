"""`kb ask`: one question, one cited answer, in the terminal."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kb.access import LOCAL
from kb.cli_output import AsJson, Home, emit, note, settings_for, show

if TYPE_CHECKING:  # brings the networks along, which `kb --help` does not need
    from kb.citations import Citation

SHOWN_CHARACTERS = 240
"""Of a passage that does not answer."""


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know.")],
    collections: Annotated[
        list[str] | None, typer.Option("--collection", help="Ask only this collection; may be repeated.")
    ] = None,
    mode: Annotated[Literal["quote", "write"], typer.Option("--mode", help="Exact quote or written answer.")] = "write",
    budget_ms: Annotated[
        int | None, typer.Option("--budget-ms", min=0, help="Time for the answer (else KB_BUDGET_MS); 0: no limit.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Answer one question from the documents, with citations."""
    from kb.answering import Question, answer
    from kb.bootstrap import EVERYTHING, open_components

    wanted = tuple(collections) if collections else None
    asked = Question(text=question, collections=wanted, history=(), mode=mode, budget_ms=budget_ms)
    need = EVERYTHING if mode == "write" else EVERYTHING - {"write"}
    with open_components(settings_for(context, home), need=need) as components:
        found = answer(components, LOCAL, asked)
    if as_json:
        emit(found)
        return
    show(found.answer)
    for citation in found.citations:
        _show_place(citation, " ".join(citation.quote.split()))
    if not found.answered:
        for passage in found.passages:
            _show_place(passage, textwrap.shorten(passage.text, SHOWN_CHARACTERS, placeholder=" …"))
    if sys.stderr.isatty():
        note(f"\n{found.mode}, {found.timings_ms.total:.0f} ms")


def _show_place(citation: Citation, words: str) -> None:
    place = ", ".join(part for part in (citation.heading, f"page {citation.page}" if citation.page else "") if part)
    show(f"\n[{citation.n}] {citation.document}" + (f" ({place})" if place else ""))
    show(f"    {citation.source}")
    show(f"    “{words}”")


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("ask")(ask)
