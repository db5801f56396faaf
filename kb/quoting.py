"""From the reader's span to words a person can read: the sentence around it, a clean phrase of it, or a whole list.

Works on a passage's text and offsets into it; what is cited is always an exact span of that text.
"""

import re
from dataclasses import dataclass

from llm.sentences import list_marker_end, split_sentences

_LONGEST = 320  # characters of a sentence that is quoted whole
_LONGEST_LIST = 1200
_CLAUSE_BREAK = re.compile(r"[;；:：—–]\s*|[,，]\s*|\s\|\s|[。！？]|[.!?]\s|\n")
_PLURAL_NOUN = r"(?:\w{2,}[^\Wsui0-9_]s|people|criteria)"
_PLURAL_EN = re.compile(
    rf"\b(?:which|what|all|list|name)\s+(?:the\s+)?(?:[\w-]+\s+){{0,2}}?(?!does\b|was\b|has\b|this\b){_PLURAL_NOUN}\s*"
    r"(?:\?|$|\b(?:do|did|are|were|can|could|should|must|have|need|would|will|may|in|of|for|to|that|on|with|from|i|we|you)\b)"
    rf"|^(?:[\w-]+\s+){{0,2}}{_PLURAL_NOUN}\s+(?:to|of|for|in|that|with|on|from|when|who|we|i|you)\b"
    r"|\b(?:list|steps|ways|options|kinds|types|reasons|examples|requirements)\b",
    re.I,
)
_PLURAL_ZH = re.compile(
    "哪些|哪几|都有|几种|几条|列出|步骤|分别|包括什么|哪[两三四五]|有什么(?:类型|方式|方法|步骤|办法|要求|条件)"
)
_HOW_TO = re.compile(r"\bhow (?:do|can|could|should|would|must|to)\b|\bsteps?\b|怎么|怎样|如何", re.I)
_NUMBERED = re.compile(r"\s*(?:\d{1,3}[.)、．]|[(（]\d{1,2}[)）]|[①-⑳])")
_MARKUP = re.compile(r"^\s*(?:>+\s*|#{1,6}\s+)")


@dataclass(frozen=True)
class Quote:
    """`text` is what is said; `pieces` are the exact spans of the passage that it says, one a line."""

    text: str
    pieces: tuple[tuple[int, int], ...]


def asks_for_list(question: str) -> bool:
    """Whether the question wants several items rather than one fact."""
    return bool(_PLURAL_EN.search(question) or _PLURAL_ZH.search(question))


def readable_quote(text: str, span: tuple[int, int], question: str) -> Quote:
    """Widen the span to whole sentences, to a clean phrase where those are long, and to all items of its list.

    The span itself is always inside.
    """
    wants_all = asks_for_list(question) or _spans_items(text, span) or _is_step(text, span, question)
    items = _list_around(text, span) if wants_all else []
    if items:
        numbered = _NUMBERED.match(text[text.rfind("\n", 0, items[0][0]) + 1 : items[0][0]])
        lines = [f"{f'{n}.' if numbered else '-'} {spoken(text[a:b])}" for n, (a, b) in enumerate(items, 1)]
        return Quote("\n".join(lines), tuple(items))
    start, end = _widened(text, span)
    after = _led_to(text, end) if text[end - 1 : end] in (":", "：") else end
    lines = [spoken(text[start:end]), *(line.rstrip() for line in text[end:after].splitlines() if line.strip())]
    return Quote("\n".join(lines), ((start, after),))


def spoken(text: str) -> str:
    """Text of a document as part of an answer: one line, no list marker or heading signs, cells of a table spaced."""
    line = " ".join(_MARKUP.sub("", text).split())
    line = line[list_marker_end(line) :].strip()
    if line.startswith("|") or line.count(" | ") >= 2:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        line = " · ".join(cell for cell in cells if cell.strip(" -:"))
    return line


