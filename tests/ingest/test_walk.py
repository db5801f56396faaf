"""What a walk finds, skips and refuses, and in which order."""

import os
from pathlib import Path

import pytest

from ingest.records import Walk
from ingest.walk import walk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    for name in ("z.md", "a.md", "b/c.txt", "b/deep/页面.md", "B.MD"):
        (root / name).write_text("text")
    (root / ".git" / "config.md").write_text("text")
    (root / ".hidden.md").write_text("text")
    (root / "~$report.docx").write_text("lock")
    (root / "program.exe").write_text("text")
    (root / "README").write_text("text")
    (root / "empty.md").write_text("")
    return root


def found(result: Walk) -> list[str]:
    return [entry.relative for entry in result.found]


def reasons(result: Walk) -> dict[str, str]:
    return {entry.path.name: entry.reason for entry in result.skipped}


def test_folders_are_searched_in_a_fixed_order(folder: Path) -> None:
    result = walk([folder])
    assert found(result) == ["B.MD", "a.md", "b/c.txt", "b/deep/页面.md", "z.md"]
    assert found(walk([folder])) == found(result)
    assert result.roots == (folder,)


def test_found_files_know_root_type_and_size(folder: Path) -> None:
    entry = walk([folder]).found[2]
    assert (entry.root, entry.absolute, entry.media_type, entry.size) == (
        folder,
        folder / "b" / "c.txt",
        "text/plain",
        4,
    )


def test_hidden_unsupported_and_empty_files_are_skipped_with_a_reason(folder: Path) -> None:
    result = walk([folder])
    assert reasons(result) == {
        ".git": ".git is hidden",
        ".hidden.md": ".hidden.md is hidden",
        "~$report.docx": "~$report.docx is hidden",
        "program.exe": reasons(result)["program.exe"],
        "README": reasons(result)["README"],
        "empty.md": "empty.md is empty (0 bytes)",
    }
    assert "is of type .exe, which is not supported" in reasons(result)["program.exe"]
    assert "has no extension" in reasons(result)["README"]
    assert result.failed == ()


@pytest.mark.parametrize("name", [".hidden.md", "program.exe", "README", "empty.md", "gone.md"])
def test_what_a_walk_skips_fails_when_named(folder: Path, name: str) -> None:
    result = walk([folder / name])
    assert result.found == ()
    assert result.skipped == ()
    assert len(result.failed) == 1
    assert name in result.failed[0].reason


def test_a_named_file_has_its_folder_as_root(folder: Path) -> None:
    result = walk([folder / "b" / "c.txt"])
    assert (result.found[0].root, result.found[0].relative) == (folder / "b", "c.txt")
    assert result.roots == ()


def test_links_that_lead_outside_are_skipped(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("secret")
    (folder / "link.md").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path)
    (folder / "nowhere.md").symlink_to(tmp_path / "gone.md")
    result = walk([folder])
    assert "link.md" not in found(result)
    assert "which lies outside" in reasons(result)["link.md"]
    assert "which lies outside" in reasons(result)["up"]
    assert reasons(result)["nowhere.md"] == "nowhere.md is a link to nothing"


def test_links_inside_are_followed_for_files_and_not_for_folders(folder: Path) -> None:
    (folder / "again.md").symlink_to(folder / "a.md")
    (folder / "loop").symlink_to(folder)
    (folder / "self.md").symlink_to(folder / "self.md")
    result = walk([folder])
    assert "again.md" in found(result)
    assert reasons(result)["loop"] == "loop is a link to a folder inside the same root"
    assert "self.md" in reasons(result)


def test_a_named_link_that_leads_outside_fails(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("secret")
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    assert "which lies outside" in walk([folder / "link.md"]).failed[0].reason


def test_a_root_may_itself_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert walk([tmp_path / "link"]).roots == (folder,)


def test_a_file_reached_twice_is_found_once(folder: Path) -> None:
    assert found(walk([folder, folder])) == found(walk([folder]))


def test_special_files_are_skipped(folder: Path) -> None:
    os.mkfifo(folder / "pipe.md")
    assert reasons(walk([folder]))["pipe.md"] == "pipe.md is not a regular file"


def test_names_that_are_not_utf8_are_skipped(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.md")
    (folder / name).write_text("text")
    assert "is not a valid UTF-8 name" in reasons(walk([folder]))[name]


def test_paths_may_be_relative_and_strings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert walk(["documents"]).roots == (folder,)
    assert walk(["documents/a.md"]).found[0].root == folder
