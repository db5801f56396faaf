"""reStructuredText to HTML through docutils, with file inclusion and raw output switched off.

Roles of Sphinx keep their text; its directives that docutils does not know are left out.
"""

from __future__ import annotations

import re

from docutils.core import publish_parts
from docutils.nodes import literal
from docutils.parsers.rst import roles
from docutils.utils import SystemMessage

from ingest.records import ParseFailure

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "report_level": 5,
    "halt_level": 5,
    "_disable_config": True,
    "embed_stylesheet": False,
    "stylesheet_path": None,
    "syntax_highlight": "none",
    "smart_quotes": False,
    "doctitle_xform": False,
    "initial_header_level": 1,
}

for (
    _role
) in "ref doc term class func meth mod attr data obj exc option envvar file program command samp kbd abbr".split():
    roles.register_generic_role(_role, literal)
for _role in ("py:class", "py:func", "py:meth", "py:mod", "py:attr", "numref", "guilabel", "menuselection", "download"):
    roles.register_generic_role(_role, literal)


def rst_to_html(text: str, name: str) -> str:
    """The document as an HTML body. Raises ParseFailure where docutils gives up."""
    # Sphinx writes targets into the role's text, `words <target>`, and ~ before a name to shorten it.
    source = re.sub(r"(:[\w:]+:`)~", r"\1", re.sub(r":[\w:]+:`([^`<]+?)\s*<[^>`]+>`", r"\1", text))
    try:
        body: str = publish_parts(source, writer="html5", settings_overrides=_SETTINGS)["html_body"]
    except (SystemMessage, ValueError, RecursionError) as error:
        raise ParseFailure(f"{name} cannot be read as reStructuredText: {error}") from error
    return f"<html><body>{body}</body></html>"
