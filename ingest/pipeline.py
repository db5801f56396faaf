"""The one-way trip of a parsed document to embeddable passages: clean, filter, lay out, chunk, filter again.

Each step reports what it left out; nothing is lost silently.
"""

from __future__ import annotations

from ingest.blocks import lay_out
from ingest.chunk import ChunkKnobs, cut
from ingest.clean import clean_elements, clean_line
from ingest.filter import drop_boilerplate, drop_poor
from ingest.language import language_of
from ingest.records import Measure, Parsed, Prepared, passage_text

__all__ = ["ChunkKnobs", "passage_text", "prepare"]


def prepare(parsed: Parsed, measure: Measure, knobs: ChunkKnobs | None = None) -> Prepared:
    """Make a document ready to be embedded.

    The stored text is `text`; every chunk equals text[chunk.start:chunk.end]. A document whose
    content was all boilerplate has no chunks, and `dropped` says why.
    """
    cleaned, invisible = clean_elements(parsed.elements)
    elements, boilerplate = drop_boilerplate(cleaned)
    text, placed = lay_out(elements)
    title = clean_line(parsed.title)
    chunks, poor = drop_poor(cut(title, text, placed, measure, knobs))
    dropped = (*parsed.dropped, *invisible, *boilerplate, *poor)
    return Prepared(title, text, chunks, dropped, language_of(text))
