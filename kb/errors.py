"""Every error a user can meet.

The message is a sentence for that user; `status` is its HTTP status, `code` its stable name.

    KbError
    ├── InvalidInput 422 · NotFound 404 · Forbidden 403 · Conflict 409
    ├── TooLarge 413 · UnsupportedType 415 · Busy 429
    └── NotReady 503 ── ModelMissing 503 · ConfigError 500

Lower folders raise `ValueError` and know none of these.
"""

from typing import ClassVar


class KbError(Exception):
    """An error with a sentence for the user."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(KbError):
    """A value breaks a rule; the message names both."""

    status = 422
    code = "invalid_input"


class NotFound(KbError):
    """The thing does not exist, or the principal may not know that it does."""

    status = 404
    code = "not_found"


class Forbidden(KbError):
    """The principal may see the thing but not do this to it."""

    status = 403
    code = "forbidden"


class Conflict(KbError):
    """The request contradicts what is stored."""

    status = 409
    code = "conflict"


class TooLarge(KbError):
    """A file or request is over a limit."""

    status = 413
    code = "too_large"


class UnsupportedType(KbError):
    """No parser reads this kind of file."""

    status = 415
    code = "unsupported_type"


class Busy(KbError):
    """The system is at a limit now; trying again later will do."""

    status = 429
    code = "busy"


class NotReady(KbError):
    """A part the request needs is not available yet; the message says what to do."""

    status = 503
    code = "not_ready"


class ModelMissing(NotReady):
    """A network's weights are not installed."""

    code = "model_missing"


class ConfigError(KbError):
    """A setting is wrong, so the program cannot start."""

    code = "config"
