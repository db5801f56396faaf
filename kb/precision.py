"""Which number format each network runs in: chosen by what the processor can do and a short timing, then remembered.

A format the processor has no units for is 20 to 40 times slower, not a little: it is never even timed. The encoder
stays in fp32 everywhere, because stored vectors must not depend on the machine that made them. Timings lie in
`precision.json` under KB_HOME, one entry a processor, thread count and model.
"""

import json
import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

Network = Literal["encoder", "reader", "writer"]
NETWORKS: tuple[Network, ...] = ("encoder", "reader", "writer")
SUPPORTED: Mapping[Network, tuple[str, ...]] = {
    "encoder": ("fp32",),
    "reader": ("fp32", "bf16"),
    "writer": ("fp32", "bf16", "int8"),
}
BF16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})
REPORTED_FEATURES = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8",
    "asimd", "bf16", "i8mm", "sve",
)  # fmt: skip
FORMAT_VERSION = 1
MEMORY_FILE = "precision.json"


@dataclass(frozen=True)
class Processor:
    """The processor of this machine; `features` are the kernel's names for its instruction sets."""

    name: str
    features: frozenset[str]
    cores: int

    @property
    def reported(self) -> tuple[str, ...]:
        """The features that decide how fast a network runs, in a fixed order."""
        return tuple(feature for feature in REPORTED_FEATURES if feature in self.features)

    @property
    def fingerprint(self) -> str:
        """What a timing belongs to: another machine with the same fingerprint would measure about the same."""
        return f"{self.name} x{self.cores} {' '.join(self.reported)}"


@dataclass(frozen=True)
class Choice:
    """The format of one network. `timings_ms` maps each timed format to milliseconds; `reason` is for people."""

    network: Network
    model_id: str
    precision: str
    reason: str
    timings_ms: Mapping[str, float]


def read_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """What this machine's kernel says about its processor; on systems without /proc the architecture's name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    features = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return Processor(
        name=name.group(1).strip() if name else platform.processor() or platform.machine(),
        features=frozenset(features.group(1).split()) if features else frozenset(),
        cores=cores,
    )


def candidates(network: Network, processor: Processor) -> tuple[str, ...]:
    """The formats worth timing for a network on a processor; fp32 is always the first."""
    able = {"fp32"}
    if processor.features & BF16_FEATURES:
        able.add("bf16")
    if "avx2" in processor.features:  # where torch multiplies in 8 bits with vector instructions
        able.add("int8")
    return tuple(precision for precision in SUPPORTED[network] if precision in able)


class PrecisionMemory:
    """What was measured before, in one JSON file under `home`. A damaged or foreign file counts as empty."""

    def __init__(self, home: Path) -> None:
        self._path = home / MEMORY_FILE

    def _entries(self) -> list[dict[str, object]]:
        try:
            stored = json.loads(self._path.read_text())
            entries = stored["entries"] if stored["format_version"] == FORMAT_VERSION else []
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

    def recall(self, key: str, network: Network, model_id: str) -> Choice | None:
        """The remembered choice for this processor and model, if there is one."""
        for entry in self._entries():
            if (entry.get("key"), entry.get("network"), entry.get("model_id")) == (key, network, model_id):
                timings = entry.get("timings_ms")
                precision = str(entry.get("precision"))
                if isinstance(timings, dict) and precision in SUPPORTED[network]:
                    return Choice(network, model_id, precision, str(entry.get("reason", "")), timings)
        return None

    def remember(self, key: str, choice: Choice) -> None:
        """Store a choice in place of an older one for the same processor and model."""
        same = (key, choice.network, choice.model_id)
        entries = [e for e in self._entries() if (e.get("key"), e.get("network"), e.get("model_id")) != same]
        entries.append({"key": key, **asdict(choice)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{MEMORY_FILE}.{os.getpid()}")
        temporary.write_text(json.dumps({"format_version": FORMAT_VERSION, "entries": entries}, indent=2))
        os.replace(temporary, self._path)


@dataclass(frozen=True)
class PrecisionPolicy:
    """What is needed to choose: the wish (`auto` or a format), the processor, the threads and the memory."""

    wish: str
    processor: Processor
    threads: int
    memory: PrecisionMemory

    @property
    def _key(self) -> str:
        return f"{self.processor.fingerprint} threads={self.threads}"

    def choose(
        self, network: Network, model_id: str, measure: Callable[[str], float], *, always_time: bool = False
    ) -> Choice:
        """The format for a network. `measure(precision)` runs the network in it and returns milliseconds.

        It is called only where nothing is remembered and there is something to choose, or `always_time` is set.
        """
        if self.wish != "auto":
            choice = self._as_wished(network, model_id)
            timings = {choice.precision: round(measure(choice.precision), 2)} if always_time else {}
            return replace(choice, timings_ms=timings)
        remembered = self.memory.recall(self._key, network, model_id)
        if remembered is not None:
            return remembered
        possible = candidates(network, self.processor)
        if len(possible) > 1 or always_time:
            return self.measure(network, model_id, measure)
        return Choice(network, model_id, possible[0], _only_reason(network), {})

    def measure(self, network: Network, model_id: str, measure: Callable[[str], float]) -> Choice:
        """Time every format that the processor can do, take the fastest and remember it."""
        timings = {precision: round(measure(precision), 2) for precision in candidates(network, self.processor)}
        fastest = min(timings, key=lambda precision: timings[precision])
        reason = "the fastest of those timed" if len(timings) > 1 else _only_reason(network)
        choice = Choice(network, model_id, fastest, reason, timings)
        self.memory.remember(self._key, choice)
        return choice

    def _as_wished(self, network: Network, model_id: str) -> Choice:
        if self.wish in SUPPORTED[network]:
            return Choice(network, model_id, self.wish, "set by KB_PRECISION", {})
        reason = f"KB_PRECISION={self.wish} is not available for the {network}"
        return Choice(network, model_id, "fp32", reason, {})


def _only_reason(network: Network) -> str:
    if len(SUPPORTED[network]) == 1:
        return "stored vectors must not depend on the machine"
    return "this processor has no units for a shorter one"
