"""Which language a question is asked in; it decides how the answer is worded and whether it can be written.

A question is short, so script comes first, and another language than English must show itself by words of its own.
"""

import re

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile("[\u3041-\u30ff]")
_OTHER_SCRIPTS = (
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
)
_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(
    "the of and to in is for that with are be this you or by from it at can if will what which who how when where why "
    "does do did should must may have has i my we our not any there".split()
)
_OTHERS: dict[str, frozenset[str]] = {
    "de": frozenset(
        "der die das und ist nicht wie wer was welche wann wo kann ich ein eine einen für auf den dem mit sind".split()
    ),
    "fr": frozenset(
        "le la les des est pour dans que qui quoi comment quel quelle je une du au aux avec sont peut".split()
    ),
    "es": frozenset("el los las qué que cómo como cuál quién una para con por es del son puedo dónde".split()),
    "pt": frozenset("os não como uma para com em que qual quem é são posso onde da dos".split()),
    "it": frozenset("il gli che come per con una è sono di chi quale dove posso della".split()),
}
_NOT_FOUND = {
    "en": "The documents do not contain an answer to this question.",
    "zh": "文档中没有找到这个问题的答案。",
}


def question_language(text: str) -> str:
    """A two-letter code. Two Chinese characters make a question Chinese, however many program names are in it."""
    han = len(_HAN.findall(text))
    if _KANA.search(text):
        return "ja"
    words = [word.lower() for word in _WORD.findall(_HAN.sub(" ", text))]
    if han >= 2 or (han and not words):
        return "zh"
    for code, script in _OTHER_SCRIPTS:
        if len(script.findall(text)) >= 2:
            return code
    said = set(words)
    best = max(_OTHERS, key=lambda code: len(said & _OTHERS[code]))
    hits = len(said & _OTHERS[best])
    return best if hits >= 2 and hits > len(said & _ENGLISH) else "en"


def is_written_in(text: str, languages: frozenset[str]) -> bool:
    """Whether a document's text is in one of these languages, judged by its share of Chinese characters."""
    letters = sum(1 for character in text if character.isalpha())
    is_chinese = len(_HAN.findall(text)) > 0.2 * max(1, letters)
    return ("zh" if is_chinese else "en") in languages


def not_found(language: str) -> str:
    """What is said when no passage answers."""
    return _NOT_FOUND.get(language, _NOT_FOUND["en"])
