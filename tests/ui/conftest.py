"""Real servers with tiny models, and a real browser before them.

The tiny reader's scores mean nothing, so its threshold decides: at 0 every question is answered, above 1 none is.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, Request, expect, sync_playwright

from kb.launch import await_answer, command, free_port, stop
from tests.tiny import tiny_checkpoint, tiny_models

GUIDE = {
    "holiday.md": "# Holiday\n\nEvery employee has 30 days of paid holiday a year. Requests go to the team lead.\n",
    "travel.md": "# 差旅\n\n出差前须提交申请。住宿费每晚不超过 600 元。\n",
    "attack.txt": "<img src=x onerror=alert(1)>\n\n<script>alert(1)</script> The office opens at 8 and closes at 18.\n",
}


PATIENCE_MS = 180_000  # a busy machine is slow; nothing here is a matter of speed


@dataclass(frozen=True)
class Servers:
    """Addresses of a running API and of the screens before it."""

    api: str
    screens: str


class Window:
    """A page in the browser, and what it did that it must not: requests to other machines, dialogs of scripts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE_MS)
        self.elsewhere: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", self._requested)
        page.on("dialog", self._opened)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.elsewhere.append(request.url)

    def _opened(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def ask(self, question: str) -> None:
        """Type a question and send it."""
        box = self.page.locator("[data-testid=stChatInputTextArea]")
        box.fill(question)
        box.press("Enter")


@contextmanager
def _running(home: Path, models: Path, checkpoint: Path) -> Iterator[Servers]:
    environment = {
        **os.environ,
        "KB_HOME": str(home),
        "KB_MODELS": str(models),
        "KB_CHECKPOINT": str(checkpoint),
        "KB_PRECISION": "fp32",
        "KB_THREADS": "1",
    }
    guide = home.parent / f"{home.name}-guide"
    guide.mkdir()
    for name, text in GUIDE.items():
        (guide / name).write_text(text, encoding="utf-8")
    subprocess.run(
        command("ingest", str(guide), "--collection", "guide"), env=environment, check=True, capture_output=True
    )
    api_port = free_port("127.0.0.1", 0)
    ui_port = free_port("127.0.0.1", 0)
    api, screens = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{ui_port}"
    with ExitStack() as running:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(command(*arguments), env=environment, start_new_session=True)
            running.callback(stop, process)
            return process

        server = start("serve", "--port", str(api_port))
        window = start("ui", "--port", str(ui_port), "--api", api)
        await_answer(f"{api}/readyz", server, "API")
        await_answer(f"{screens}/_stcore/health", window, "chat")
        yield Servers(api, screens)


def _with_threshold(folder: Path, models: Path, threshold: float) -> Path:
    checkpoint = tiny_checkpoint(folder, models)
    description = checkpoint / "reader.json"
    content = json.loads(description.read_text(encoding="utf-8"))
    content["calibration"]["threshold"] = threshold
    description.write_text(json.dumps(content), encoding="utf-8")
    return checkpoint


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def answering(chromium: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers whose reader finds an answer to everything."""
    folder = tmp_path_factory.mktemp("answering")
    with _running(folder / "home", tiny_base, _with_threshold(folder / "checkpoint", tiny_base, 0.0)) as servers:
        yield servers


@pytest.fixture(scope="session")
def refusing(chromium: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers whose reader finds an answer to nothing."""
    folder = tmp_path_factory.mktemp("refusing")
    with _running(folder / "home", tiny_base, _with_threshold(folder / "checkpoint", tiny_base, 1.1)) as servers:
        yield servers


@pytest.fixture
def browse(chromium: str) -> Iterator[Callable[..., Window]]:
    """Open a page in a fresh browser; at the end, nothing may have been fetched from elsewhere, and no dialog shown."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        windows: list[Window] = []

        def open_page(address: str, locale: str = "en-US") -> Window:
            page = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900}).new_page()
            window = Window(page)
            windows.append(window)
            page.goto(address)
            return window

        yield open_page
        for window in windows:
            assert window.elsewhere == []
            assert window.dialogs == []
        browser.close()
