"""One 1536-dim vector for meaning and words: 384 semantic dimensions beside 1152 lexical ones.

Each half of a passage vector has length 1/sqrt(2), the whole has length 1. A passage vector depends on the text and the
model alone; what changes with the collection (idf) or by taste (weight between the halves) multiplies the query only.
The semantic half comes from a callable that is handed in, so this module needs no network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval import lexical

SEMANTIC_DIM: Final = 384
VECTOR_DIM: Final = SEMANTIC_DIM + lexical.LEXICAL_DIM

QUERY_CHARACTERS: Final = 2000
"""How much of a query is read for its meaning; its words count to the end."""

Kind = Literal["query", "passage"]
Semantic = Callable[[Sequence[str], Kind], NDArray[np.float32]]
"""Texts to (n, 384) float32 rows of unit length."""


class Embedder(Protocol):
    """What turns passages into index vectors."""

    model_id: str
    dim: int

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows of unit length, one a text."""
        ...


@dataclass(frozen=True)
class QueryWeights:
    """What multiplies the query: idf of term hashes, and the lexical share (0 = meaning only, 1 = words only)."""

    idf: Callable[[NDArray[np.uint32]], NDArray[np.float64]]
    lexical: float = 0.5


class HybridEmbedder:
    """The 1536-dim embedder: a semantic callable of 384 dimensions joined with hashed words.

    Passages are encoded one a call: padding and batch shape change the last bits of a network's output, and a vector
    must not depend on its neighbours.
    """

    dim: int = VECTOR_DIM

    def __init__(self, semantic: Semantic, semantic_id: str) -> None:
        self._semantic = semantic
        self.model_id = f"{semantic_id}+words{lexical.TERMS_VERSION}"

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, 1536) float32 unit rows; ValueError where the encoder's output is unusable."""
        rows = np.empty((len(texts), VECTOR_DIM), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:SEMANTIC_DIM] = self._meaning(text, "passage") * np.float32(np.sqrt(0.5))
            row[SEMANTIC_DIM:] = lexical.passage_half(lexical.count_terms(text)) * np.float32(np.sqrt(0.5))
        return rows

    def embed_query(self, text: str, weights: QueryWeights) -> NDArray[np.float32]:
        """Return the (1536,) unit query; without known terms it is meaning only."""
        counted = lexical.count_terms(text)
        words = lexical.query_half(counted, weights.idf(counted.hashes))
        share = weights.lexical if np.any(words) else 0.0
        query = np.concatenate(
            [self._meaning(text[:QUERY_CHARACTERS], "query") * np.float32(1 - share), words * np.float32(share)]
        )
        return _unit(query)

    def _meaning(self, text: str, kind: Kind) -> NDArray[np.float32]:
        readable = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text to a tokenizer
        rows = np.asarray(self._semantic([readable], kind), dtype=np.float32)
        if rows.shape != (1, SEMANTIC_DIM):
            raise ValueError(f"the encoder returned shape {rows.shape} for one text, expected (1, {SEMANTIC_DIM})")
        norm = float(np.linalg.norm(rows[0]))
        if not np.isfinite(norm) or norm < 1e-6:
            raise ValueError(f"the encoder returned a vector of length {norm}, which has no direction")
        return _unit(rows[0])


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
