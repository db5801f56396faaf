"""Text in every encoding people really use comes out as the same text."""

import pytest

from ingest.decode import decode
from ingest.records import ParseFailure

CHINESE = "员工出差需要提前三天提交申请，由部门经理批准后方可订票。住宿标准为每晚六百元，超出部分自理。"
TRADITIONAL = "員工出差需要提前三天提交申請，由部門經理批准後方可訂票。住宿標準為每晚六百元，超出部分自理。"
JAPANESE = "出張する社員は三日前までに申請書を提出し、部長の承認を得てから切符を予約してください。"
KOREAN = "출장을 가는 직원은 사흘 전까지 신청서를 제출하고 부장의 승인을 받은 후에 표를 예약해야 합니다."
GERMAN = "Die Größe der Büroräume in München überschreitet für gewöhnlich die übliche Fläche; Überstunden zählen nicht."
RUSSIAN = "Сотрудник должен подать заявление за три дня до поездки и получить согласие руководителя отдела."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-32"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (KOREAN, "euc_kr"),
        (GERMAN, "cp1252"),
        ("L'été à Noël, où ça coûte cher déjà", "cp1252"),
        ("“Quoted” – the firm’s words", "cp1252"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        ("Plain words only. " * 20, "utf-16-le"),
        ("Plain words only. " * 20, "utf-16-be"),
        ("Mixed 文字 in one line. 员工 and English words, three days 三天 before. " * 3, "gb18030"),
    ],
)
def test_the_encoding_is_found(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), "file.txt").text == text


@pytest.mark.parametrize("text", ["提前三天申请", "请假制度", "年假：二十八天"])
def test_a_few_chinese_characters_are_enough(text: str) -> None:
    assert decode(text.encode("gb18030"), "file.txt").text == text


def test_a_page_declares_its_encoding() -> None:
    data = '<meta charset="iso-8859-2"><p>žluťoučký kůň</p>'.encode("iso-8859-2")
    assert "žluťoučký kůň" in decode(data, "page.html", declares=True).text


def test_a_false_declaration_loses_against_valid_utf8() -> None:
    assert "员工" in decode('<meta charset="iso-8859-1">员工'.encode(), "page.html", declares=True).text


def test_a_few_broken_bytes_are_dropped_and_counted() -> None:
    decoded = decode((CHINESE * 40).encode() + b"\xff" + CHINESE.encode(), "file.txt")
    assert decoded.text == CHINESE * 41
    assert decoded.dropped[0].count == 1


def test_a_stray_nul_is_not_binary() -> None:
    assert decode(("word " * 500).encode() + b"\0", "file.txt").text.endswith("word \0")


def test_many_nuls_are_binary() -> None:
    with pytest.raises(ParseFailure, match="holds 300 NUL bytes in 600"):
        decode(b"\0\x01\0\0\x01\x01" * 100, "file.txt")
