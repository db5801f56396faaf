"""What a test does when something it needs is not on this machine: it skips aloud, or fails where it is required.

KB_TEST_REQUIRE lists what must be there (`postgres,chromium` in CI): for those a skip would hide a hole.
"""

import os
from typing import NoReturn

import pytest


def required(name: str) -> bool:
    """Whether KB_TEST_REQUIRE names `name`."""
    return name in {part.strip() for part in os.environ.get("KB_TEST_REQUIRE", "").split(",")}


def missing(name: str, command: str) -> NoReturn:
    """Skip the running test, naming the command that would enable it; fail where `name` is required."""
    sentence = f"{name} is not here; enable this test with: {command}"
    if required(name):
        pytest.fail(sentence)
    pytest.skip(sentence)
