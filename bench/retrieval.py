"""Does the right passage come up? Every stage of the search over whole languages, with bootstrap intervals.

The pool of a question set is the contexts of all files of its language. With --against, the same questions are searched
with the encoder of another checkpoint ("base": the base without deltas), and the differences of the mean reciprocal
rank are given with their paired 95 % interval: the rule by which a trained encoder is kept or not. Vectors are kept
under KB_HOME/evaluation, so a second run takes minutes instead of half an hour. Run it as a module, since its own name
is that of a folder: python -m bench.retrieval --data FOLDER
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kb.errors import KbError
from kb.evaluation.retrieval import RetrievalOptions, run_retrieval
from kb.networks import Networks
from kb.precision import read_processor
from kb.settings import load_settings
from llm.encoder import Encoder
from llm.reader import Reader
from retrieval.embedder import HybridEmbedder

LANGUAGES = ("en", "zh")
NOT_SEARCHED = ("qamr", "policyqa")  # one sentence each; questions that make no sense without their passage
RESAMPLED = 2000
BASE = "base"


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one file, perhaps of one source only."""

    name: str
    file: Path
    sources: tuple[str, ...]
    pools: tuple[Path, ...]


def question_sets(data: Path, without: Sequence[str]) -> list[QuestionSet]:
    """The sets that are measured: one a dev file, the mixed English file by source; files of `without` are no pool."""
    found: list[QuestionSet] = []
    for lang in LANGUAGES:
        files = sorted([*data.glob(f"{lang}.*.jsonl.gz"), *data.glob(f"*.{lang}.*.jsonl.gz")])
        pools = tuple(file for file in files if not file.name.startswith(("pair.", *without)))
        for file in pools:
            name = file.name.removesuffix(".dev.jsonl.gz")
            if name == file.name or name.startswith("follow."):
                continue
            parts = [("squad2",), ("nq-qed",)] if name == "en" else [()]
            found += [QuestionSet(" ".join((name, *sources)), file, sources, pools) for sources in parts]
    return found


def inverse_ranks(rows: Sequence[Mapping[str, Any]], stage: str) -> np.ndarray:
    """1 / rank of each question, 0 where the passage was not found."""
    return np.array([1.0 / row["ranks"][stage] if row["ranks"][stage] else 0.0 for row in rows])


def interval(samples: Sequence[np.ndarray]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean over sets of the sets' means; each set is resampled for itself."""
    rng = np.random.default_rng(0)
    means = [np.array([one[rng.integers(0, len(one), len(one))].mean() for _ in range(RESAMPLED)]) for one in samples]
    low, high = np.percentile(np.mean(means, axis=0), [2.5, 97.5])
    return float(low), float(high)


def measured(one: QuestionSet, embedder: HybridEmbedder, reader: Reader | None, cache: Path) -> dict[str, Any]:
    """The summary of one set, with its rows."""
    rows: list[Mapping[str, Any]] = []
    options = RetrievalOptions(
        file=one.file,
        embedder=embedder,
        pools=one.pools,
        sources=one.sources,
        exclude_sources=NOT_SEARCHED,
        reader=reader,
        cache=cache,
        on_progress=lambda sentence: print(f"{one.name}: {sentence}", file=sys.stderr),
        on_row=rows.append,
    )
    return {"name": one.name, **run_retrieval(options), "questions": rows}


def show(results: Sequence[Mapping[str, Any]]) -> None:
    """One table: a set and stage a line."""
    print(f"{'set':16s} {'stage':9s} {'n':>5s} {'pool':>6s}   hit@1  hit@3  hit@5 hit@10    MRR (95 %)")
    for one in results:
        for stage, figures in one["rows"].items():
            low, high = interval([inverse_ranks(one["questions"], stage)])
            hits = "  ".join(f"{figures[f'hit@{k}']:5.1f}" for k in (1, 3, 5, 10))
            mrr = f"{figures['mrr']:.3f} ({low:.3f} to {high:.3f})"
            print(f"{one['name']:16s} {stage:9s} {one['n']:5d} {one['pool']:6d}   {hits}  {mrr}")


def compare(results: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Differences of `results` to `others` after rescoring: MRR with its paired interval, hit@3 of each set."""
    gains = [
        inverse_ranks(one["questions"], "rescored") - inverse_ranks(other["questions"], "rescored")
        for one, other in zip(results, others, strict=True)
    ]
    low, high = interval(gains)
    hits = {
        one["name"]: round(one["rows"]["rescored"]["hit@3"] - other["rows"]["rescored"]["hit@3"], 2)
        for one, other in zip(results, others, strict=True)
    }
    return {"mrr": float(np.mean([gain.mean() for gain in gains])), "interval": [low, high], "hit@3": hits}


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description="Hit rates of every stage of the search over whole languages.")
    parser.add_argument("--data", type=Path, required=True, help="folder with question files (*.jsonl.gz)")
    parser.add_argument("--against", help=f"folder of another checkpoint, or {BASE!r}: compare the encoders")
    parser.add_argument("--only", action="append", help="measure only the set of this name; may be repeated")
    parser.add_argument("--without", action="append", help="leave files whose names begin so out of the pool")
    parser.add_argument("--rerank", action="store_true", help="also with the reader as judge (slow)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    asked = parser.parse_args()
    settings = load_settings()
    try:
        networks = Networks(settings)
        encoder = networks.encoder()
        reader = networks.reader(encoder) if asked.rerank else None
        cache = settings.home / "evaluation" / "vectors.sqlite3"
        sets = [
            one for one in question_sets(asked.data, asked.without or []) if not asked.only or one.name in asked.only
        ]
        if not sets:
            raise KbError(f"{asked.data} has no question set of the names asked for.")
        results = [measured(one, HybridEmbedder(encoder.encode, encoder.model_id), reader, cache) for one in sets]
        compared = None
        if asked.against:
            deltas = None if asked.against == BASE else Path(asked.against)
            other = Encoder.load(settings.models / "encoder", deltas)
            embedder = HybridEmbedder(other.encode, other.model_id)
            compared = compare(results, [measured(one, embedder, None, cache) for one in sets])
    except KbError as error:
        sys.exit(f"bench: {error.message}")
    if asked.json:
        processor = read_processor()
        facts = {"name": processor.name, "cores": processor.cores, "features": processor.reported}
        plain = [{name: value for name, value in one.items() if name != "questions"} for one in results]
        print(json.dumps({"processor": facts, "sets": plain, "compared": compared}))
        return
    show(results)
    if compared:
        low, high = compared["interval"]
        print(f"\nagainst {asked.against}: MRR {compared['mrr']:+.4f} (paired 95 %: {low:+.4f} to {high:+.4f})")
        print("hit@3: " + ", ".join(f"{name} {gain:+.1f}" for name, gain in compared["hit@3"].items()))


if __name__ == "__main__":
    main()
