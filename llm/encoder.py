"""Text to vector: multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672), mean pooling, unit length.

E5 wants to know what a text is: `query: ` or `passage: ` is put before it here and nowhere else. Texts longer than
the 512 positions are read in windows whose vectors are averaged by token count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from llm.base import source_hash
from llm.bert import Bert, BertConfig, load_embeddings, load_layers

Kind = Literal["query", "passage"]
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BEGIN, PAD, END = 0, 1, 2
_BATCH_TOKENS = 4096  # tokens of one forward pass: large enough for full matrix speed, about 100 MB of activations


def torch_precision(name: str) -> torch.dtype:
    """`fp32` or `bf16` as a torch type. Raises ValueError otherwise."""
    if name not in PRECISIONS:
        raise ValueError(f"precision {name!r} is not one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def length_batches(lengths: Sequence[int], budget: int = _BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices grouped by length, longest first, each group of at most `budget` padded tokens (at least one text)."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad_ids(rows: Sequence[Sequence[int]], to: int | None = None) -> tuple[Tensor, Tensor | None]:
    """Rows of ids as a (rows, tokens) tensor and the mask of real tokens; the mask is None when nothing is padded."""
    longest = max(len(row) for row in rows) if to is None else to
    ids = torch.full((len(rows), longest), PAD, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
    lengths = torch.tensor([len(row) for row in rows])
    if int(lengths.min()) == longest:
        return ids, None
    return ids, torch.arange(longest)[None, :] < lengths[:, None]


class Encoder:
    """The loaded network; safe to call from several threads."""

    def __init__(self, trunk: Bert, tokenizer: Tokenizer, model_id: str) -> None:
        self.trunk = trunk.eval()
        self.tokenizer = tokenizer
        self.model_id = model_id
        self.dim = trunk.config.width

    @classmethod
    def load(cls, folder: Path, *, precision: str = "fp32") -> Encoder:
        """Load an installed encoder folder. Raises ValueError when it is missing or another format."""
        source = source_hash(folder)
        config = BertConfig.from_file(folder / "config.json")
        tensors = load_file(folder / "model.safetensors")
        trunk = Bert(config)
        load_embeddings(trunk.embeddings, tensors)
        load_layers(trunk, tensors)
        trunk.layers.to(torch_precision(precision)).requires_grad_(False)
        return cls(trunk, Tokenizer.from_file(str(folder / "tokenizer.json")), f"e5-small@{source[:12]}")

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Vectors (n, dim), float32, each of unit length, in the order of `texts`."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        content = self.trunk.config.positions - 2
        windows: list[list[int]] = []
        owner: list[int] = []
        encoded = self.tokenizer.encode_batch([f"{kind}: {text}" for text in texts], add_special_tokens=False)
        for number, one in enumerate(encoded):
            for start in range(0, max(len(one.ids), 1), content):
                windows.append([BEGIN, *one.ids[start : start + content], END])
                owner.append(number)
        pooled = self._pool(windows)  # (windows, W), times its tokens
        sums = torch.zeros(len(texts), self.dim).index_add_(0, torch.tensor(owner), pooled)
        return torch.nn.functional.normalize(sums, dim=-1).numpy()

    def _pool(self, windows: Sequence[Sequence[int]]) -> Tensor:
        pooled = torch.zeros(len(windows), self.dim)
        with torch.inference_mode():
            for batch in length_batches([len(window) for window in windows]):
                ids, real = pad_ids([windows[i] for i in batch])
                hidden = self.trunk(ids, real).float()
                if real is not None:
                    hidden = hidden * real[:, :, None]
                lengths = torch.tensor([len(windows[i]) for i in batch])[:, None]
                pooled[batch] = hidden.sum(1) / lengths * (lengths - 2).clamp(min=1)
        return pooled

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special ones."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets (start, end) of each token of `text`."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).offsets)
