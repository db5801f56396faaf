"""The sample documents of the guide: the same each time, and every planted fact can be found with its place."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ingest.pipeline import prepare
from ingest.records import Prepared
from ingest.sandbox import ParseServer
from tests.ingest.measure import WordMeasure

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "docs" / "samples"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_samples", ROOT / "scripts" / "make_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def documents(parser: ParseServer) -> dict[str, Prepared]:
    return {path.name: prepare(parser.parse(path), WordMeasure()) for path in sorted(SAMPLES.iterdir())}


def test_there_is_one_document_of_each_kind() -> None:
    assert sorted(path.suffix for path in SAMPLES.iterdir()) == [
        ".csv", ".docx", ".eml", ".html", ".pdf", ".pptx", ".xlsx"
    ]  # fmt: skip


def test_the_script_writes_the_same_bytes_each_time(script: ModuleType, tmp_path: Path) -> None:
    first = script.make_samples(tmp_path / "one")
    second = script.make_samples(tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_committed_documents_say_what_the_script_writes(
    script: ModuleType, parser: ParseServer, documents: dict[str, Prepared], tmp_path: Path
) -> None:
    """Compared as text: another release of an office library may arrange the same content otherwise."""
    for path in script.make_samples(tmp_path):
        assert prepare(parser.parse(path), WordMeasure()).text == documents[path.name].text


@pytest.mark.parametrize(
    ("name", "fact", "heading", "page"),
    [
        ("larkfield-rollout-plan.pdf", "kept for 35 days", "The server", 2),
        ("larkfield-rollout-plan.pdf", "Second wave | 2 March to 30 April", "Phases", 1),
        ("larkfield-new-user-training.pptx", "0.8 newton metres", "How to ask", 2),
        ("larkfield-new-user-training.pptx", "10 March 2026, 13:00", "Training dates", 4),
        ("larkfield-collections.xlsx", "王晓燕 | 541 | Chinese | 83%", "Collections", 1),
        ("larkfield-collections.xlsx", "05:15", "Nightly jobs", 2),
        ("larkfield-管理员手册.docx", "质量部 | quality-sz | 王晓燕 | 6021", "各部门的集合", None),
        ("larkfield-管理员手册.docx", "1. 把文件放入共享盘", "导入文档", None),
        ("larkfield-intranet-page.html", "18 months", "How long documents stay", None),
        ("larkfield-access-decision.eml", "2,150 euros", "", None),
        ("larkfield-pilot-questions.csv", "test: 88 of 100 questions right", "Answered with citation", None),
    ],
)
def test_a_planted_fact_is_in_one_passage_with_its_place(
    documents: dict[str, Prepared], name: str, fact: str, heading: str, page: int | None
) -> None:
    passages = [chunk for chunk in documents[name].chunks if fact in chunk.text]
    assert len(passages) == 1
    assert heading in f"{passages[0].heading}\n{passages[0].text}"
    assert passages[0].page == page
