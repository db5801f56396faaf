"""The writer's prompt, one code for training and serving (ChatML, as SmolLM2 was tuned).

Evidence is numbered by its order in the prompt; the passage numbers that users see are put beside
the checked sentences later, by the program. Text from documents and questions is data: marks that
the tokenizer would read as control tokens are broken up.
"""

import re
from collections.abc import Sequence

from llm.evidence import Evidence

SYSTEM = "Answer from the passage."
END_OF_TURN = "<|im_end|>"
_TITLE_CHARACTERS = 80
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


def build_prompt(question: str, evidence: Sequence[Evidence]) -> str:
    """ChatML text up to the assistant's turn; ends with ``<|im_start|>assistant`` and a newline."""
    blocks = [f"[{n}] {_title(item.title)}\n{printed(item.text)}" for n, item in enumerate(evidence, start=1)]
    user = "\n\n".join([*blocks, printed(question)])
    return f"<|im_start|>system\n{SYSTEM}{END_OF_TURN}\n<|im_start|>user\n{user}{END_OF_TURN}\n<|im_start|>assistant\n"


def printed(text: str) -> str:
    """Text as the prompt shows it: blanks single, no empty lines, no control marks (``<|`` is broken up)."""
    plain = _EMPTY_LINES.sub("\n", _BLANKS.sub(" ", text.replace("\r\n", "\n"))).strip()
    return plain.replace("<|", "< |").replace("|>", "| >")


def _title(title: str) -> str:
    """The heading path, its first and last part when the whole is long."""
    line = " ".join(printed(title).split())
    parts = line.split(" > ")
    if len(line) > _TITLE_CHARACTERS and len(parts) > 2:
        line = f"{parts[0]} > {parts[-1]}"
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"
