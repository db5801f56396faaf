"""The library in a real browser: files in, each with its result, listed, opened, deleted."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import expect

from tests.ui.conftest import Servers, Window

Browse = Callable[..., Window]


def listed(servers: Servers) -> dict[str, str]:
    """Path to state of every document."""
    items = httpx.get(f"{servers.api}/v1/documents", params={"limit": 100}, trust_env=False).json()["items"]
    return {item["path"]: item["state"] for item in items}


def test_files_are_taken_in_with_a_result_for_each(answering: Servers, browse: Browse):
    page = browse(f"{answering.screens}/library").page
    picker = page.locator("[data-testid=stFileUploaderDropzoneInput]")
    picker.set_input_files(
        [
            {"name": "parking.md", "mimeType": "text/markdown", "buffer": b"# Parking\n\nVisitors park on level 2."},
            {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 broken"},
            {"name": "tool.exe", "mimeType": "application/octet-stream", "buffer": b"MZ"},
        ]
    )
    page.get_by_role("button", name="Add files (3)").click()
    results = page.locator(".kb-results").last
    expect(page.get_by_text("Last upload")).to_be_visible()
    expect(results.locator("li", has_text="parking.md")).to_contain_text("ready, passages: 1")
    expect(results.locator("li", has_text="broken.pdf")).to_contain_text("failed")
    expect(results.locator("li", has_text="tool.exe")).to_contain_text("cannot be read")
    states = listed(answering)
    assert states["parking.md"] == "ready"
    assert states["broken.pdf"] == "failed"
    assert "tool.exe" not in states


def test_the_default_collection_takes_a_file_before_it_exists(refusing: Servers, browse: Browse):
    page = browse(f"{refusing.screens}/library").page
    page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
        [{"name": "first.md", "mimeType": "text/markdown", "buffer": b"# First\n\nThe first file of all."}]
    )
    page.get_by_role("combobox", name="Into collection").click()
    page.get_by_role("option", name="default", exact=True).click()
    page.get_by_role("button", name="Add files (1)").click()
    expect(page.locator(".kb-results").last.locator("li")).to_contain_text("ready")
    assert listed(refusing)["first.md"] == "ready"


def test_a_document_is_opened_and_deleted_after_a_question(answering: Servers, browse: Browse):
    content = b"# Locker\n\nLockers are cleared every Friday."
    httpx.post(f"{answering.api}/v1/documents", files={"file": ("locker.md", content)}, trust_env=False)
    page = browse(f"{answering.screens}/library").page
    row = page.locator("[class*=st-key-row-]", has_text="Locker")
    expect(row).to_contain_text("Ready")

    row.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Lockers are cleared every Friday.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    row.get_by_role("button").last.click()
    expect(dialog).to_contain_text("cannot be undone")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    assert "locker.md" in listed(answering)

    row.get_by_role("button").last.click()
    dialog.get_by_role("button", name="Delete for good").click()
    expect(row).to_have_count(0)
    assert "locker.md" not in listed(answering)


def test_a_collection_is_made_and_chosen(answering: Servers, browse: Browse):
    window = browse(f"{answering.screens}/library")
    page = window.page
    page.get_by_role("button", name="New collection").click()
    page.get_by_label("Name", exact=True).fill("handbook")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Collection “handbook” was created.")).to_be_visible()
    page.get_by_text("Ask", exact=True).click()
    box = page.get_by_role("combobox", name="Look in")
    box.click()
    page.get_by_role("option", name="handbook").click()
    page.keyboard.press("Escape")
    window.ask("How many days of paid holiday?")
    expect(page.get_by_text("Not in the documents")).to_be_visible()
