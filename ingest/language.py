"""The main language of a text from its script and its commonest words; good for a label, not for linguistics."""

from __future__ import annotations

import re
from collections import Counter

_SAMPLE = 20_000
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("kana", re.compile("[\u3041-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("han", re.compile("[\u4e00-\u9fff\u3400-\u4dbf]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("latin", re.compile("[A-Za-z\u00c0-\u024f]+")),  # words: one Han character weighs about as much as one
)
_WORDS: dict[str, frozenset[str]] = {
    "en": frozenset(
        "the of and to in is for that with on are be this as you or by from it at not can an if will".split()
    ),
    "de": frozenset(
        "der die das und ist nicht mit ein eine für auf den dem von zu sich werden auch bei wird sind".split()
    ),
    "fr": frozenset("le la les des et est pour dans une que qui sur avec par du au pas sont ce vous ou aux".split()),
    "es": frozenset("el la los las de que y en es por con para una se del al como más su está son o".split()),
    "pt": frozenset("o os as de que e em é por com para uma se do da dos não como mais no na são ou".split()),
    "it": frozenset("il lo gli di che e è per con una si del della dei non come più nel sono da al o".split()),
}


def language_of(text: str) -> str:
    """A two-letter code (en, zh, ja, ko, ru, ar, de, fr, es, pt, it), or "und" where nothing stands out."""
    sample = text[:_SAMPLE]
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS}
    total = sum(counts.values())
    if total == 0:
        return "und"
    if counts["kana"] > 0.1 * (counts["kana"] + counts["han"]) and counts["kana"] > 0.1 * total:
        return "ja"
    script = max(("ko", "han", "ru", "ar", "latin"), key=lambda name: counts[name])
    # Chinese technical writing is full of Latin names; a third of the weight is enough.
    if script == "latin" and counts["han"] >= 0.35 * total:
        script = "han"
    if script != "latin":
        return {"han": "zh"}.get(script, script)
    words = Counter(re.findall("[a-z\u00c0-\u024f]+", sample.lower()))
    shares = {code: sum(words[word] for word in common) for code, common in _WORDS.items()}
    best = max(shares, key=lambda code: shares[code])
    # Among program code and names English function words are rare, and short words of other languages are chance.
    least = 0.04 if best == "en" else 0.15
    enough = shares[best] >= (1 if best == "en" else 2)
    return best if enough and shares[best] >= least * sum(words.values()) else "und"
