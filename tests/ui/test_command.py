"""How the screens are started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ui.__main__ import command


def test_the_screens_listen_where_told_and_report_nothing():
    arguments = command("127.0.0.1", 8600, 50)
    assert arguments[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert Path(arguments[4]).is_file()
    for flag in (
        "--server.address=127.0.0.1",
        "--server.port=8600",
        "--server.headless=true",
        "--server.maxUploadSize=50",
        "--browser.gatherUsageStats=false",
        "--client.toolbarMode=minimal",
        "--client.showErrorDetails=none",
    ):
        assert flag in arguments


def test_every_flag_is_one_that_streamlit_knows():
    from streamlit import config

    known = set(config._config_options_template)
    assert {flag.removeprefix("--").split("=")[0] for flag in command("127.0.0.1", 1, 1)[5:]} <= known


def test_help_names_the_options():
    shown = subprocess.run([sys.executable, "-m", "ui", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--port" in shown
