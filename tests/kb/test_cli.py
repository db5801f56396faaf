import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb.cli import main
from tests.tiny import tiny_checkpoint

HOLIDAY = "# Holiday\n\nEvery employee has 30 days of paid holiday a year. Requests go to the team lead.\n"


@pytest.fixture(scope="module")
def models(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny, tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny)


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        """The one object on stdout; more or less than one fails here."""
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def kb(models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The kb command with tiny models in a home of its own."""
    monkeypatch.setenv("KB_MODELS", str(models[0]))
    monkeypatch.setenv("KB_CHECKPOINT", str(models[1]))
    monkeypatch.setenv("KB_PRECISION", "fp32")
    monkeypatch.setenv("KB_THREADS", "1")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["kb", *arguments])
        status: Any = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "holiday.md").write_text(HOLIDAY)
    (folder / "empty.md").write_text("")
    return folder


def test_an_ingest_counts_what_it_did_and_exits_with_0(kb, documents):
    done = kb("ingest", str(documents), "--collection", "staff", "--json")
    assert done.status == 0
    assert (done.json["collection"], done.json["added"], done.json["failed"]) == ("staff", 1, [])
    assert [Path(item["path"]).name for item in done.json["skipped"]] == ["empty.md"]
    again = kb("ingest", str(documents), "--collection", "staff")
    assert "0 added, 0 updated, 1 unchanged" in again.out


def test_a_file_that_failed_is_named_and_makes_the_status_1(kb, documents):
    (documents / "broken.pdf").write_bytes(b"%PDF-1.4 nothing more")
    done = kb("ingest", str(documents))
    assert done.status == 1
    assert "broken.pdf" in done.err
    assert "1 added" in done.out
    assert "1 failed" in done.out


def test_a_path_that_does_not_exist_fails_with_a_sentence(kb, tmp_path):
    done = kb("ingest", str(tmp_path / "nowhere"), "--json")
    assert done.status == 1
    assert "does not exist" in done.json["failed"][0]["reason"]


def test_list_and_delete_agree(kb, documents):
    kb("ingest", str(documents))
    listed = kb("list", "--json").json
    assert (listed["total"], listed["items"][0]["path"], listed["items"][0]["state"]) == (1, "holiday.md", "ready")
    assert kb("delete", listed["items"][0]["id"], "--json").json == {"deleted": [listed["items"][0]["id"]]}
    assert kb("list", "--json").json["total"] == 0


def test_deleting_what_is_not_there_exits_with_2_and_one_error_object(kb):
    done = kb("delete", "no-such-id", "--json")
    assert done.status == 2
    assert done.json["error"]["code"] == "not_found"
    assert "no-such-id" in done.err


def test_collections_are_made_listed_and_deleted(kb):
    assert kb("collection", "create", "travel").status == 0
    assert [item["name"] for item in kb("collection", "list", "--json").json["collections"]] == ["travel"]
    assert kb("collection", "create", "travel").status == 2
    assert kb("collection", "delete", "travel").status == 0
    assert kb("collection", "list", "--json").json == {"collections": []}


def test_wrong_usage_exits_with_2_and_still_prints_one_object(kb):
    done = kb("ingest", "--no-such-option", "--json")
    assert (done.status, done.json["error"]["code"]) == (2, "usage")
    assert "--no-such-option" in done.err


def test_a_wrong_setting_is_a_sentence_that_names_it(kb, monkeypatch):
    monkeypatch.setenv("KB_PORT", "many")
    done = kb("list")
    assert done.status == 2
    assert "KB_PORT" in done.err
    assert "Traceback" not in done.err


def test_missing_models_say_how_to_get_them(kb, documents, monkeypatch, tmp_path):
    monkeypatch.setenv("KB_MODELS", str(tmp_path / "none"))
    done = kb("ingest", str(documents), "--json")
    assert (done.status, done.json["error"]["code"]) == (2, "model_missing")
    assert "kb model install" in done.err


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_home_may_stand_before_or_after_the_command(kb, tmp_path, before):
    home = ("--home", str(tmp_path / "elsewhere"))
    done = kb(*home, "collection", "create", "one") if before else kb("collection", "create", "one", *home)
    assert done.status == 0
    assert (tmp_path / "elsewhere" / "kb.sqlite3").exists()


def test_reindex_embeds_every_passage_again(kb, documents):
    kb("ingest", str(documents))
    assert kb("reindex", "--json").json["passages"] == 1


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "kb", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kb ")
