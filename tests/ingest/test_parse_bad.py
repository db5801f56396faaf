"""The parsing table, bad files: each fails with one sentence that names the file and the rule."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.records import ParseFailure
from ingest.sandbox import Limits, ParseServer
from tests.ingest import made

BAD: list[tuple[str, bytes | Callable[[], bytes], str, str]] = [
    ("empty.md", b"", "is empty (0 bytes)", "empty"),
    ("blank.md", b" \n\n\t\n", "holds no text", "empty"),
    ("front.md", b"---\ntitle: x\n---\n", "holds no text", "empty"),
    ("image.txt", made.PNG, "its content is a PNG image", "rejected"),
    ("image.pdf", made.PNG, "does not begin with %PDF-", "rejected"),
    ("text.pdf", b"Just words.", "its content looks like text", "rejected"),
    ("text.docx", b"Just words.", "is not a Word document", "rejected"),
    ("archive.md", made.zip_bytes({"a": b"b"}), "a zip archive or office document", "rejected"),
    ("binary.txt", bytes(range(256)) * 20, "it is binary and not text", "rejected"),
    ("sheet.docx", made.xlsx_bytes, "its content is an Excel workbook", "rejected"),
    ("other.xlsx", made.zip_bytes({"hello.txt": b"hello"}), "xl/workbook.xml is missing inside", "rejected"),
    ("broken.docx", lambda: made.docx_bytes()[:2000], "is damaged", "rejected"),
    ("broken.xlsx", lambda: made.zip_bytes({"xl/workbook.xml": b"<broken"}), "is damaged", "rejected"),
    ("hollow.pptx", lambda: made.zip_bytes({"ppt/presentation.xml": b"<p/>"}), "is damaged", "rejected"),
    ("broken.pdf", b"%PDF-1.7\nnothing that follows is right", "is damaged", "rejected"),
    ("locked.pdf", lambda: made.pdf_bytes(password="secret"), "is encrypted", "rejected"),
    ("locked.docx", made.ENCRYPTED_OFFICE, "is encrypted", "rejected"),
    ("locked.xlsx", made.zip_bytes({"xl/workbook.xml": b"<x/>"}, encrypted=True), "is encrypted", "rejected"),
    ("old.xlsx", made.OLE, "is an old binary office document under a new name", "rejected"),
    ("scan.pdf", lambda: made.pdf_bytes(text=False, pages=2), "has 2 pages but no text", "empty"),
    ("bomb.docx", made.zip_bomb, "would unpack to 400 MB; at most 300 MB", "rejected"),
    ("ratio.xlsx", lambda: made.zip_bytes({"xl/workbook.xml": b" " * (30 * 2**20)}), "times its size", "rejected"),
    ("escape.pptx", made.zip_bytes({"../../etc/passwd": b"x"}), "which leaves the archive", "rejected"),
    ("many.docx", lambda: made.zip_bytes({str(i): b"" for i in range(10_001)}), "holds 10001 parts", "rejected"),
    ("laughs.xml", made.BILLION_LAUGHS.encode(), "declares XML entities", "rejected"),
    ("outside.xml", made.OUTSIDE_ENTITY.encode(), "declares XML entities", "rejected"),
    ("broken.xml", b"<a><b></a>", "is not well-formed XML", "rejected"),
    ("words.eml", b"no header here\n", "is not an e-mail", "rejected"),
    ("half.txt", b"\xff\xfeH\x00i\x00\x00\xd8", "says it is utf-16", "rejected"),
]


@pytest.mark.parametrize(("name", "content", "rule", "outcome"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_file_fails_with_a_sentence(
    parser: ParseServer, tmp_path: Path, name: str, content: bytes | Callable[[], bytes], rule: str, outcome: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(ParseFailure) as failure:
        parser.parse(path)
    sentence = str(failure.value)
    assert sentence.startswith(name)
    assert rule in sentence
    assert "\n" not in sentence
    assert failure.value.outcome == outcome


def test_a_missing_file_fails(parser: ParseServer, tmp_path: Path) -> None:
    with pytest.raises(ParseFailure, match=r"gone\.md does not exist"):
        parser.parse(tmp_path / "gone.md")


def test_a_folder_fails(parser: ParseServer, tmp_path: Path) -> None:
    with pytest.raises(ParseFailure, match="is not a regular file"):
        parser.parse(tmp_path, "text/plain")


def test_a_fifo_fails_without_waiting(parser: ParseServer, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ParseFailure, match="is not a regular file"):
        parser.parse(tmp_path / "pipe.txt")


def test_an_unreadable_file_fails(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "secret.md"
    path.write_text("secret")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads every file; run as an ordinary user to see this test")
    with pytest.raises(ParseFailure, match=r"secret\.md cannot be read: Permission denied"):
        parser.parse(path)


def test_a_huge_file_fails_before_it_is_read(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(500 * 2**20)
    with pytest.raises(ParseFailure, match=r"huge\.txt has 500\.0 MB; at most 100 MB are allowed"):
        parser.parse(path)


def test_the_size_limit_is_a_setting(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text("more than ten bytes")
    with pytest.raises(ParseFailure, match="at most"):
        parser.parse(path, limits=Limits(file_bytes=10))


@pytest.mark.parametrize(
    ("name", "advice"), [("a.doc", "save it as .docx"), ("a.zip", "unpack it"), ("a.exe", "supported are")]
)
def test_an_unsupported_type_says_what_to_do(parser: ParseServer, tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ParseFailure, match=advice):
        parser.parse(tmp_path / name)
