"""The parsing table, good files: of every format the same facts survive with their structure."""

from pathlib import Path

import pytest

from ingest.records import Element, Parsed
from ingest.sandbox import ParseServer
from tests.ingest import made

FORMATS = ("md", "txt", "html", "xml", "rst", "org", "csv", "tsv", "docx", "pptx", "xlsx", "pdf", "eml")


@pytest.fixture(scope="module")
def parsed(parser: ParseServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parsed]:
    files = made.good_files(tmp_path_factory.mktemp("good"))
    return {suffix: parser.parse(path) for suffix, path in files.items()}


def only(record: Parsed, part: str) -> Element:
    """The one element that holds `part`."""
    matches = [element for element in record.elements if part in element.text]
    assert len(matches) == 1, (part, [element.text for element in record.elements])
    return matches[0]


@pytest.mark.parametrize("suffix", FORMATS)
def test_elements_are_spans_of_the_text(parsed: dict[str, Parsed], suffix: str) -> None:
    record = parsed[suffix]
    assert record.elements
    position = 0
    for element in record.elements:
        assert record.text[element.start : element.end] == element.text
        assert element.start >= position
        position = element.end
    assert position == len(record.text)


@pytest.mark.parametrize("suffix", FORMATS)
def test_bytes_stored_without_an_extension_parse_alike(
    parser: ParseServer, parsed: dict[str, Parsed], tmp_path: Path, suffix: str
) -> None:
    named = made.good_files(tmp_path)[suffix]
    stored = named.rename(tmp_path / "0f3a")
    assert parser.parse(stored, parsed[suffix].media_type, name=named.name) == parsed[suffix]


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s not in ("csv", "tsv", "xlsx")])
def test_the_document_names_itself(parsed: dict[str, Parsed], suffix: str) -> None:
    assert parsed[suffix].title == ("Leave Policy 请假" if suffix == "eml" else "Leave Policy")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx"])
def test_a_table_without_a_title_is_named_by_its_file(parsed: dict[str, Parsed], suffix: str) -> None:
    assert parsed[suffix].title == "leave"


@pytest.mark.parametrize("suffix", ["md", "html", "docx", "xml"])
def test_nested_headings_form_a_path(parsed: dict[str, Parsed], suffix: str) -> None:
    apply = only(parsed[suffix], "HR-7")
    assert apply.heading[-1] == "How to apply"
    leave = [element for element in parsed[suffix].elements if "提前三天" in element.text][0]
    assert leave.heading[-1] == "请假"
    assert leave.text.endswith("员工请假需要提前三天申请。")


@pytest.mark.parametrize("suffix", ["md", "html", "docx", "rst", "org", "pptx", "pdf"])
def test_table_rows_know_their_header(parsed: dict[str, Parsed], suffix: str) -> None:
    row = only(parsed[suffix], "Sweden")
    assert row.kind == "row"
    assert row.text == "Sweden | 28"
    assert row.header == "Country | Days"
    assert only(parsed[suffix], "Country | Days").kind == "header"


def test_markdown_loses_its_markup_and_keeps_its_structure(parsed: dict[str, Parsed]) -> None:
    record = parsed["md"]
    assert "Everyone has 28 days of leave." in record.text
    assert "owner: people team" not in record.text
    assert only(record, "HR-7").text == "1. Fill in form HR-7."
    assert only(record, "three days").text == "  - within three days"
    code = only(record, "print(days)")
    assert (code.kind, code.text) == ("code", "days = 28\nprint(days)  # keep")


def test_markdown_front_matter_is_reported(parsed: dict[str, Parsed]) -> None:
    assert [entry.what for entry in parsed["md"].dropped] == ["front matter"]


def test_plain_text_wraps_are_undone(parsed: dict[str, Parsed]) -> None:
    record = parsed["txt"]
    assert "carried over to the next one. The rest is lost" in record.text
    assert only(record, "HR-7").kind == "item"
    assert only(record, "How to apply").text == "How to apply:"


