"""Dialogs that show one document: a span in its surroundings, or all of its passages."""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from ui.client import ApiError
from ui.highlight import around, marked, place_line
from ui.session import api, html, say, scroll_to, show_error
from ui.sources import Source

MARGIN = 1_500  # characters before and after the span: about a page in all
CHUNKS_PER_PAGE = 20


def show_source(source: Source) -> None:
    """Open the document of a source with its span highlighted."""
    st.dialog(source.document, width="medium")(_source)(source)


def show_document(document: dict[str, Any]) -> None:
    """Open a document with its state and its passages."""
    st.dialog(str(document["title"] or document["path"]), width="medium")(_document)(document)


def page_text(page: int | None) -> str:
    """A page in words; empty where the document has no pages."""
    return say("page_number", page=page) if page is not None else ""


def _source(source: Source) -> None:
    try:
        stored = api().text(source.document_id)
    except ApiError as error:
        show_error(error)
        return
    part, first, last = around(stored["text"], *source.extent, MARGIN)
    shift = source.extent[0] - first - source.start  # from the passage to the part that is shown
    spans = [(start - shift, end - shift) for start, end in source.spans] or [(first, last)]
    html(
        f'<div class="kb-place">{escape(source.path)}</div>'
        f'<div class="kb-place">{place_line(source.heading, page_text(source.page))}</div>'
        f'<div class="kb-document">{marked(part, spans)}</div>'
    )
    scroll_to("quote")
    _download(source.document_id, source.path)


def _document(document: dict[str, Any]) -> None:
    offset = st.session_state.get("chunks-offset", 0)
    try:
        detail = api().document(document["id"])
        page = api().chunks(document["id"], limit=CHUNKS_PER_PAGE, offset=offset)
    except ApiError as error:
        show_error(error)
        return
    html(f'<div class="kb-place">{escape(str(detail["path"]))}</div>')
    if detail["error"]:
        reason = escape(say("failed_because", reason=detail["error"]))
        html(f'<div class="kb-notice kb-notice-error" role="alert"><p>{reason}</p></div>')
    _download(detail["id"], str(detail["path"]))
    if detail["dropped"]:
        with st.expander(f"{say('dropped')} ({len(detail['dropped'])})"):
            lines = "".join(f"<li>{escape(item['what'])}: {escape(item['reason'])}</li>" for item in detail["dropped"])
            html(f"<ul>{lines}</ul>")
    html(f'<h3 class="kb-section">{escape(say("passages_count", count=page["total"]))}</h3>')
    for chunk in page["items"]:
        place = place_line(chunk["heading"], page_text(chunk["page"]), say("tokens", count=chunk["tokens"]))
        number = escape(say("passage_number", number=chunk["ordinal"] + 1))
        html(
            f'<div class="kb-chunk"><div class="kb-place"><b>{number}</b> · {place}</div>'
            f'<div class="kb-passage">{escape(chunk["text"])}</div></div>'
        )
    _chunk_pages(offset, page["total"])


def _chunk_pages(offset: int, total: int) -> None:
    if total <= CHUNKS_PER_PAGE:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(say("previous"), disabled=offset == 0, key="chunks-previous"):
            st.session_state["chunks-offset"] = max(0, offset - CHUNKS_PER_PAGE)
            st.rerun(scope="fragment")
        if st.button(say("next"), disabled=offset + CHUNKS_PER_PAGE >= total, key="chunks-next"):
            st.session_state["chunks-offset"] = offset + CHUNKS_PER_PAGE
            st.rerun(scope="fragment")


def _download(document_id: str, path: str) -> None:
    """A button that hands out the original bytes; they are fetched when it is clicked."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    st.download_button(
        say("download"),
        data=lambda: api().content(document_id),
        file_name=name,
        icon=":material/download:",
        key=f"download-{document_id}",
        on_click="ignore",
    )
