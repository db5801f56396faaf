"""Question files for measuring: JSON Lines, plain or gzip, one row a line.

A row may be a question with its passage (`context`), a question about an ingested document (`doc`, `evidence`), or a
passage alone. Every bad row is reported by file and line; nothing is skipped in silence.
"""

import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kb.errors import InvalidInput, NotFound

_KINDS = frozenset({"", "short", "passage", "list", "yesno", "none"})
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Context:
    """A passage with its heading."""

    title: str
    text: str


@dataclass(frozen=True)
class Row:
    """One line of a question file.

    `answers` are alternatives, or with kind `list` the items of one answer; each is a tuple of its accepted forms.
    `contexts` are all passages of the row: its `context`, or the passages of a question that needs several.
    """

    id: str
    line: int
    lang: str
    source: str
    question: str
    answers: tuple[tuple[str, ...], ...]
    contexts: tuple[Context, ...]
    kind: str = ""
    response: str = ""
    doc: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def context(self) -> Context | None:
        """The one passage of the row; None where there is none or several."""
        return self.contexts[0] if len(self.contexts) == 1 else None


def read_rows(path: Path, *, sources: Collection[str] = (), exclude_sources: Collection[str] = ()) -> list[Row]:
    """Read the rows of `path`, in order.

    With `sources` only rows of those sources are returned; rows of `exclude_sources` never are. NotFound where there is
    no such file; InvalidInput naming the line where a row is bad.
    """
    return [row for row in _rows(path) if (not sources or row.source in sources) and row.source not in exclude_sources]


def distinct_contexts(rows: Iterable[Row]) -> list[Context]:
    """Return the passages of `rows`, each text once (its first heading counts), in order of appearance."""
    seen: dict[str, Context] = {}
    for row in rows:
        for context in row.contexts:
            seen.setdefault(context.text, context)
    return list(seen.values())


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _row(line, f"{path.name}, line {number}", number)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path.name} is not a complete gzip file: {error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name} is not UTF-8 text: {error.reason} at byte {error.start}.") from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8-sig")


def _row(line: str, where: str, number: int) -> Row:
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{where}: this is not a JSON object ({error}).") from error
    if not isinstance(fields, dict):
        raise InvalidInput(f"{where}: this is not a JSON object.")
    question = _text(fields, "question", where)
    kind = _text(fields, "kind", where)
    if kind not in _KINDS:
        allowed = ", ".join(sorted(_KINDS - {""}))
        raise InvalidInput(f"{where}: kind {kind!r} is not one of {allowed}.")
    row = Row(
        id=_text(fields, "id", where) or f"line-{number}",
        line=number,
        lang=_text(fields, "lang", where) or ("zh" if _HAN.search(question) else "en"),
        source=_text(fields, "source", where),
        question=question,
        answers=_answers(fields.get("answers"), kind, where),
        contexts=_contexts(fields, where),
        kind=kind,
        response=_text(fields, "response", where),
        doc=_text(fields, "doc", where),
        evidence=_evidence(fields.get("evidence"), where),
    )
    if not (row.contexts or row.question):
        raise InvalidInput(f"{where}: a row needs a question or a context.")
    return row


def _text(fields: Mapping[str, object], name: str, where: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{where}: {name} must be text, not {type(value).__name__}.")
    return value


def _answers(value: object, kind: str, where: str) -> tuple[tuple[str, ...], ...]:
    """Accepted forms of each answer; a list inside the list gives the forms of one item of a `list` answer."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidInput(f"{where}: answers must be a list, not {type(value).__name__}.")
    answers: list[tuple[str, ...]] = []
    for item in value:
        if isinstance(item, str):
            answers.append((item,))
        elif kind == "list" and isinstance(item, list) and item and all(isinstance(form, str) for form in item):
            answers.append(tuple(item))
        else:
            raise InvalidInput(f"{where}: an answer must be text; only kind list may hold lists of alternatives.")
    return tuple(answers)


def _contexts(fields: Mapping[str, object], where: str) -> tuple[Context, ...]:
    context = _text(fields, "context", where)
    if context.strip():
        return (Context(_text(fields, "title", where), context),)
    passages = fields.get("passages")
    if passages is None:
        return ()
    if not isinstance(passages, list) or not all(isinstance(passage, dict) for passage in passages):
        raise InvalidInput(f"{where}: passages must be a list of objects with title and text.")
    found = [Context(_text(passage, "title", where), _text(passage, "text", where)) for passage in passages]
    return tuple(context for context in found if context.text.strip())


def _evidence(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    found: list[str] = []
    for piece in value if isinstance(value, list) else [value]:
        if not isinstance(piece, str):
            raise InvalidInput(f"{where}: evidence must be text or a list of texts.")
        found.append(piece)
    return tuple(piece for piece in found if piece.strip())
