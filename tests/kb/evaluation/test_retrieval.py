"""`kb eval retrieval` on a tiny encoder: figures add up, the pool is as asked for, the cache changes nothing."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kb.errors import InvalidInput
from kb.evaluation.retrieval import RetrievalOptions, run_retrieval
from kb.reranking import CANDIDATES
from llm.encoder import Encoder
from llm.reader import Calibration, Reader
from retrieval.embedder import HybridEmbedder
from retrieval.search import SearchKnobs
from tests.tiny import tiny_checkpoint, tiny_models

STAGES = ["lexical", "semantic", "vector", "rescored"]
SUBJECTS = ["password", "server", "index", "account", "token", "model", "backup", "cluster", "invoice", "holiday"]


def passage(subject: str) -> dict[str, Any]:
    return {
        "source": "own",
        "title": f"About {subject}",
        "context": f"The {subject} of the team is renewed every month by its owner.",
        "question": f"Who renews the {subject}?",
        "answers": ["its owner"],
    }


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(tiny_models(tmp_path_factory.mktemp("models")) / "encoder")


@pytest.fixture
def options(tmp_path: Path, encoder: Encoder) -> RetrievalOptions:
    rows = [passage(subject) for subject in SUBJECTS]
    rows[8]["answers"] = []
    del rows[9]["question"]
    pool = [passage(subject) | {"source": "other"} for subject in ("printer", "password")]
    pool.append(passage("desk") | {"source": "noise"})
    for name, lines in (("rows.jsonl", rows), ("pool.jsonl", pool)):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    embedder = HybridEmbedder(encoder.encode, encoder.model_id)
    return RetrievalOptions(tmp_path / "rows.jsonl", embedder, (tmp_path / "pool.jsonl",))


def test_every_stage_is_measured_over_the_questions_with_answers(options: RetrievalOptions) -> None:
    result = run_retrieval(options)
    assert list(result) == ["n", "pool", "rows"] and list(result["rows"]) == STAGES
    assert (result["n"], result["pool"]) == (8, 12)
    for figures in result["rows"].values():
        assert list(figures) == ["hit@1", "hit@3", "hit@5", "hit@10", "mrr"]
        assert figures["hit@1"] <= figures["hit@3"] <= figures["hit@5"] <= figures["hit@10"] <= 100
    assert result["rows"]["lexical"]["hit@1"] == 100 == result["rows"]["rescored"]["hit@3"]


def test_excluded_sources_leave_the_pool_and_chosen_ones_only_the_questions(options: RetrievalOptions) -> None:
    assert run_retrieval(replace(options, exclude_sources=("noise",)))["pool"] == 11
    with pytest.raises(InvalidInput, match=r"rows\.jsonl has no row with a question, answers and a context"):
        run_retrieval(replace(options, sources=("other",)))


def test_rows_are_reported_with_their_ranks(options: RetrievalOptions) -> None:
    seen: list[Mapping[str, Any]] = []
    run_retrieval(replace(options, on_row=seen.append))
    assert [row["question"] for row in seen] == [f"Who renews the {subject}?" for subject in SUBJECTS[:8]]
    assert all(list(row["ranks"]) == STAGES for row in seen)


def test_with_a_reader_the_first_candidates_are_judged_and_the_rest_stay(
    options: RetrievalOptions, encoder: Encoder, tmp_path: Path
) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "kb", tiny_models(tmp_path / "models"))
    seen: list[Mapping[str, Any]] = []
    decided = Calibration(scale=500.0, offset=-500 * 1.65)  # small differences count
    reader = Reader.load(checkpoint, encoder).with_calibration(decided)
    by_meaning = SearchKnobs(lexical_weight=0.0)  # which means nothing here, so that judging changes the order
    judged = replace(options, reader=reader, knobs=by_meaning, on_row=seen.append)
    figures = run_retrieval(judged)["rows"]
    assert list(figures) == [*STAGES, "reranked"]
    assert figures["reranked"]["hit@10"] == figures["rescored"]["hit@10"] == 100
    for ranks in (row["ranks"] for row in seen):  # judging reorders the first ones among themselves
        assert (ranks["rescored"] <= CANDIDATES) == (ranks["reranked"] <= CANDIDATES)
        assert ranks["rescored"] <= CANDIDATES or ranks["reranked"] == ranks["rescored"]
    assert any(row["ranks"]["rescored"] != row["ranks"]["reranked"] for row in seen)


class _Counting:
    """The real encoder, counting the passages that reach it."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.passages = 0

    def __call__(self, texts: Any, kind: Any) -> NDArray[np.float32]:
        self.passages += len(texts) if kind == "passage" else 0
        return self.encoder.encode(texts, kind)


def test_the_cache_saves_the_encoder_and_changes_no_figure(
    options: RetrievalOptions, encoder: Encoder, tmp_path: Path
) -> None:
    counting = _Counting(encoder)
    cached = replace(options, embedder=HybridEmbedder(counting, "tiny"), cache=tmp_path / "new" / "vectors.db")
    first = run_retrieval(cached)
    assert counting.passages == 12
    assert run_retrieval(cached) == first == run_retrieval(options)
    assert counting.passages == 12
    run_retrieval(replace(cached, embedder=HybridEmbedder(counting, "another model")))
    assert counting.passages == 24


def test_a_file_that_is_no_cache_is_refused(options: RetrievalOptions, tmp_path: Path) -> None:
    (tmp_path / "vectors.db").write_text("this is not a database, but long enough to be read as one" * 40)
    with pytest.raises(InvalidInput, match="not a vector cache"):
        run_retrieval(replace(options, cache=tmp_path / "vectors.db"))
