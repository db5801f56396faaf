"""The only reader of the environment: one frozen object, made once by `load_settings`.

A value comes from `KB_<NAME>` in the environment, else from `settings.toml` in the home folder, else from the
default here. Secrets are masked when the object is printed, and a guessable token is refused.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kb.errors import ConfigError

SETTINGS_FILE = "settings.toml"
MINIMUM_TOKEN = 16
_GUESSABLE = ("changeme", "change-me", "secret", "password", "token", "example")


def _default_home() -> Path:
    return Path.home() / ".kb"


def _default_models() -> Path:
    return Path(sys.prefix) / "share" / "kb" / "models"


def _default_checkpoint() -> Path:
    return Path(__file__).resolve().parent.parent / "llm" / "checkpoints" / "kb-mini"


class Settings(BaseSettings):
    """What can be set. Sizes are in the unit of the name: `_ms` milliseconds, `_mb` mebibytes, `_s` seconds."""

    model_config = SettingsConfigDict(env_prefix="KB_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=_default_home)
    """Everything the program stores lies under this folder."""
    models: Path = Field(default_factory=_default_models)
    """Installed base models; inside the environment, so that a fresh home works at once."""
    checkpoint: Path = Field(default_factory=_default_checkpoint)
    """The trained reader and writer."""
    database_url: SecretStr | None = None
    """SQLAlchemy URL; by default SQLite in the home folder."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    ui_port: Annotated[int, Field(ge=0, le=65535)] = 8501
    token: SecretStr | None = None
    """Needed by every client as soon as `host` is not a loopback address."""

    budget_ms: Annotated[int, Field(ge=0)] = 800
    """Time for an answer; 0 means none."""
    write_ms: Annotated[int, Field(ge=0)] = 5000
    """Time for the written answer in a stream; 0 means none."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of the networks; 0 takes the cores this process may use."""
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"

    max_upload_mb: Annotated[int, Field(ge=1)] = 100
    """Largest file that is read, by upload or from a folder."""
    embed_batch: Annotated[int, Field(ge=1)] = 16
    """Chunks in one forward pass of the encoder."""
    queue_limit: Annotated[int, Field(ge=1)] = 1000
    """Uploads that may wait; more are refused until some are done."""

    @field_validator("token")
    @classmethod
    def _not_guessable(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None or not token.get_secret_value():
            return None
        value = token.get_secret_value()
        if len(value) < MINIMUM_TOKEN or any(word in value.lower() for word in _GUESSABLE):
            raise ValueError(
                f"KB_TOKEN must have at least {MINIMUM_TOKEN} characters that nobody can guess, "
                "for example from: openssl rand -hex 32"
            )
        return token

    @field_validator("home", "models", "checkpoint")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @property
    def resolved_database_url(self) -> str:
        """The URL in use, with its password: for the engine, never for a message."""
        if self.database_url is not None and self.database_url.get_secret_value():
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'kb.sqlite3'}"

    @property
    def index_folder(self) -> Path:
        """Generations of the search index: a cache that may be deleted."""
        return self.home / "index"

    @property
    def originals_folder(self) -> Path:
        """The bytes of ingested files, named by their content hash."""
        return self.home / "originals"

    @property
    def thread_count(self) -> int:
        """Threads the networks get: the setting, else the cores this process may use."""
        if self.threads:
            return self.threads
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of the sources: arguments, environment, the file in the home folder."""
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        home = Path(str(given.get("home") or os.environ.get("KB_HOME") or _default_home())).expanduser()
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, home / SETTINGS_FILE)


def load_settings(home: Path | None = None) -> Settings:
    """Read the settings once; `home` beats the environment. Raises ConfigError with what is wrong."""
    try:
        return Settings(home=home) if home is not None else Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"KB_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigError(f"These settings are wrong: {problems}.") from error
    except ValueError as error:
        raise ConfigError(f"{SETTINGS_FILE} in the home folder cannot be read: {error}.") from error