def test_html_leaves_out_what_a_reader_does_not_see(parsed: dict[str, Parsed]) -> None:
    record = parsed["html"]
    for unseen in ("News", "Imprint", "Ignore all rules", "var hidden"):
        assert unseen not in record.text
    assert {entry.what for entry in record.dropped} == {"page furniture", "hidden parts"}


def test_rst_includes_no_other_file(parsed: dict[str, Parsed]) -> None:
    assert "root:" not in parsed["rst"].text
    assert "see the form." in parsed["rst"].text
    assert only(parsed["rst"], "days = 28").kind == "code"


def test_csv_cells_may_hold_the_delimiter(parsed: dict[str, Parsed]) -> None:
    assert [e.text for e in parsed["csv"].elements] == [
        "Country | Days | Remark",
        "Sweden | 28 | five; may be carried over",
        "China | 15 | 年假",
        "Norway | 25",
    ]


def test_docx_numbers_its_lists_and_drops_page_headers(parsed: dict[str, Parsed]) -> None:
    assert only(parsed["docx"], "HR-7").text == "1. Fill in form HR-7."
    assert "internal" not in parsed["docx"].text
    assert parsed["docx"].dropped[0].what == "headers and footers"


def test_docx_headings_may_use_a_style_of_the_house(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "house.docx"
    path.write_bytes(made.docx_bytes(custom_style=True))
    assert only(parser.parse(path), "HR-7").heading == ("How to apply",)


def test_pptx_pages_are_slides_and_notes_come_last(parsed: dict[str, Parsed]) -> None:
    record = parsed["pptx"]
    assert only(record, "HR-7").heading == ("How to apply",)
    assert only(record, "提前三天").page == 3
    second = [element for element in record.elements if element.page == 2]
    assert second[-1].text == "Mention the 28 days."


def test_xlsx_values_are_what_a_reader_sees(parsed: dict[str, Parsed]) -> None:
    record = parsed["xlsx"]
    assert only(record, "Sweden").text == "Sweden | 28 | 50%"
    assert only(record, "Sweden").header == "Country | Days | Share taken"
    assert only(record, "state of 2026").kind == "paragraph"
    assert only(record, "中国").heading == ("请假",)
    assert only(record, "中国").page == 2
    assert "salary" not in record.text
    assert record.dropped[0].what == "sheet Secret"


def test_pdf_lines_become_paragraphs_with_pages(parsed: dict[str, Parsed]) -> None:
    record = parsed["pdf"]
    paragraph = [element for element in record.elements if element.page == 3 and element.kind == "paragraph"]
    assert [element.text for element in paragraph] == [
        "Everyone has 28 days of leave in a year, of which five may be carried over to the next one with the "
        "consent of the manager in charge."
    ]
    assert paragraph[0].heading == ("Chapter 3",)


def test_pdf_running_lines_are_dropped_and_counted(parsed: dict[str, Parsed]) -> None:
    record = parsed["pdf"]
    assert "internal" not in record.text
    assert "page 2" not in record.text
    assert (record.dropped[0].what, record.dropped[0].count) == ("lines", 6)


def test_mail_keeps_who_when_what_and_names_attachments(parsed: dict[str, Parsed]) -> None:
    record = parsed["eml"]
    assert record.elements[0].text.startswith("From: Maja <maja@example.org>\nTo: all@example.org\nDate: Tue, 10 Feb")
    assert only(record, "Old question?").kind == "quote"
    assert record.dropped[0].what == "attachment form.pdf"


def test_mail_with_an_html_body_is_read_as_a_page(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "page.eml"
    path.write_bytes(made.eml_bytes(html=True))
    assert only(parser.parse(path), "Sweden").header == "Country | Days"


def test_xml_keeps_names_beside_values(parsed: dict[str, Parsed]) -> None:
    assert "days (Sweden): 28" in parsed["xml"].text


def test_the_name_given_is_the_title_of_last_resort(parser: ParseServer, tmp_path: Path) -> None:
    path = tmp_path / "3f9a.bin"
    path.write_text("One line only.", encoding="utf-8")
    record = parser.parse(path, "text/plain", name="Notes of Monday.txt")
    assert record.title == "Notes of Monday"
