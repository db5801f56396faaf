"""Does the right passage come out on top? `kb eval retrieval`: the same questions through each stage of the search.

One context is one passage with its title as heading; rows without a question or without answers only add passages.
`lexical` is BM25 over the whole pool, `semantic` the cosine of the meaning, `vector` the one 1536-dim search, and
`rescored` what `SearchIndex.search` returns, near-duplicates set back and all. With a reader, `reranked` is the order
after it has judged the first of those.
"""

import hashlib
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import passage_text
from kb.errors import InvalidInput
from kb.evaluation.rows import Context, Row, distinct_contexts, read_rows
from kb.reranking import CANDIDATES, Candidate, rerank
from llm.reader import EvidenceReader, Passage
from retrieval.embedder import SEMANTIC_DIM, HybridEmbedder, QueryWeights
from retrieval.lexical import TermCounts, bm25, count_terms, pack_terms, unpack_terms
from retrieval.metrics import HIT_DEPTHS, rank_by_score, summarize_ranks
from retrieval.search import Entry, SearchIndex, SearchKnobs
from retrieval.term_statistics import Scope, TermStatistics

_GROUP: Final = 1
_EMBEDDED_TOGETHER: Final = 32


@dataclass(frozen=True)
class RetrievalOptions:
    """What to measure. `cache` is a file that keeps passage vectors between runs; None embeds anew.

    With a `reader` the candidates are also reranked by it, without a time limit; that takes most of the time.
    """

    file: Path
    embedder: HybridEmbedder
    pools: tuple[Path, ...] = ()
    sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    reader: EvidenceReader | None = None
    knobs: SearchKnobs = field(default_factory=SearchKnobs)
    cache: Path | None = None
    on_progress: Callable[[str], None] = lambda sentence: None
    on_row: Callable[[Mapping[str, Any]], None] = lambda row: None


@dataclass(frozen=True)
class _Pool:
    entries: list[Entry]
    terms: list[TermCounts]
    matrix: NDArray[np.float32]
    position: dict[str, int]
    passages: list[Passage]


def run_retrieval(options: RetrievalOptions) -> dict[str, Any]:
    """Return `{n, pool, rows: {STAGE: {"hit@1", "hit@3", "hit@5", "hit@10", "mrr"}}}`, stages as above.

    Hits are percent of the `n` questions; `pool` is the number of passages. InvalidInput where no row of the file has a
    question, answers and one context; each row goes to `on_row` with its ranks.
    """
    own = read_rows(options.file, exclude_sources=options.exclude_sources)
    questions = [row for row in own if _is_asked(row) and (not options.sources or row.source in options.sources)]
    if not questions:
        raise InvalidInput(f"{options.file.name} has no row with a question, answers and a context.")
    rows = own + [row for path in options.pools for row in read_rows(path, exclude_sources=options.exclude_sources)]
    pool = _embed_pool(distinct_contexts(rows), options)
    ranks: dict[str, list[float | None]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="kb-eval-") as folder:
        index = SearchIndex(Path(folder), options.embedder, options.knobs)
        index.add(pool.entries)
        index.build()
        statistics = TermStatistics()
        statistics.add(_GROUP, pool.terms)
        scope = statistics.scope([_GROUP])
        for number, row in enumerate(questions, start=1):
            found = _ranks(row, pool, scope, index, options)
            for stage, rank in found.items():
                ranks[stage].append(rank)
            options.on_row({"id": row.id, "question": row.question, "ranks": found})
            if number % 100 == 0:
                options.on_progress(f"{number} of {len(questions)} questions")
    summaries = {stage: summarize_ranks(found) for stage, found in ranks.items()}
    return {"n": len(questions), "pool": len(pool.entries), "rows": summaries}


def _is_asked(row: Row) -> bool:
    return bool(row.question.strip() and row.answers and row.context)


def _heard(context: Context) -> str:
    return passage_text("", context.title, context.text)


def _ranks(
    row: Row, pool: _Pool, scope: Scope, index: SearchIndex, options: RetrievalOptions
) -> dict[str, float | None]:
    """Return the rank of the row's context in each stage; None where the search does not return it at all."""
    assert row.context is not None, "only rows with one context are asked"
    right = pool.position[row.context.text]
    words = count_terms(row.question)
    weights = QueryWeights(scope.idf, options.knobs.query_lexical_share)
    query = options.embedder.embed_query(row.question, weights)
    result = index.search(row.question, max(HIT_DEPTHS), frozenset({_GROUP}))
    order = [hit.id - 1 for hit in result.hits]
    found = {
        "lexical": rank_by_score(bm25(words, scope.idf(words.hashes), pool.terms, scope.mean_length), right),
        "semantic": rank_by_score(pool.matrix[:, :SEMANTIC_DIM] @ query[:SEMANTIC_DIM], right),
        "vector": rank_by_score(pool.matrix @ query, right),
        "rescored": _place(order, right),
    }
    if options.reader is not None:
        candidates = [Candidate(pool.passages[hit.id - 1], hit.score) for hit in result.hits[:CANDIDATES]]
        judged = rerank(options.reader, row.question, candidates, None).order
        found["reranked"] = _place([order[at] for at in judged] + order[len(judged) :], right)
    return found


def _place(order: Sequence[int], right: int) -> float | None:
    return order.index(right) + 1.0 if right in order else None


def _embed_pool(contexts: Sequence[Context], options: RetrievalOptions) -> _Pool:
    texts = [_heard(context) for context in contexts]
    matrix = _embed(texts, options)
    entries = [
        Entry(id=number + 1, group=_GROUP, vector=matrix[number], terms=pack_terms(text))
        for number, text in enumerate(texts)
    ]
    position = {context.text: number for number, context in enumerate(contexts)}
    passages = [Passage(context.title, context.text) for context in contexts]
    return _Pool(entries, [unpack_terms(entry.terms) for entry in entries], matrix, position, passages)


def _embed(texts: Sequence[str], options: RetrievalOptions) -> NDArray[np.float32]:
    """Return the vectors of `texts`, each looked up in the cache by model id and text before it is computed."""
    matrix = np.empty((len(texts), options.embedder.dim), dtype=np.float32)
    with closing(_open_cache(options.cache)) as cache:
        missing: list[int] = []
        for number, text in enumerate(texts):
            stored = cache.execute("SELECT vector FROM vectors WHERE key = ?", (_key(text, options),)).fetchone()
            if stored is not None and len(stored[0]) == matrix[number].nbytes:
                matrix[number] = np.frombuffer(stored[0], dtype="<f4")
            else:
                missing.append(number)
        for at in range(0, len(missing), _EMBEDDED_TOGETHER):
            block = missing[at : at + _EMBEDDED_TOGETHER]
            matrix[block] = options.embedder.embed_passages([texts[number] for number in block])
            rows = [(_key(texts[number], options), matrix[number].astype("<f4").tobytes()) for number in block]
            with cache:
                cache.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            options.on_progress(f"{at + len(block)} of {len(missing)} passages embedded")
    return matrix


def _open_cache(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path or ":memory:")
    try:
        cache.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
    except sqlite3.DatabaseError as error:
        cache.close()
        raise InvalidInput(f"{path} is not a vector cache: {error}.") from error
    return cache


def _key(text: str, options: RetrievalOptions) -> bytes:
    return hashlib.sha256(f"{options.embedder.model_id}\0{text}".encode("utf-8", "surrogatepass")).digest()
