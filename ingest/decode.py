"""From bytes to text: the encoding of a text file, found without guessing where it can be known.

Order: byte order mark, valid UTF-8, what the document declares, UTF-16 without a mark, and only
then the statistics of charset-normalizer among the encodings people really use.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

from ingest.records import Dropped, ParseFailure

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""")
# Of each East Asian encoding the lead bytes of its frequent characters: national standards sort them first.
_EAST_ASIAN: dict[str, tuple[range, ...]] = {
    "gb18030": (range(0xA1, 0xA4), range(0xB0, 0xD8)),
    "big5": (range(0xA1, 0xA4), range(0xA4, 0xC7)),
    "cp932": (range(0x81, 0x84), range(0x88, 0x98)),
    "euc_jp": (range(0xA1, 0xA6), range(0xB0, 0xD0)),
    "cp949": (range(0xA1, 0xA4), range(0xB0, 0xC9)),
}
_WESTERN = ("cp1252", "cp1250", "cp1251", "iso8859_1", "iso8859_5", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r")
_EAST_ASIAN_FROM = 0.85  # see _fit; Cyrillic and Western texts stay below 0.6
_SAMPLE = 200_000  # bytes given to statistics; more does not change the verdict
_NUL_SHARE = 0.001  # above this share of NUL bytes a file is binary, not text with a few stray ones
_BROKEN_SHARE = 0.001  # UTF-8 with at most this share of broken bytes is still UTF-8

# Characters that ordinary text of a language is full of; they tell apart encodings that all decode without error.
_COMMON = frozenset("的一是不了在人有我他这为之来以个中上们到说国和地也子"
                    "时道出而要于就下得可你年生自会那后能对着事其里所去行过家用"
                    "這為來個們說國時動於後過對裡發會學經與應實現開關係進種電點問題當長"
                    "のにはをたがでてとしれさいるもなかすらおこまりくよ。、，！？：；（）「」《》“”—…・ー"
                    "이다의는을에가지고하은를한도로기")  # fmt: skip

_ACCENTED = frozenset("äöüßÄÖÜéèêëàâçîïôûùœÉÈÀÂÇÊÔñáíóúÑÁÍÓÚãõÃÕìòåæøÅÆØ¿¡“”„‘’‚–—…•°§€£«»·©®™×±\u00a0")


@dataclass(frozen=True)
class Decoded:
    """A file's text, the name of its encoding, and what could not be decoded."""

    text: str
    encoding: str
    dropped: tuple[Dropped, ...] = ()


def decode(data: bytes, name: str, *, declares: bool = False) -> Decoded:
    """Decode a text file; `declares` lets an HTML or XML declaration in the first 2,048 bytes speak.

    Raises ParseFailure for binary content and for text in no known encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(data, encoding, name)
    nuls = data.count(0)
    if nuls == 0 or nuls <= len(data) * _NUL_SHARE:
        try:
            return Decoded(data.decode("utf-8"), "utf-8")
        except UnicodeDecodeError:
            pass
        declared = _declared(data) if declares else None
        if declared:
            try:
                return Decoded(data.decode(declared), declared)
            except UnicodeDecodeError:
                pass
        return _by_statistics(data, name)
    wide = _wide_encoding(data)
    if wide is None:
        raise ParseFailure(f"{name} holds {nuls} NUL bytes in {len(data)}, so it is binary and not text")
    return _strictly(data, wide, name)


def _strictly(data: bytes, encoding: str, name: str) -> Decoded:
    try:
        return Decoded(data.decode(encoding), encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8-sig":
            return _repaired(data[len(codecs.BOM_UTF8) :], name)
        raise ParseFailure(
            f"{name} says it is {encoding} but byte {error.start} does not fit ({error.reason})"
        ) from error


def _declared(data: bytes) -> str | None:
    match = _DECLARED.search(data[:2048])
    if match is None:
        return None
    label = match.group(1).decode("ascii").lower()
    # What pages call by the older names is decoded by their supersets, as browsers do.
    label = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "iso-8859-1": "cp1252"}.get(label, label)
    try:
        info = codecs.lookup(label)
    except LookupError:
        return None
    return info.name if info.name not in {"utf-16", "utf-32", "unicode-escape", "idna", "punycode"} else None


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: Latin text has its NUL bytes on one side of each pair only."""
    sample = data[: _SAMPLE & ~1]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = max(1, len(sample) // 2)
    if odd > 0.2 * half and even <= 0.01 * half:
        return "utf-16-le"
    if even > 0.2 * half and odd <= 0.01 * half:
        return "utf-16-be"
    return None


def _by_statistics(data: bytes, name: str) -> Decoded:
    repaired = _repair(data)
    if repaired is not None:
        return repaired
    best, score = max(((encoding, _fit(data, encoding)) for encoding in _EAST_ASIAN), key=lambda pair: pair[1])
    if score >= _EAST_ASIAN_FROM:
        return Decoded(data.decode(best), best)
    if _is_western(data):
        return _strictly(data, "cp1252", name)
    match = from_bytes(data[:_SAMPLE], cp_isolation=list(_WESTERN)).best()
    if match is None:
        raise ParseFailure(f"{name} is in no known text encoding (tried UTF-8, UTF-16, Chinese, Japanese, Western)")
    return _strictly(data, match.encoding, name)


def _fit(data: bytes, encoding: str) -> float:
    """How much like text the bytes are in an East Asian encoding: 0 (cannot be) to 2 (surely).

    The share of characters from the encoding's frequent rows, plus the share of those that texts are
    full of: the first tells it from Western text, the second from its neighbours.
    """
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    wide = [char for char in text[:_SAMPLE] if ord(char) > 127]
    if not wide:
        return 0.0
    frequent = 0
    for char in wide:
        encoded = char.encode(encoding)
        frequent += len(encoded) == 2 and any(encoded[0] in rows for rows in _EAST_ASIAN[encoding])
    return (frequent + sum(1 for char in wide if char in _COMMON)) / len(wide)


def _is_western(data: bytes) -> bool:
    """Latin text with a few accented letters of the commonest languages: statistics of so little would be chance."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    beyond = [char for char in text[:_SAMPLE] if ord(char) > 127]
    letters = sum(1 for char in text[:_SAMPLE] if char.isalpha())
    return len(beyond) < 0.4 * letters and sum(1 for char in beyond if char in _ACCENTED) >= 0.95 * len(beyond)


def _repair(data: bytes) -> Decoded | None:
    """UTF-8 with a few broken bytes, else None."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    if broken > max(1, len(text) * _BROKEN_SHARE) or sum(1 for char in text if ord(char) > 127) < 3 * broken:
        return None
    return Decoded(text.replace("\ufffd", ""), "utf-8", (Dropped("bytes", "not valid UTF-8", broken),))


def _repaired(data: bytes, name: str) -> Decoded:
    repaired = _repair(data)
    if repaired is None:
        raise ParseFailure(f"{name} begins with a UTF-8 mark but is not UTF-8")
    return repaired
