"""Both languages say the same things, and pages use only texts that exist."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

from ui.texts import TEXTS, text

UI = Path(__file__).resolve().parents[2] / "ui"
HAN = re.compile(r"[\u4e00-\u9fff]")


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_has_both_languages_with_the_same_placeholders(key: str):
    english, chinese = TEXTS[key]
    assert english.strip()
    assert chinese.strip()
    assert placeholders(english) == placeholders(chinese)
    assert not HAN.search(english)
    assert HAN.search(chinese)


def keys_used() -> dict[str, str]:
    """Constant keys given to `say` anywhere in the pages, with the file they stand in."""
    used: dict[str, str] = {}
    for path in UI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"say", "_section"} and node.args:
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    used[str(argument.value)] = path.name
    return used


def test_every_key_the_pages_use_exists():
    assert {key: file for key, file in keys_used().items() if key not in TEXTS} == {}


def test_every_text_is_used():
    source = "".join(path.read_text(encoding="utf-8") for path in UI.glob("*.py") if path.name != "texts.py")
    built = ("stage_", "state_", "error_", "mode_", "column_", "answered_")
    quoted = {word for pair in re.findall(r"\"(\w+)\"|'(\w+)'", source) for word in pair}
    unused = [key for key in TEXTS if key not in quoted and not key.startswith(built)]
    assert unused == []


def test_a_page_writes_no_sentence_of_its_own():
    wrong = []
    for path in UI.glob("*.py"):
        if path.name == "texts.py":
            continue
        wrong += [path.name for _ in HAN.finditer(path.read_text(encoding="utf-8"))]
    assert wrong == []


def test_a_text_is_filled_in_the_language_asked_for():
    assert text("en", "page_number", page=3) == "page 3"
    assert text("zh", "page_number", page=3) == "第 3 页"
