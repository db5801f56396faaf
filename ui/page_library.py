"""The documents: hand in new ones and see what became of each, look through all of them, delete."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ui.client import ApiError
from ui.document_view import show_document
from ui.session import api, error_text, html, language, readable_size, readable_time, say, show_error

PAGE = 20
DEFAULT = "default"  # the collection that the API makes when it is first needed
STATES = ("all", "queued", "processing", "ready", "failed")
BUSY = {"queued", "processing"}
WAIT_S = 120.0  # how long an upload is followed before the list below takes over
POLL_S = 0.4
WIDTHS = [6, 2, 1.9, 1.3, 2.3, 0.7, 0.7]


@dataclass
class Upload:
    """One file on its way in: its document once it is accepted, then what became of it."""

    name: str
    document_id: str = ""
    outcome: str = ""
    good: bool = True


def render() -> None:
    """Draw the library."""
    notice = st.session_state.pop("library-notice", None)
    if notice:
        st.toast(notice)
    html(f'<h1 class="kb-title">{escape(say("library_title"))}</h1>')
    try:
        collections = api().collections()
    except ApiError as error:
        show_error(error)
        return
    names = [item["name"] for item in collections]
    _add_documents(names if DEFAULT in names else [*names, DEFAULT])
    _manage_collections(collections)
    _documents(names)


def _add_documents(names: list[str]) -> None:
    """Take files and follow each until it is ready or has failed."""
    with st.container(border=True):
        html(f'<div class="kb-name">{escape(say("upload_title"))}</div>')
        generation = st.session_state.setdefault("upload-generation", 0)
        files = st.file_uploader(
            say("upload_drop"), accept_multiple_files=True, key=f"upload-{generation}", label_visibility="collapsed"
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            target = st.selectbox(say("upload_into"), names, key="upload-into")
            label = say("upload_start", count=len(files)) if files else say("upload_start_none")
            start = st.button(label, type="primary", disabled=not files or not target, key="upload-start")
        if start and files and target:
            st.session_state["upload-results"] = _send(files, target)
            st.session_state["upload-generation"] = generation + 1
            st.rerun()
        results: list[Upload] = st.session_state.get("upload-results", [])
        if results:
            html(f'<div class="kb-head">{escape(say("upload_result"))}</div>{_results(results)}')


def _send(files: list[UploadedFile], target: str) -> list[Upload]:
    """Hand in the files one by one and wait for them, showing how far they are."""
    uploads = [Upload(file.name, outcome=say("upload_sending")) for file in files]
    bar, lines = st.progress(0.0), st.empty()
    for upload, file in zip(uploads, files, strict=True):
        _show_progress(uploads, bar, lines)
        try:
            accepted = api().upload(file.name, file, target)
        except ApiError as error:
            upload.outcome, upload.good = say("upload_failed", reason=error_text(error)), False
            continue
        upload.document_id = accepted["id"]
        upload.outcome = say("state_queued")
        if accepted["unchanged"]:
            upload.outcome, upload.document_id = say("upload_unchanged"), ""
    deadline = time.monotonic() + WAIT_S
    while any(upload.document_id for upload in uploads) and time.monotonic() < deadline:
        for upload in uploads:
            if upload.document_id:
                _look_after(upload)
        _show_progress(uploads, bar, lines)
        time.sleep(POLL_S)
    for upload in uploads:
        if upload.document_id:
            upload.outcome = say("upload_waiting")
    return uploads


def _look_after(upload: Upload) -> None:
    """Ask how far a document is; one that is through needs no further look."""
    try:
        document = api().document(upload.document_id)
    except ApiError as error:
        upload.outcome, upload.good, upload.document_id = error_text(error), False, ""
        return
    if document["state"] in BUSY:
        upload.outcome = say(f"state_{document['state']}")
        return
    upload.document_id = ""
    if document["state"] == "failed":
        upload.outcome, upload.good = say("upload_failed", reason=document["error"]), False
    else:
        upload.outcome = say("upload_ready", chunks=document["chunks"])


def _show_progress(uploads: list[Upload], bar: Any, lines: Any) -> None:
    finished = sum(1 for upload in uploads if not upload.document_id and upload.outcome != say("upload_sending"))
    bar.progress(finished / len(uploads), text=say("upload_progress", done=finished, total=len(uploads)))
    lines.html(_results(uploads))


def _results(uploads: list[Upload]) -> str:
    def kind(upload: Upload) -> str:
        if not upload.good:
            return "failed"
        return "queued" if upload.document_id else "ready"

    items = "".join(
        f"<li><b>{escape(upload.name)}</b> "
        f'<span class="kb-state kb-state-{kind(upload)}">{escape(upload.outcome)}</span></li>'
        for upload in uploads
    )
    return f'<ul class="kb-results">{items}</ul>'


def _manage_collections(collections: list[dict[str, Any]]) -> None:
    """Make a collection, or delete one."""
    with st.container(horizontal=True):
        with st.popover(say("new_collection"), icon=":material/create_new_folder:"):
            with st.form("new-collection", clear_on_submit=True, border=False):
                name = st.text_input(say("collection_name"), max_chars=200)
                if st.form_submit_button(say("create")) and name.strip():
                    _act(lambda: api().create_collection(name.strip()), say("created", name=name.strip()))
        with st.popover(say("delete_collection"), icon=":material/folder_delete:", disabled=not collections):
            counts = {item["name"]: item["documents"] for item in collections}
            chosen = st.selectbox(say("collection_name"), list(counts), key="delete-collection")
            if chosen:
                html(f"<p>{escape(say('delete_collection_body', name=chosen, documents=counts[chosen]))}</p>")
                if st.button(say("delete_confirm"), key="delete-collection-confirm"):
                    _act(lambda: api().delete_collection(chosen), say("collection_deleted", name=chosen))


def _act(action: Any, done: str) -> None:
    """Do something, then draw the page anew with a word about it."""
    try:
        action()
    except ApiError as error:
        show_error(error)
        return
    st.session_state["library-notice"] = done
    st.rerun()


def _documents(names: list[str]) -> None:
    """The list with its filters; it refreshes itself while something is being processed."""
    html(f'<h3 class="kb-section">{escape(say("documents"))}</h3>')
    with st.container(horizontal=True, vertical_alignment="bottom"):
        collection = st.selectbox(
            say("column_collection"), names, index=None, key="list-collection", placeholder=say("collections_all")
        )
        # The key holds the language: the box keeps the words it was drawn with.
        state = st.selectbox(
            say("state"),
            STATES,
            index=STATES.index(st.session_state.get("list-state", "all")),
            key=f"list-state-{language()}",
            format_func=lambda name: say(f"state_{name}"),
        )
    st.session_state["list-state"] = state
    chosen = (collection, None if state == "all" else state)
    if st.session_state.get("list-chosen") != chosen:
        st.session_state["list-chosen"], st.session_state["list-offset"] = chosen, 0
    every = 2.0 if st.session_state.get("list-busy") else None
    st.fragment(_list, run_every=every)(*chosen)


def _list(collection: str | None, state: str | None) -> None:
    offset = st.session_state.get("list-offset", 0)
    try:
        page = api().documents(collection=collection, state=state, limit=PAGE, offset=offset)
    except ApiError as error:
        show_error(error)
        return
    if not page["items"]:
        html(f'<p class="kb-muted">{escape(say("documents_none"))}</p>')
    else:
        _heads()
    for document in page["items"]:
        _row(document)
    _pages(offset, page["total"])
    busy = any(document["state"] in BUSY for document in page["items"])
    if busy != st.session_state.get("list-busy", False):
        st.session_state["list-busy"] = busy
        st.rerun()


def _heads() -> None:
    keys = ("column_document", "column_collection", "column_state", "column_size", "column_updated")
    for column, key in zip(st.columns(WIDTHS), keys, strict=False):
        column.html(f'<div class="kb-head">{escape(say(key))}</div>')


def _row(document: dict[str, Any]) -> None:
    name = document["title"] or document["path"]
    with st.container(key=f"row-{document['id']}"):
        cells = st.columns(WIDTHS, vertical_alignment="center")
        path = f'<div class="kb-place">{escape(document["path"])}</div>' if document["path"] != name else ""
        cells[0].html(f'<div class="kb-name">{escape(name)}</div>{path}')
        cells[1].html(f'<div class="kb-cell">{escape(document["collection"])}</div>')
        state = document["state"]
        hint = escape(document["error"] or "")
        cells[2].html(f'<span class="kb-state kb-state-{state}" title="{hint}">{escape(say(f"state_{state}"))}</span>')
        cells[3].html(f'<div class="kb-cell">{readable_size(document["size"])}</div>')
        cells[4].html(f'<div class="kb-cell">{escape(readable_time(document["updated_at"]))}</div>')
        if cells[5].button(
            "", icon=":material/visibility:", help=say("open"), key=f"open-{document['id']}", type="tertiary"
        ):
            st.session_state["chunks-offset"] = 0
            show_document(document)
        if cells[6].button(
            "", icon=":material/delete:", help=say("delete"), key=f"delete-{document['id']}", type="tertiary"
        ):
            st.dialog(say("delete_title"))(_confirm_delete)(document["id"], name)


def _confirm_delete(document_id: str, name: str) -> None:
    html(f"<p>{escape(say('delete_body', name=name))}</p>")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(say("cancel"), key="delete-cancel"):
            st.rerun()
        if st.button(say("delete_confirm"), type="primary", key="delete-confirm"):
            _act(lambda: api().delete_document(document_id), say("deleted", name=name))


def _pages(offset: int, total: int) -> None:
    if total <= PAGE and offset == 0:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(say("previous"), disabled=offset == 0, key="list-previous"):
            st.session_state["list-offset"] = max(0, offset - PAGE)
            st.rerun()
        if st.button(say("next"), disabled=offset + PAGE >= total, key="list-next"):
            st.session_state["list-offset"] = offset + PAGE
            st.rerun()
        last = min(offset + PAGE, total)
        html(f'<div class="kb-cell kb-muted">{escape(say("page_of", first=offset + 1, last=last, total=total))}</div>')
