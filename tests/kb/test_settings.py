from pathlib import Path

import pytest

from kb.errors import ConfigError
from kb.settings import load_settings


def test_everything_lies_under_the_home_folder(own_home: Path):
    settings = load_settings()
    assert settings.home == own_home
    assert settings.resolved_database_url == f"sqlite:///{own_home}/kb.sqlite3"
    assert {settings.index_folder.parent, settings.originals_folder.parent} == {own_home}


def test_a_home_that_is_given_beats_the_environment(tmp_path: Path):
    assert load_settings(tmp_path / "other").home == tmp_path / "other"


def test_the_environment_beats_the_file_and_the_file_beats_the_default(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    own_home.mkdir()
    (own_home / "settings.toml").write_text("port = 9000\nbudget_ms = 100\n")
    monkeypatch.setenv("KB_PORT", "9001")
    settings = load_settings()
    assert (settings.port, settings.budget_ms, settings.write_ms) == (9001, 100, 5000)


def test_the_file_is_read_from_the_home_that_is_given(tmp_path: Path):
    (tmp_path / "settings.toml").write_text("port = 9000\n")
    assert load_settings(tmp_path).port == 9000


@pytest.mark.parametrize("token", ["short", "changeme-changeme-changeme", "my-password-is-long-enough"])
def test_a_guessable_token_is_refused(token: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KB_TOKEN", token)
    with pytest.raises(ConfigError, match="KB_TOKEN") as caught:
        load_settings()
    assert token not in caught.value.message


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KB_TOKEN", "3b9f0c1d5e7a8264aa10")
    monkeypatch.setenv("KB_DATABASE_URL", "postgresql://me:hunter2@host/kb")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    assert "3b9f0c1d" not in repr(settings)
    assert "hunter2" in settings.resolved_database_url


def test_a_wrong_value_is_named_with_its_rule(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KB_PORT", "many")
    with pytest.raises(ConfigError, match="KB_PORT: Input should be a valid integer"):
        load_settings()


def test_a_broken_file_is_a_sentence(own_home: Path):
    own_home.mkdir()
    (own_home / "settings.toml").write_text("port = \n")
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        load_settings()


def test_settings_do_not_change():
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
