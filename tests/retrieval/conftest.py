"""A real encoder on tiny weights, and a small corpus embedded once."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from llm.encoder import Encoder
from retrieval.embedder import HybridEmbedder
from retrieval.lexical import pack_terms
from retrieval.search import Entry
from tests.tiny import tiny_models

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

TOPICS = ("password", "document", "server", "account", "index", "question", "model", "database")
WORDS = "reset upload restart invite rebuild answer train query month admin file page day week token backup".split()


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(tiny_models(tmp_path_factory.mktemp("models")) / "encoder")


@pytest.fixture(scope="session")
def embedder(encoder: Encoder) -> HybridEmbedder:
    return HybridEmbedder(encoder.encode, encoder.model_id)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """300 different passages of ten words about eight topics."""
    dice = random.Random(5)
    return [
        f"{dice.choice(TOPICS)} number {number} " + " ".join(dice.choices(WORDS + list(TOPICS), k=8))
        for number in range(300)
    ]


@pytest.fixture(scope="session")
def vectors(embedder: HybridEmbedder, texts: list[str]) -> NDArray[np.float32]:
    return embedder.embed_passages(texts)


@pytest.fixture(scope="session")
def entries(texts: list[str], vectors: NDArray[np.float32]) -> list[Entry]:
    """The corpus as rows 1..300; every third is in group 2, the others in group 1."""
    return [
        Entry(number, 2 if number % 3 == 0 else 1, vectors[number - 1], pack_terms(text))
        for number, text in enumerate(texts, start=1)
    ]


@pytest.fixture(scope="session")
def entry(embedder: HybridEmbedder) -> Callable[..., Entry]:
    """Make one entry from a text."""

    def make(number: int, text: str, group: int = 1) -> Entry:
        return Entry(number, group, embedder.embed_passages([text])[0], pack_terms(text))

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"
