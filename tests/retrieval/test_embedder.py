"""The 1536-dim vector: unit length, reproducible to the bit, free of its neighbours and of the collection."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from llm.encoder import Encoder
from retrieval.embedder import SEMANTIC_DIM, VECTOR_DIM, HybridEmbedder, QueryWeights
from retrieval.lexical import LEXICAL_DIM

TEXTS = ["reset the password", "重置密码的步骤", "", "🎉", "the of and", "index " * 900, "a\x00b\x07\ud800", "x"]


def even(hashes: NDArray[np.uint32]) -> NDArray[np.float64]:
    return np.ones(len(hashes))


def test_a_vector_is_1536_wide_with_two_halves_of_equal_length(embedder: HybridEmbedder) -> None:
    rows = embedder.embed_passages(TEXTS)
    assert (SEMANTIC_DIM, LEXICAL_DIM, VECTOR_DIM, embedder.dim) == (384, 1152, 1536, 1536)
    assert rows.shape == (len(TEXTS), 1536) and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.linalg.norm(rows[:, :384], axis=1) == pytest.approx(np.sqrt(0.5), abs=1e-5)


def test_a_vector_does_not_depend_on_the_batch_it_came_in(embedder: HybridEmbedder) -> None:
    together = embedder.embed_passages(TEXTS)
    reversed_batch = embedder.embed_passages(TEXTS[::-1])[::-1]
    alone = np.concatenate([embedder.embed_passages([text]) for text in TEXTS])
    assert together.tobytes() == reversed_batch.tobytes() == alone.tobytes()


def test_no_texts_give_no_rows(embedder: HybridEmbedder) -> None:
    assert embedder.embed_passages([]).shape == (0, 1536)


def test_the_share_of_words_reaches_from_meaning_only_to_words_only(embedder: HybridEmbedder) -> None:
    meaning = embedder.embed_query("reset the password", QueryWeights(even, 0.0))
    words = embedder.embed_query("reset the password", QueryWeights(even, 1.0))
    assert not meaning[384:].any() and not words[:384].any()
    assert np.linalg.norm(meaning) == pytest.approx(1.0) and np.linalg.norm(words) == pytest.approx(1.0)


@pytest.mark.parametrize("query", ["", "the of and", "🎉🎉", "reset " * 10_000, "'; DROP TABLE x; -- .*[(", "\ud83d"])
def test_any_query_gets_a_unit_vector(embedder: HybridEmbedder, query: str) -> None:
    vector = embedder.embed_query(query, QueryWeights(even, 0.5))
    assert vector.shape == (1536,) and vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_idf_moves_the_query_and_never_a_passage(embedder: HybridEmbedder) -> None:
    def steep(hashes: NDArray[np.uint32]) -> NDArray[np.float64]:
        return 1.0 + np.arange(len(hashes), dtype=np.float64)

    before = embedder.embed_passages(["reset the password now"])
    flat, weighted = (embedder.embed_query("reset the password now", QueryWeights(idf)) for idf in (even, steep))
    assert not np.array_equal(flat, weighted)
    assert np.array_equal(before, embedder.embed_passages(["reset the password now"]))


def test_the_model_id_names_encoder_and_word_rules(encoder: Encoder, embedder: HybridEmbedder) -> None:
    assert embedder.model_id == f"{encoder.model_id}+words4"


def test_an_encoder_of_another_width_is_refused(encoder: Encoder) -> None:
    def narrow(texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        return encoder.encode(texts, "passage")[:, :256]

    with pytest.raises(ValueError, match=r"shape \(1, 256\).*expected \(1, 384\)"):
        HybridEmbedder(narrow, "narrow").embed_passages(["text"])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_encoder_without_a_direction_is_refused(value: float) -> None:
    def broken(texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        return np.full((len(texts), 384), value, dtype=np.float32)

    with pytest.raises(ValueError, match="no direction"):
        HybridEmbedder(broken, "broken").embed_passages(["text"])
