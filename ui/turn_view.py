"""How one turn of the conversation looks: the question, the answer with its marks, its sources and its timings.

A mark [n] opens the source beside the sentence without asking the server; the list of sources below opens the
same passage with the quote highlighted, and from there the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.document_view import page_text, show_span
from ui.highlight import answer_html, clean, marked, place_line, quote_place, table
from ui.session import html, say

STAGES = ("embed", "search", "read", "write", "first_token", "total")
# Constant, and the only script of these screens: no word of a document or of a reader gets into it.
SCROLL = "setTimeout(() => [...document.querySelectorAll('.kb-question')].pop()?.scrollIntoView(), 150)"
Slots = tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]


def question(words: str) -> None:
    """The question, on the right."""
    html(f'<div class="kb-question" role="article" aria-label="{escape(say("you"))}">{escape(words)}</div>')


def bring_into_view() -> None:
    """Scroll the newest question to the top of the window: the reader may have been looking at an earlier source."""
    st.html(f"<script>{SCROLL}</script>", unsafe_allow_javascript=True)


def status(slot: DeltaGenerator, words: str) -> None:
    """One line that says what is being done."""
    slot.html(clean(f'<p class="kb-status kb-working" role="status">{escape(words)}</p>'))


def progress(
    passages: Sequence[Mapping[str, Any]], evidence: Mapping[str, Any] | None, tokens: Sequence[str], slots: Slots
) -> None:
    """What is known of an answer while it is being made."""
    doing, written, below = slots
    if evidence is None:
        status(doing, say("reading", count=len(passages)))
        return
    status(doing, say("writing"))
    if tokens:
        marks = {int(passage["n"]): f'<sup><span class="kb-chip">{passage["n"]}</span></sup>' for passage in passages}
        written.html(clean(f'<div class="kb-answer">{answer_html("".join(tokens), marks)}</div>'))
    cards = "".join(_card(source, passages) for source in evidence["citations"])
    if cards:
        below.html(clean(f'<div class="kb-evidence"><h3>{escape(say("evidence"))}</h3>{cards}</div>'))


def answer(number: int, body: Mapping[str, Any]) -> None:
    """A finished answer; `number` tells the turns of a conversation apart."""
    passages = body["passages"]
    if not body["answered"]:
        _refusal(number, body)
        return
    citations = _numbered(body["citations"])
    chips = {n: _chip(number, citation) for n, citation in citations.items()}
    bubbles = "".join(_bubble(number, citation, passages) for citation in citations.values())
    html(f'<div class="kb-answer" role="article">{answer_html(body["answer"], chips)}</div>{bubbles}{_facts(body)}')
    _section("sources")
    with st.container(gap="xsmall"):
        for citation in body["citations"]:
            _source(f"{number}-cited-{citation['n']}-{citation['start']}", citation, passages)
    used = {citation["chunk_id"] for citation in body["citations"]}
    unused = [passage for passage in passages if passage["chunk_id"] not in used]
    if unused:
        _section("also_found")
        _uncited(f"{number}-found", unused)


def _refusal(number: int, body: Mapping[str, Any]) -> None:
    """The honest answer that there is none, with what came closest."""
    passages = body["passages"]
    words = say("not_found_body") if passages else say("not_found_empty")
    html(
        f'<div class="kb-notice" role="article"><h3>{escape(say("not_found_title"))}</h3>'
        f"<p>{escape(words)}</p></div>{_facts(body)}"
    )
    if passages:
        _section("closest")
        _uncited(f"{number}-closest", passages)


def _uncited(key: str, passages: Sequence[Mapping[str, Any]]) -> None:
    with st.container(gap="xsmall"):
        for passage in passages:
            _source(f"{key}-{passage['chunk_id']}", passage, passages, cited=False)


def _source(key: str, source: Mapping[str, Any], passages: Sequence[Mapping[str, Any]], *, cited: bool = True) -> None:
    """One line that opens the passage, with a way into the document."""
    place = " · ".join(part for part in (source["heading"], page_text(dict(source))) if part)
    label = f"**{_plain(source['document'])}**" + (f" · {_plain(place)}" if place else "")
    with st.expander(f"{source['n']}. {label}" if cited else label, key=f"source-{key}"):
        passage = _passage_of(source, passages)
        first, last = quote_place(passage, source["quote"], source["start"]) if cited else (0, 0)
        html(
            f'<div class="kb-passage">{marked(passage["text"], first, last)}</div>'
            f'<div class="kb-place">{escape(source["source"])}</div>'
        )
        if st.button(say("open_in_document"), key=f"open-{key}", icon=":material/open_in_new:", type="tertiary"):
            whole = (source["start"], source["end"]) if cited else _extent(passage)
            show_span(dict(source), *whole)


def _card(source: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> str:
    """A source with its passage, as HTML."""
    passage = _passage_of(source, passages)
    first, last = quote_place(passage, source["quote"], source["start"])
    place = place_line(source, page_text(dict(source)))
    return (
        f'<div class="kb-card"><div class="kb-card-title"><b>{escape(source["document"])}</b> '
        f'<span class="kb-place">{place}</span></div>'
        f'<div class="kb-passage">{marked(passage["text"], first, last)}</div></div>'
    )


def _chip(number: int, citation: Mapping[str, Any]) -> str:
    """The mark of a citation inside the text: a small button that opens its bubble, with the quote as its hint."""
    n = citation["n"]
    label = f"{say('source_label', n=n)}: {citation['document']}"
    return (
        f'<sup><button type="button" class="kb-chip" popovertarget="{_bubble_id(number, n)}" '
        f'aria-label="{escape(label)}" title="{escape(citation["quote"])}">{n}</button></sup>'
    )


def _bubble(number: int, citation: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> str:
    """The passage that a mark opens."""
    n = citation["n"]
    close = (
        f'<button type="button" class="kb-close" popovertarget="{_bubble_id(number, n)}" popovertargetaction="hide" '
        f'aria-label="{escape(say("close"))}">×</button>'
    )
    return (
        f'<div popover="auto" class="kb-bubble" id="{_bubble_id(number, n)}" role="dialog" '
        f'aria-label="{escape(say("source_label", n=n))}">{close}{_card(citation, passages)}</div>'
    )


def _bubble_id(number: int, n: int) -> str:
    return f"kb-source-{number}-{n}"


def _facts(body: Mapping[str, Any]) -> str:
    """The quiet line under an answer: how it was made, how sure, how long; the stages open on click."""
    timings = body["timings_ms"]
    facts = []
    if body["answered"]:
        facts.append(say("answered_write" if body["mode"] == "write" else "answered_quote"))
        if body["confidence"] is not None:
            facts.append(say("confidence", percent=round(100 * body["confidence"])))
    facts.append(say("took", seconds=f"{timings['total'] / 1000:.2f}"))
    stages = [(say(f"stage_{name}"), timings.get(name)) for name in STAGES]
    rows = [(name, say("milliseconds", value=round(value))) for name, value in stages if value is not None]
    rows += [(say("model"), str(body["model"])), (say("answer_id"), str(body["id"]))]
    return (
        f'<details class="kb-facts"><summary>{escape(" · ".join(facts))}</summary>'
        f'<div class="kb-stages">{table(rows)}</div></details>'
    )


def _numbered(citations: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """The first citation of each number."""
    found: dict[int, Mapping[str, Any]] = {}
    for citation in citations:
        found.setdefault(int(citation["n"]), citation)
    return found


def _passage_of(source: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The passage a source stands in, or the source's own words where it is not among them."""
    for passage in passages:
        if passage["chunk_id"] == source["chunk_id"]:
            return passage
    return {**source, "text": source["quote"]}


def _extent(passage: Mapping[str, Any]) -> tuple[int, int]:
    """The whole passage as offsets in its document."""
    return int(passage["start"]), int(passage["start"]) + len(str(passage["text"]))


def _section(key: str) -> None:
    html(f'<h3 class="kb-section">{escape(say(key))}</h3>')


def _plain(words: str) -> str:
    """Words inside a Streamlit label, which reads Markdown: every sign that could mean something is escaped."""
    flat = " ".join(words.split())
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()<>#+-.!|~:$" else sign for sign in flat)
