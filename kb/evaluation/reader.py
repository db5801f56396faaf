"""Does the reader find the answer in the right passage, and know when there is none? `kb eval reader`.

The passage is given. F1 and exact match judge the best span whatever its confidence, over rows with answers;
refusing is judged at the shipped threshold over rows without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.errors import InvalidInput
from kb.evaluation.rows import Row, read_rows
from kb.evaluation.scoring import auroc, exact, f1, mean, references
from llm.reader import Passage, Reader, Reading

_TOGETHER = 64


@dataclass(frozen=True)
class ReaderOptions:
    """What to measure."""

    file: Path
    reader: Reader
    sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    on_progress: Callable[[str], None] = lambda sentence: None
    on_row: Callable[[Mapping[str, Any]], None] = lambda row: None


def run_reader(options: ReaderOptions) -> dict[str, Any]:
    """Return `{n, em, f1, noans_accuracy, auroc}`; em, f1 and noans_accuracy in percent, auroc in 0..1.

    Figures without a row to judge are None. InvalidInput where no row has a question and one passage.
    """
    rows = read_rows(options.file, sources=options.sources, exclude_sources=options.exclude_sources)
    asked = [row for row in rows if row.question.strip() and row.context is not None]
    if not asked:
        raise InvalidInput(f"{options.file.name} has no row with a question and one context.")
    readings: list[Reading] = []
    for at in range(0, len(asked), _TOGETHER):
        pairs = [(row.question, _passage(row)) for row in asked[at : at + _TOGETHER]]
        readings += options.reader.read_pairs(pairs)
        options.on_progress(f"{len(readings)} of {len(asked)} questions")
    ems: list[float] = []
    f1s: list[float] = []
    refused: list[float] = []
    for row, reading in zip(asked, readings, strict=True):
        quote = _best(row, reading)
        is_answered = reading.confidence >= options.reader.threshold
        scores: dict[str, float] = {}
        if row.answers:
            texts = references(row.answers, row.kind)
            scores = {
                "em": max(exact(quote, text, row.lang) for text in texts),
                "f1": max(f1(quote, text, row.lang) for text in texts),
            }
            ems.append(scores["em"])
            f1s.append(scores["f1"])
        else:
            refused.append(float(not is_answered))
        options.on_row(
            {"id": row.id, "quote": quote, "confidence": reading.confidence, "answered": is_answered, **scores}
        )
    confidences = [reading.confidence for reading in readings]
    return {
        "n": len(asked),
        "em": _percent(mean(ems)),
        "f1": _percent(mean(f1s)),
        "noans_accuracy": _percent(mean(refused)),
        "auroc": _rounded(auroc(confidences, [bool(row.answers) for row in asked])),
    }


def _passage(row: Row) -> Passage:
    assert row.context is not None, "only rows with one context are asked"
    return Passage(row.context.title, row.context.text)


def _best(row: Row, reading: Reading) -> str:
    if not reading.spans:
        return ""
    assert row.context is not None, "only rows with one context are asked"
    return row.context.text[reading.spans[0].start : reading.spans[0].end]


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
