"""What one browser session remembers: its language, the API client, and what it searches in.

The client is shared by all sessions of the process; everything else lies in Streamlit's session state under the
names below.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from html import escape
from typing import Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from ui.client import DEFAULT_URL, ApiClient, ApiError
from ui.highlight import clean
from ui.texts import LANGUAGES, TEXTS, Language, text

LANGUAGE = "language"
COLLECTIONS = "look_in"
MODE = "mode"
TURNS = "turns"
_SCROLL = {
    "question": "setTimeout(() => [...document.querySelectorAll('.kb-question')].pop()?.scrollIntoView(), 150)",
    "quote": "setTimeout(() => document.querySelector('.kb-document mark')?.scrollIntoView({block: 'center'}), 150)",
}


@st.cache_resource(show_spinner=False)
def api() -> ApiClient:
    """The client of the API that KB_API_URL names, with the token of KB_TOKEN."""
    return ApiClient(os.environ.get("KB_API_URL") or DEFAULT_URL, os.environ.get("KB_TOKEN") or None)


def language() -> Language:
    """The language of the screens: chosen in this session, else in the address, else the browser's."""
    chosen = st.session_state.get(LANGUAGE) or st.query_params.get("lang")
    if chosen not in LANGUAGES:
        chosen = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
    return cast(Language, chosen)


def say(key: str, **values: object) -> str:
    """A text of the catalogue in this session's language."""
    return text(language(), key, **values)


def html(content: str) -> None:
    """Show HTML that passed the allow-list."""
    st.html(clean(content))


def scroll_to(target: Literal["question", "quote"]) -> None:
    """Bring the newest question, or the quote in an open document, into view.

    These two lines are the only scripts of the screens; they are constant: no word of a document or of a reader gets
    into them.
    """
    st.html(f"<script>{_SCROLL[target]}</script>", unsafe_allow_javascript=True)


def error_text(error: ApiError) -> str:
    """A sentence for an error, in this session's language."""
    key = f"error_{error.code}"
    return say(key if key in TEXTS else "error_other", message=error.message)


def show_error(error: ApiError) -> None:
    """An error as a quiet notice in the page."""
    body = f"<h3>{escape(say('error_title'))}</h3><p>{escape(error_text(error))}</p>"
    html(f'<div class="kb-notice kb-notice-error" role="alert">{body}</div>')


def readable_time(value: str) -> str:
    """An ISO time as date and minute in the browser's time zone; as it came, when it is none."""
    try:
        moment = datetime.fromisoformat(value)
        zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    except (ValueError, ZoneInfoNotFoundError):
        return value
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def readable_size(size: int) -> str:
    """Bytes as people write them."""
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:.0f} KB" if size < 1024**2 else f"{size / 1024**2:.1f} MB"