def _touched(text: str, span: tuple[int, int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in split_sentences(text) if a < span[1] and b > span[0]]


def _spans_items(text: str, span: tuple[int, int]) -> bool:
    return sum(list_marker_end(text[a:b]) > 0 for a, b in _touched(text, span)) > 1


def _is_step(text: str, span: tuple[int, int], question: str) -> bool:
    """Whether the span is a numbered step and the question asks how to do something: all steps are the answer."""
    return bool(_HOW_TO.search(question)) and any(_NUMBERED.match(text[a:b]) for a, b in _touched(text, span)[:1])


def _list_around(text: str, span: tuple[int, int]) -> list[tuple[int, int]]:
    """The items of the list that the span touches or leads to; empty where it stands in prose."""
    sentences = split_sentences(text)
    marked = [list_marker_end(text[a:b]) > 0 for a, b in sentences]
    touched = [i for i, (a, b) in enumerate(sentences) if a < span[1] and b > span[0]]
    if not touched:
        return []
    anchor = next((i for i in touched if marked[i]), None)
    if anchor is None:
        following = touched[-1] + 1
        leads = text[sentences[touched[-1]][1] - 1] in ":："
        if not (leads and following < len(sentences) and marked[following]):
            return []
        anchor = following
    first = last = anchor
    while first > 0 and _same_list(text, sentences, marked, first - 1, first):
        first -= 1
    while last + 1 < len(sentences) and _same_list(text, sentences, marked, last, last + 1):
        last += 1
    items: list[tuple[int, int]] = []
    for i in range(first, last + 1):
        if marked[i] or not items:
            items.append(sentences[i])
        else:  # a further sentence of the same item
            items[-1] = (items[-1][0], sentences[i][1])
    items = [(start + list_marker_end(text[start:end]), end) for start, end in items]
    return items if len(items) > 1 and sum(b - a for a, b in items) <= _LONGEST_LIST else []


def _same_list(text: str, sentences: list[tuple[int, int]], marked: list[bool], upper: int, lower: int) -> bool:
    """Whether sentence `lower` goes on with the list of `upper`: the next item, or more of one on the same line."""
    gap = text[sentences[upper][1] : sentences[lower][0]]
    if marked[lower]:
        return (marked[upper] or _in_item(text, sentences, marked, upper)) and gap.count("\n") <= 2
    return "\n" not in gap and (marked[upper] or _in_item(text, sentences, marked, upper))


def _in_item(text: str, sentences: list[tuple[int, int]], marked: list[bool], place: int) -> bool:
    while place > 0 and not marked[place]:
        if "\n" in text[sentences[place - 1][1] : sentences[place][0]]:
            return False
        place -= 1
    return marked[place]


def _widened(text: str, span: tuple[int, int]) -> tuple[int, int]:
    touched = _touched(text, span)
    if not touched:
        return span
    start, end = touched[0][0], touched[-1][1]
    start += list_marker_end(text[start:end]) if start + list_marker_end(text[start:end]) <= span[0] else 0
    if end - start <= max(_LONGEST, span[1] - span[0]):
        return start, end
    return _phrase(text, span, start, end)


def _led_to(text: str, start: int) -> int:
    """Where the block ends that a line with a colon leads to: a list or some lines of code."""
    end = start
    for low, high in split_sentences(text[start:]):
        gap = text[end : start + low]
        if (end > start and re.search(r"\n\s*\n", gap)) or high > _LONGEST:
            break
        end = start + high
    return end


def _phrase(text: str, span: tuple[int, int], start: int, end: int) -> tuple[int, int]:
    """The clauses around the span, as many as fit."""
    cuts = [start, *(start + m.end() for m in _CLAUSE_BREAK.finditer(text[start:end])), end]
    low = max((cut for cut in cuts if cut <= span[0]), default=start)
    high = min((cut for cut in cuts if cut >= span[1]), default=end)
    before = [cut for cut in cuts if cut < low]
    after = [cut for cut in cuts if cut > high]
    while before and high - before[-1] <= _LONGEST:
        low = before.pop()
    while after and after[0] - low <= _LONGEST:
        high = after.pop(0)
    while high > span[1] and text[high - 1] in " ,，;；:：—–|\n":
        high -= 1
    return low, high
