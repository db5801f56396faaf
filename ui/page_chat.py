"""The conversation: a question, its evidence at once, the answer as it is written, and every source one click away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

import streamlit as st

from ui import turn_view
from ui.client import ApiError, Ask, StreamEvent
from ui.session import COLLECTIONS, MODE, TURNS, api, error_text, html, say, scroll_to

FRESH = "fresh-answer"
HISTORY_TURNS = 6  # earlier questions with their answers that are sent along


@dataclass
class Progress:
    """What has arrived of a streamed answer so far."""

    passages: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, Any] | None = None
    tokens: list[str] = field(default_factory=list)
    answer: dict[str, Any] | None = None


@dataclass
class Turn:
    """A question and what came of it: an answer, an error, or neither when it was stopped on the way."""

    question: str
    answer: dict[str, Any] | None = None
    error: ApiError | None = None
    progress: Progress = field(default_factory=Progress)


def forget() -> None:
    """Begin a new conversation."""
    st.session_state.pop(TURNS, None)


def render() -> None:
    """Draw the conversation so far, take a question, and answer it."""
    turns: list[Turn] = st.session_state.setdefault(TURNS, [])
    asked = st.chat_input(say("ask_placeholder"), key="question", max_chars=4000, submit_mode="stop")
    if not turns and not asked:
        _welcome()
    for number, turn in enumerate(turns):
        _show(number, turn)
    if st.session_state.pop(FRESH, False):
        scroll_to("question")
    if asked and asked.strip():
        turn = Turn(asked.strip())
        turns.append(turn)
        _answer(turn, turns[:-1])
        st.session_state[FRESH] = True
        st.rerun()


def _show(number: int, turn: Turn) -> None:
    turn_view.question(turn.question)
    if turn.answer is not None:
        turn_view.answer(number, turn.answer)
    elif turn.error is not None:
        html(f'<div class="kb-notice kb-notice-error" role="alert"><p>{escape(error_text(turn.error))}</p></div>')
    else:
        seen = turn.progress
        turn_view.stopped(seen.passages, seen.evidence, seen.tokens)


def _answer(turn: Turn, earlier: list[Turn]) -> None:
    """Ask, showing what arrives as it arrives; the turn keeps the outcome."""
    turn_view.question(turn.question)
    scroll_to("question")
    status, written, evidence = st.empty(), st.empty(), st.empty()
    chosen = st.session_state.get(COLLECTIONS) or None
    ask = Ask(turn.question, chosen, _history(earlier), st.session_state.get(MODE) or "write")
    progress = turn.progress
    turn_view.status(status, say("searching"))
    events = api().ask(ask)
    try:
        for _ in _follow(events, progress):
            turn_view.progress(progress.passages, progress.evidence, progress.tokens, (status, written, evidence))
    except ApiError as error:
        turn.error = error
    finally:
        _close(events)
    turn.answer = progress.answer
    if turn.answer is None and turn.error is None:
        turn.error = ApiError("unexpected", "The answer ended before it was complete.")


def _follow(events: Iterator[StreamEvent], progress: Progress) -> Iterator[str]:
    """Take in the events one by one; the name of each is given back. An `error` event is raised."""
    for event in events:
        match event.name:
            case "sources":
                progress.passages = event.data["passages"]
            case "evidence":
                progress.evidence = event.data
            case "token":
                progress.tokens.append(event.data["text"])
            case "done":
                progress.answer = event.data
            case "error":
                detail = event.data["error"]
                raise ApiError(str(detail["code"]), str(detail["message"]))
        yield event.name


def _close(events: Iterator[StreamEvent]) -> None:
    """End the request when the reader pressed stop: closing the generator closes the connection."""
    close = getattr(events, "close", None)
    if close is not None:
        close()


def _history(turns: list[Turn]) -> list[dict[str, str]]:
    """The last answered questions as messages, oldest first."""
    messages: list[dict[str, str]] = []
    for turn in [turn for turn in turns if turn.answer is not None][-HISTORY_TURNS:]:
        assert turn.answer is not None
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer["answer"]})
    return messages


def _welcome() -> None:
    """What this is, before the first question."""
    try:
        items = api().collections()
    except ApiError:
        items = []  # the sidebar already says why
    documents = sum(item["documents"] for item in items)
    count = say("empty_count", documents=documents, collections=len(items)) if documents else say("empty_none")
    html(
        f'<div class="kb-welcome"><h2>{escape(say("empty_title"))}</h2>'
        f'<p>{escape(say("empty_body"))}</p><p class="kb-muted">{escape(count)}</p></div>'
    )
