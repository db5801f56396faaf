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

from ui.document_view import page_text, show_source
from ui.highlight import answer_html, clean, marked, place_line, table
from ui.session import html, say
from ui.sources import Source, cited_sources, found_source

HEADING = 90  # characters of a heading path in a line; a table's may be long
STAGES = ("embed", "search", "read", "rerank", "write", "first_token", "total")
Slots = tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]


def question(words: str) -> None:
    """The question, on the right."""
    html(f'<div class="kb-question" role="article" aria-label="{escape(say("you"))}">{escape(words)}</div>')


def status(slot: DeltaGenerator, words: str) -> None:
    """One line that says what is being done; the style sheet turns it into "stopped" when the page stops working."""
    doing = f'<span class="kb-doing">{escape(words)}</span><span class="kb-stopped">{escape(say("stopped"))}</span>'
    slot.html(clean(f'<p class="kb-status kb-working" role="status">{doing}</p>'))


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
    cards = "".join(_card(source) for source in cited_sources(evidence["citations"], passages))
    if cards:
        below.html(clean(f'<div class="kb-evidence"><h3>{escape(say("evidence"))}</h3>{cards}</div>'))


def stopped(passages: Sequence[Mapping[str, Any]], evidence: Mapping[str, Any] | None, tokens: Sequence[str]) -> None:
    """What had arrived of an answer when it was stopped."""
    slots = (st.empty(), st.empty(), st.empty())
    progress(passages, evidence, tokens, slots)
    slots[0].html(clean(f'<p class="kb-status">{escape(say("stopped"))}</p>'))


def answer(number: int, body: Mapping[str, Any]) -> None:
    """A finished answer; `number` tells the turns of a conversation apart."""
    passages = body["passages"]
    if not body["answered"]:
        _refusal(number, body)
        return
    sources = cited_sources(body["citations"], passages)
    chips = {source.n: _chip(number, source) for source in sources}
    bubbles = "".join(_bubble(number, source) for source in sources)
    html(f'<div class="kb-answer" role="article">{answer_html(body["answer"], chips)}</div>{bubbles}{_facts(body)}')
    _section("sources")
    _list(f"{number}-cited", sources)
    used = {citation["chunk_id"] for citation in body["citations"]}
    unused = [found_source(passage) for passage in passages if passage["chunk_id"] not in used]
    if unused:
        _section("also_found")
        _list(f"{number}-found", unused)


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
        _list(f"{number}-closest", [found_source(passage) for passage in passages])


def _list(key: str, sources: Sequence[Source]) -> None:
    """One line for each source, which opens its passage, with a way into the document."""
    with st.container(gap="xsmall"):
        for source in sources:
            heading = source.heading if len(source.heading) <= HEADING else source.heading[: HEADING - 1] + "…"
            place = " · ".join(part for part in (heading, page_text(source.page)) if part)
            label = f"**{_plain(source.document)}**" + (f" · {_plain(place)}" if place else "")
            with st.expander(f"{source.n}. {label}", key=f"source-{key}-{source.key}"):
                html(
                    f'<div class="kb-passage">{marked(source.text, source.spans)}</div>'
                    f'<div class="kb-place">{escape(source.path)}</div>'
                )
                name = f"open-{key}-{source.key}"
                if st.button(say("open_in_document"), key=name, icon=":material/open_in_new:", type="tertiary"):
                    show_source(source)


def _card(source: Source) -> str:
    """A source with its passage, as HTML."""
    place = place_line(source.heading, page_text(source.page))
    return (
        f'<div class="kb-card"><div class="kb-card-title"><b>{escape(source.document)}</b> '
        f'<span class="kb-place">{place}</span></div>'
        f'<div class="kb-passage">{marked(source.text, source.spans)}</div></div>'
    )


def _chip(number: int, source: Source) -> str:
    """The mark of a source inside the text: a small button that opens its bubble, with the quote as its hint."""
    label = f"{say('source_label', n=source.n)}: {source.document}"
    return (
        f'<sup><button type="button" class="kb-chip" popovertarget="{_bubble_id(number, source.n)}" '
        f'aria-label="{escape(label)}" title="{escape(source.quote)}">{source.n}</button></sup>'
    )


def _bubble(number: int, source: Source) -> str:
    """The passage that a mark opens."""
    own_id = _bubble_id(number, source.n)
    close = (
        f'<button type="button" class="kb-close" popovertarget="{own_id}" popovertargetaction="hide" '
        f'aria-label="{escape(say("close"))}">×</button>'
    )
    label = escape(say("source_label", n=source.n))
    return (
        f'<div popover="auto" class="kb-bubble" id="{own_id}" role="dialog" aria-label="{label}">'
        f"{close}{_card(source)}</div>"
    )


def _bubble_id(number: int, n: int) -> str:
    return f"kb-source-{number}-{n}"


def _facts(body: Mapping[str, Any]) -> str:
    """The quiet line under an answer: how it was made, how sure, how long; the stages open on click."""
    timings = body["timings_ms"]
    facts = []
    if body["answered"]:
        facts.append(say(f"answered_{body['mode']}"))
        if body["confidence"] is not None:
            facts.append(say("confidence", percent=min(99, round(100 * body["confidence"]))))
    facts.append(say("took", seconds=f"{timings['total'] / 1000:.2f}"))
    stages = [(say(f"stage_{name}"), timings.get(name)) for name in STAGES]
    rows = [(name, say("milliseconds", value=round(value))) for name, value in stages if value is not None]
    rows += [(say("model"), str(body["model"])), (say("answer_id"), str(body["id"]))]
    return (
        f'<details class="kb-facts"><summary>{escape(" · ".join(facts))}</summary>'
        f'<div class="kb-stages">{table(rows)}</div></details>'
    )


def _section(key: str) -> None:
    html(f'<h3 class="kb-section">{escape(say(key))}</h3>')


def _plain(words: str) -> str:
    """Words inside a Streamlit label, which reads Markdown: every sign that could mean something is escaped."""
    flat = " ".join(words.split())
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()<>#+-.!|~:$" else sign for sign in flat)
