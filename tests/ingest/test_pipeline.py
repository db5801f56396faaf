"""From a parsed file to passages: offsets into the stored text, what is embedded, what was dropped."""

from pathlib import Path

import pytest

from ingest.language import language_of
from ingest.pipeline import passage_text, prepare
from ingest.records import Parsed, Prepared
from ingest.sandbox import ParseServer
from tests.ingest import made
from tests.ingest.measure import WordMeasure

MEASURE = WordMeasure()


@pytest.fixture(scope="module")
def prepared(parser: ParseServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    files = made.good_files(tmp_path_factory.mktemp("good"))
    return {suffix: prepare(parser.parse(path), MEASURE) for suffix, path in files.items()}


@pytest.mark.parametrize(
    "suffix", ["md", "txt", "html", "xml", "rst", "org", "csv", "docx", "pptx", "xlsx", "pdf", "eml"]
)
def test_every_passage_is_a_span_of_the_stored_text(prepared: dict[str, Prepared], suffix: str) -> None:
    document = prepared[suffix]
    assert document.chunks
    for chunk in document.chunks:
        assert chunk.text == document.text[chunk.start : chunk.end]


def test_preparing_is_deterministic(parser: ParseServer, prepared: dict[str, Prepared], tmp_path: Path) -> None:
    path = made.good_files(tmp_path)["md"]
    assert prepare(parser.parse(path), MEASURE) == prepared["md"]


def test_what_every_step_dropped_is_kept(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<body><nav>Menu</nav><h1>Leave</h1><p>Twenty-eight\u200b days of leave.</p><p>Back to top</p></body>",
        encoding="utf-8",
    )
    document = prepare(parser.parse(path), MEASURE)
    assert document.text == "Leave\n\nTwenty-eight days of leave."
    assert {entry.what for entry in document.dropped} == {"page furniture", "zero-width characters", "Back to top"}


def test_a_document_of_boilerplate_has_no_passages() -> None:
    from ingest.blocks import Blocks

    blocks = Blocks()
    blocks.add("paragraph", "Back to top")
    document = prepare(blocks.build("text/html", "page.html"), MEASURE)
    assert document.chunks == ()
    assert document.dropped[0].reason == "navigation"


@pytest.mark.parametrize(
    ("title", "heading", "text", "embedded"),
    [
        ("Handbook", "Travel > Hotels", "Up to 120 euros.", "Handbook > Travel > Hotels\nUp to 120 euros."),
        ("Handbook", "", "Up to 120 euros.", "Handbook\nUp to 120 euros."),
        ("", "", "Up to 120 euros.", "Up to 120 euros."),
    ],
)
def test_title_and_heading_are_embedded_with_the_text(title: str, heading: str, text: str, embedded: str) -> None:
    assert passage_text(title, heading, text) == embedded


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The manager signs the form before the third day of the month.", "en"),
        ("员工请假需要提前三天申请，由部门经理批准。", "zh"),
        ("使用 kb ingest 命令导入 docs 文件夹，并用 --collection 指定 collection 的名称。", "zh"),
        ("出張する社員は三日前までに申請書を提出してください。", "ja"),
        ("출장을 가는 직원은 사흘 전까지 신청서를 제출해야 합니다.", "ko"),
        ("Der Antrag ist vor dem dritten Tag zu stellen und wird von der Leitung nicht immer bewilligt.", "de"),
        ("Сотрудник должен подать заявление за три дня до поездки.", "ru"),
        ("x1 = y2; z3 += 44; print(qq)", "und"),
        ("1 2 3", "und"),
    ],
)
def test_the_language_is_named(text: str, language: str) -> None:
    assert language_of(text) == language


def test_an_empty_record_is_prepared_without_passages() -> None:
    assert prepare(Parsed("", "", (), "text/plain"), MEASURE) == Prepared("", "", (), (), "und")
