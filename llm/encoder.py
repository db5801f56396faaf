"""Text to vector: multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672), mean pooling, unit length.

E5 wants to know what a text is: `query: ` or `passage: ` is put before it here and nowhere else. Texts longer than
the 512 positions are read in windows whose vectors are averaged by token count. Deltas that training added are merged
while loading and change the model's id, since stored vectors depend on them.
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
from llm.deltas import merge_deltas

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


def mean_pool(hidden: Tensor, real: Tensor | None) -> Tensor:
    """Mean over the real tokens: (B, T, W) to (B, W)."""
    if real is None:
        return hidden.mean(1)
    return (hidden * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)


class Encoder:
    """The loaded network; safe to call from several threads.

    `base_id` names the installed base, `model_id` what vectors depend on: the base with its deltas, whose changed
    parameters of the trunk are `adapted`.
    """

    def __init__(
        self, trunk: Bert, tokenizer: Tokenizer, base_id: str, deltas: str = "", adapted: frozenset[str] = frozenset()
    ) -> None:
        self.trunk = trunk.eval()
        self.tokenizer = tokenizer
        self.base_id = base_id
        self.model_id = f"{base_id}+{deltas[:12]}" if deltas else base_id
        self.adapted = adapted
        self.dim = trunk.config.width

    @classmethod
    def load(cls, folder: Path, deltas: Path | None = None, *, precision: str = "fp32") -> Encoder:
        """Load an installed encoder folder, with what training added in the folder `deltas` if one is given.

        Raises ValueError when a folder is missing, of another format, damaged, or the two do not belong together.
        """
        source = source_hash(folder)
        config = BertConfig.from_file(folder / "config.json")
        tensors = load_file(folder / "model.safetensors")
        trunk = Bert(config)
        load_embeddings(trunk.embeddings, tensors)
        load_layers(trunk, tensors)
        digest, adapted = merge_deltas(trunk, deltas, source) if deltas else ("", frozenset[str]())
        trunk.layers.to(torch_precision(precision)).requires_grad_(False)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return cls(trunk, tokenizer, f"e5-small@{source[:12]}", digest, adapted)

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
                content = torch.tensor([max(1, len(windows[i]) - 2) for i in batch])[:, None]
                pooled[batch] = mean_pool(self.trunk(ids, real).float(), real) * content
        return pooled

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special ones."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets (start, end) of each token of `text`."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).offsets)
