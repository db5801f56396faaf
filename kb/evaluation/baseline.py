"""Did a figure fall? Compares a result of `kb eval` with an earlier one that was kept as a file.

The baseline is the JSON object that the command printed. Every quality figure in both is compared; times are not,
because they belong to a machine.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kb.errors import InvalidInput

TOLERANCE: Final = 0.02
"""Share of a figure that it may fall by: of a hundred questions one may go wrong and another one right."""
_NOT_QUALITY: Final = frozenset({"n", "pool", "modes", "timings_ms", "unlocated"})
_LESS_IS_BETTER: Final = frozenset({"invented_numbers"})


@dataclass(frozen=True)
class Regression:
    """A figure that is worse than its baseline; `measured` is None where it is gone."""

    figure: str
    baseline: float
    measured: float | None

    def __str__(self) -> str:
        """As a sentence."""
        measured = "missing" if self.measured is None else f"{self.measured:g}"
        return f"{self.figure} is {measured}, its baseline {self.baseline:g}"


def read_baseline(path: Path) -> Mapping[str, Any]:
    """The stored result. Raises InvalidInput where the file is missing or no JSON object."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"The baseline {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidInput(f"The baseline {path} is not JSON: {error}.") from error
    if not isinstance(stored, dict):
        raise InvalidInput(f"The baseline {path} is not a JSON object.")
    return stored


def regressions(
    result: Mapping[str, Any], baseline: Mapping[str, Any], tolerance: float = TOLERANCE
) -> tuple[Regression, ...]:
    """Every figure of the baseline that `result` falls short of by more than `tolerance`, a share of the figure."""
    measured = dict(_figures(result))
    found = []
    for name, before in _figures(baseline):
        now = measured.get(name)
        if name.rsplit(".", 1)[-1] in _LESS_IS_BETTER:
            worse = now is None or now > before * (1 + tolerance)
        else:
            worse = now is None or now < before * (1 - tolerance)
        if worse:
            found.append(Regression(name, before, now))
    return tuple(found)


def _figures(result: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The quality figures as dotted name and number."""
    for name, value in result.items():
        if name in _NOT_QUALITY:
            continue
        if isinstance(value, Mapping):
            yield from _figures(value, f"{above}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{above}{name}", float(value)
