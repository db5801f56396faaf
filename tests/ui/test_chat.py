"""The chat in a real browser: a question asked, evidence shown, a citation opened, a refusal, the other language."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import expect

from tests.ui.conftest import Servers, Window

Browse = Callable[..., Window]
QUESTION = "How many days of paid holiday does an employee have?"


def test_an_answer_opens_its_source_with_the_quote_marked(answering: Servers, browse: Browse):
    window = browse(answering.screens)
    window.ask(QUESTION)
    page = window.page
    answer = page.locator(".kb-answer").last
    mark = answer.locator(".kb-chip").first
    expect(mark).to_be_visible()
    expect(page.locator(".kb-facts")).to_be_visible()

    mark.click()
    bubble = page.locator(".kb-bubble:popover-open")
    expect(bubble.locator("mark")).to_be_visible()
    assert bubble.locator("mark").inner_text() in mark.get_attribute("title")
    page.keyboard.press("Escape")
    expect(bubble).to_have_count(0)

    source = page.locator("[data-testid=stExpander]").first
    source.locator("summary").click()
    expect(source.locator("mark")).to_be_visible()
    source.get_by_role("button", name="Show in document").click()
    dialog = page.get_by_role("dialog").filter(has=page.locator(".kb-document"))
    expect(dialog.locator(".kb-document mark")).to_be_in_viewport()


def test_the_answer_shown_is_the_answer_the_api_gives(answering: Servers, browse: Browse):
    body = {"question": QUESTION, "mode": "quote"}
    answer = httpx.post(f"{answering.api}/v1/query", json=body, trust_env=False, timeout=60).json()
    window = browse(answering.screens)
    window.page.get_by_text("Quoted", exact=True).click()
    window.ask(QUESTION)
    shown = window.page.locator(".kb-answer").last
    expect(shown.locator(".kb-chip").first).to_be_visible()
    for citation in answer["citations"]:
        expect(shown.locator(f".kb-chip[title='{citation['quote']}']").first).to_be_visible()


def test_the_stages_of_an_answer_open_on_click(answering: Servers, browse: Browse):
    window = browse(answering.screens)
    window.ask(QUESTION)
    facts = window.page.locator(".kb-facts")
    expect(facts).to_be_visible()
    expect(facts.get_by_text("Search", exact=True)).to_be_hidden()
    facts.locator("summary").click()
    expect(facts.get_by_text("Search", exact=True)).to_be_visible()
    expect(facts.get_by_text("Total", exact=True)).to_be_visible()


def test_what_is_not_there_is_said_with_the_closest_passages(refusing: Servers, browse: Browse):
    window = browse(refusing.screens)
    window.ask("Who won the football game yesterday?")
    page = window.page
    expect(page.get_by_text("Not in the documents")).to_be_visible()
    expect(page.get_by_text("Closest passages")).to_be_visible()
    assert page.locator(".kb-chip").count() == 0
    page.locator("[data-testid=stExpander] summary").first.click()
    expect(page.locator("[data-testid=stExpander] .kb-passage").first).to_be_visible()


def test_the_language_switch_turns_every_word(answering: Servers, browse: Browse):
    window = browse(answering.screens)
    page = window.page
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_text("您想了解什么？")).to_be_visible()
    expect(page.get_by_placeholder("就您的文档提问")).to_be_visible()
    words = page.locator("body").inner_text()
    for english in ("Knowledge base", "Library", "Answer style", "New conversation", "Look in", "documents"):
        assert english not in words
    page.reload()
    expect(page.get_by_text("您想了解什么？")).to_be_visible()


def test_a_chinese_browser_is_greeted_in_chinese(answering: Servers, browse: Browse):
    window = browse(answering.screens, locale="zh-CN")
    expect(window.page.get_by_text("您想了解什么？")).to_be_visible()


def test_markup_in_a_document_is_shown_as_text(answering: Servers, browse: Browse):
    window = browse(answering.screens)
    window.ask("When does the office open and close?")
    page = window.page
    expect(page.locator(".kb-facts")).to_be_visible()
    for summary in page.locator("[data-testid=stExpander] summary").all():
        summary.click()
    shown = page.locator("[data-testid=stExpander] .kb-passage", has_text="<script>alert(1)</script>")
    expect(shown.first).to_be_visible()
    assert page.locator("img[src='x']").count() == 0


def test_a_new_conversation_forgets_the_old_one(answering: Servers, browse: Browse):
    window = browse(answering.screens)
    window.ask(QUESTION)
    page = window.page
    expect(page.locator(".kb-facts")).to_be_visible()
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    assert page.locator(".kb-question").count() == 0


def test_streamlits_own_menus_are_hidden(answering: Servers, browse: Browse):
    page = browse(answering.screens).page
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    for test_id in ("stMainMenu", "stAppDeployButton", "stDecoration"):
        for element in page.locator(f"[data-testid={test_id}]").all():
            expect(element).to_be_hidden()
