from dataclasses import replace
from pathlib import Path

import pytest

from kb.bootstrap import open_components
from kb.doctor import Finding, Report, examine
from kb.ingestion import ingest_paths
from kb.settings import Settings
from tests.tiny import tiny_checkpoint, tiny_models


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("installed")
    models = tiny_models(folder / "models")
    return models, tiny_checkpoint(folder / "checkpoint", models)


def settings_in(home: Path, models: Path, checkpoint: Path, **more: object) -> Settings:
    return Settings(home=home, models=models, checkpoint=checkpoint, threads=1, **more)


def about(report: Report, topic: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.topic == topic]


def test_a_whole_installation_is_healthy_and_times_its_networks(tmp_path, installed):
    report = examine(settings_in(tmp_path, *installed))
    assert report.healthy
    assert [choice.network for choice in report.precisions] == ["encoder", "reader", "writer"]
    assert all(choice.timings_ms for choice in report.precisions)


def test_timings_are_remembered_and_not_measured_again(tmp_path, installed):
    first = examine(settings_in(tmp_path, *installed)).precisions
    assert examine(settings_in(tmp_path, *installed)).precisions == first


def test_missing_models_come_with_the_command_that_gets_them(tmp_path, installed):
    report = examine(settings_in(tmp_path, tmp_path / "none", installed[1]))
    assert not report.healthy
    assert {finding.advice for finding in about(report, "model") if finding.level == "problem"} == {
        "Install the base models: kb model install"
    }


def test_a_damaged_base_model_is_found_by_its_checksum(tmp_path):
    models = tiny_models(tmp_path / "models")
    with (models / "encoder" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    report = examine(settings_in(tmp_path / "home", models, tmp_path / "no-checkpoint"))
    assert any("checksum" in finding.found for finding in about(report, "model") if finding.level == "problem")


def test_a_damaged_reader_is_a_problem_with_advice(tmp_path, installed):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", installed[0])
    weights = checkpoint / "reader.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    report = examine(settings_in(tmp_path / "home", installed[0], checkpoint))
    assert not report.healthy
    assert any("reader" in finding.found and finding.advice for finding in about(report, "model"))


def test_an_address_for_everybody_without_a_token_is_a_problem(tmp_path, installed):
    report = examine(settings_in(tmp_path, *installed, host="0.0.0.0"), quick=True)
    assert about(report, "network")[0].level == "problem"
    assert "KB_TOKEN" in about(report, "network")[0].advice


def test_too_many_threads_are_noticed(tmp_path, installed):
    report = examine(settings_in(tmp_path, *installed).model_copy(update={"threads": 4096}), quick=True)
    assert about(report, "threads")[0].level == "warning"


def test_documents_that_failed_are_counted_and_the_index_is_verified(tmp_path, installed):
    settings = settings_in(tmp_path / "home", *installed)
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "holiday.md").write_text("# Holiday\n\nEvery employee has 30 days of paid holiday a year.\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing more")
    with open_components(settings) as components:
        ingest_paths(components, [folder])
        components.index.sync()
        components.index.build(even_if_not_due=True)
    report = examine(settings)
    assert about(report, "documents")[0].found == "1 documents failed"
    assert "generation 1, 1 passages, checksums match" in about(report, "index")[0].found
    vectors = next((settings.index_folder).glob("generation-*/vectors.f32"))
    vectors.write_bytes(vectors.read_bytes()[:-4])
    damaged = about(examine(settings), "index")[0]
    assert (damaged.level, "is not used" in damaged.found) == ("warning", True)


def test_findings_are_plain_json(tmp_path, installed):
    report = examine(settings_in(tmp_path, *installed), quick=True)
    worse = replace(report, findings=(*report.findings, Finding("disk", "problem", "full", "Free some space.")))
    assert worse.to_json()["healthy"] is False
    assert worse.to_json()["findings"][-1] == {
        "topic": "disk", "level": "problem", "found": "full", "advice": "Free some space.",
    }  # fmt: skip
