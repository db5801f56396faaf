"""`python -m ui` starts the screens: local address, no browser opened, no usage statistics, no developer menus.

Streamlit reads its settings from its command line; `command` builds that line and nothing is left to a file
that may be missing. The address of the API and its token come from KB_API_URL and KB_TOKEN.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

FLAGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.showSidebarNavigation": "false",
    "runner.magicEnabled": "false",
    "logger.level": "warning",
    "theme.base": "light",
    "theme.primaryColor": "#1d5c8f",
    "theme.backgroundColor": "#ffffff",
    "theme.secondaryBackgroundColor": "#f4f6f8",
    "theme.textColor": "#1b2530",
    "theme.borderColor": "#dde3e9",
    "theme.baseRadius": "0.5rem",
    "theme.showWidgetBorder": "true",
}


def command(host: str, port: int, upload_mb: int) -> list[str]:
    """The command that serves the screens at `host` and `port`; files above `upload_mb` mebibytes are not taken."""
    flags = FLAGS | {"server.address": host, "server.port": str(port), "server.maxUploadSize": str(upload_mb)}
    script = str(Path(__file__).with_name("app.py"))
    return [sys.executable, "-m", "streamlit", "run", script, *(f"--{name}={value}" for name, value in flags.items())]


def main() -> None:
    """Replace this process by the server of the screens, so that signals reach it."""
    parser = argparse.ArgumentParser(prog="python -m ui", description="Serve the chat and library screens.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8501, help="port to listen on (default: %(default)s)")
    parser.add_argument("--max-upload-mb", type=int, default=100, help="largest file to take (default: %(default)s)")
    given = parser.parse_args()
    arguments = command(given.host, given.port, given.max_upload_mb)
    os.execv(arguments[0], arguments)  # noqa: S606 - no shell, our own interpreter


if __name__ == "__main__":
    main()
