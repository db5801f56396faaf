"""Training rows from a folder of `*.train.jsonl.gz` files, kept apart from every `*.dev` file beside them.

A row is a question with the passage it is asked of; see the data folder's own description for the fields. Rows whose
passage, or whose question, stands in a dev file are dropped and counted, so that a measured figure is never a
remembered one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One question. `answers` are alternatives, for kind `list` the items; empty where the passage does not answer."""

    id: str
    lang: str
    source: str
    family: str
    kind: str
    title: str
    context: str
    question: str
    answers: tuple[str, ...]
    response: str


@dataclass(frozen=True)
class Rows:
    """Kept rows, and how many were dropped for which reason."""

    kept: tuple[Row, ...]
    dropped: dict[str, int] = field(default_factory=dict)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path.name}, line {number}: not JSON ({error.msg})") from error
            yield row


def _files(folder: Path, part: str) -> list[Path]:
    return sorted([*folder.glob(f"*.{part}.jsonl.gz"), *folder.glob(f"*.{part}.jsonl")])


def _answers(raw: list[Any]) -> tuple[str, ...]:
    """An item given with alternatives counts as its first form."""
    return tuple(answer if isinstance(answer, str) else answer[0] for answer in raw)


def _row(raw: dict[str, Any], family: str) -> Row:
    return Row(
        id=str(raw["id"]),
        lang=raw["lang"],
        source=raw["source"],
        family=family,
        kind=raw.get("kind") or "short",
        title=raw.get("title") or "",
        context=raw["context"],
        question=raw.get("standalone") or raw["question"],
        answers=_answers(raw["answers"]),
        response=raw.get("response") or "",
    )


def split_by_passage(rows: tuple[Row, ...], one_in: int) -> tuple[list[Row], list[Row]]:
    """(to train on, held out): about one passage in `one_in` is held out with all its questions, chosen by its hash."""
    train: list[Row] = []
    held: list[Row] = []
    for row in rows:
        digest = hashlib.sha256(row.context.strip().encode()).digest()
        (held if int.from_bytes(digest[:4], "big") % one_in == 0 else train).append(row)
    return train, held


def read_training_rows(folder: Path) -> Rows:
    """All single-passage training rows under `folder`. Raises ValueError when there are none or a line is no JSON.

    Follow-up rows count with their standalone question; two-passage rows are left out.
    """
    held_out: set[str] = set()
    for path in _files(folder, "dev"):
        for raw in _lines(path):
            held_out.update(str(raw[key]).strip() for key in ("context", "question") if raw.get(key))
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    for path in _files(folder, "train"):
        family = path.name.split(".")[0]
        for raw in _lines(path):
            if "context" not in raw:
                dropped["two passages"] += 1
            elif raw["context"].strip() in held_out:
                dropped["passage stands in a dev file"] += 1
            elif raw["question"].strip() in held_out and raw["context"].strip() in held_out:
                dropped["question stands in a dev file"] += 1
            else:
                kept.append(_row(raw, family))
    if not kept:
        raise ValueError(f"{folder} holds no *.train.jsonl.gz rows with a passage")
    return Rows(tuple(kept), dict(dropped))
