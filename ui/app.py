"""The frame around the pages: language, navigation, and what is searched. Every click runs this file again."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui import page_chat, page_library
from ui.client import ApiError
from ui.session import COLLECTIONS, LANGUAGE, MODE, api, html, language, say, show_error
from ui.texts import LANGUAGES

STYLE = Path(__file__).with_name("style.css")
# Drawn here: Streamlit would fetch a named icon from another site.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1d5c8f"/>'
    '<path d="M8 10h16M8 16h16M8 22h9" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>'
)


def main() -> None:
    """Draw the frame, then the page that is open."""
    st.set_page_config(page_title=say("app_title"), page_icon=ICON, layout="centered")
    # The words of the file picker are Streamlit's own; the style sheet puts these in their place.
    picker = f':root {{ --kb-choose-files: "{say("upload_drop")}"; }}'
    st.html(f"<style>{STYLE.read_text(encoding='utf-8')}{picker}</style>")
    chat = st.Page(page_chat.render, title=say("page_chat"), icon=":material/forum:", url_path="ask", default=True)
    library = st.Page(page_library.render, title=say("page_library"), icon=":material/folder_open:", url_path="library")
    page = st.navigation([chat, library], position="hidden")
    with st.sidebar:
        html(f'<div class="kb-brand" role="banner">{say("app_title")}</div>')
        st.page_link(chat)
        st.page_link(library)
        if page == chat:
            _search_settings()
        _language_switch()
    page.run()


def _search_settings() -> None:
    """Which collections are searched, and in which style the answer comes."""
    try:
        names = [item["name"] for item in api().collections()]
    except ApiError as error:
        show_error(error)
        names = []
    kept = [name for name in st.session_state.get(COLLECTIONS, []) if name in names]
    st.session_state[COLLECTIONS] = kept
    st.multiselect(say("collections"), names, key=COLLECTIONS, placeholder=say("collections_all"))
    st.session_state.setdefault(MODE, "write")
    st.segmented_control(
        say("mode"),
        ["write", "quote"],
        key=MODE,
        required=True,
        format_func=lambda mode: say(f"mode_{mode}"),
        help=say("mode_help"),
    )
    if st.button(say("new_chat"), icon=":material/edit_square:", width="stretch", key="new-chat"):
        page_chat.forget()
        st.rerun()


def _language_switch() -> None:
    """The switch between the languages; it stays in the address, so that a bookmark keeps it."""
    st.session_state[LANGUAGE] = language()
    with st.container(key="language-switch"):
        st.segmented_control(
            say("language"),
            list(LANGUAGES),
            key=LANGUAGE,
            required=True,
            format_func=lambda code: LANGUAGES[code],
            label_visibility="collapsed",
        )
    st.query_params["lang"] = language()


if __name__ == "__main__":
    main()
