"""Tiny seeded models in the real file format: real encoder, reader and writer code on weights that mean nothing.

Their answers are nonsense, but every invariant (shapes, offsets, citations, checksums, life cycle) holds as with the
shipped ones. The encoder keeps its real width of 384, since a vector of 1536 is a contract.
"""

from __future__ import annotations

import json
import string
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from llm.base import BASE_MODELS, seal_model
from llm.bert import BertConfig
from llm.e5_file import unigram_tokenizer
from llm.encoder import Encoder
from llm.reader import Calibration
from llm.smollm_file import byte_level_tokenizer
from llm.training.reader import ReaderKnobs, new_reader_net, save_reader
from llm.writer.checkpoint import CheckpointInfo, base_info, save_checkpoint, trained_shapes
from llm.writer.config import LoraShape, MoeConfig, WriterConfig, llama_keys, read_config
from llm.writer.tokenizer import byte_letters

ENCODER = BertConfig(width=384, layers=1, heads=12, ffn=64, vocabulary=0, positions=512)
WRITER = WriterConfig(vocab=0, width=32, layers=2, heads=4, kv_heads=2, head_dim=8, ffn_width=48, max_tokens=1024)
MOE = MoeConfig(experts=4, top_k=2, width=8, every=2)
LORA = LoraShape(rank=4, alpha=8.0)
_PINNED = {model.folder: model.file_sha256 for model in BASE_MODELS}  # what the program insists on when it starts
_WORDS = (
    "the of and to in is are for on with you your by from at this that can not be or as it an a how what when where "
    "who which does do have has all any each day days week month year user users document documents index answer "
    "question passage page file files server password account access admin model data text search query time"
).split()
_HAN = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种"
    "面而方后多定行学法所民得经文档问题答案模型索引页面用户密码安装部署权限集合导入引用检索向量服务器数据"
    "库默认端口"
)


def tiny_models(folder: Path, seed: int = 7) -> Path:
    """Write `encoder/` and `writer/` under `folder` as `kb model install` would, and return `folder`."""
    generator = torch.Generator().manual_seed(seed)
    _write_encoder(folder / "encoder", generator)
    _write_writer(folder / "writer", generator)
    return folder


def tiny_checkpoint(folder: Path, models: Path, seed: int = 7) -> Path:
    """Write a reader and a writer trained on nothing into `folder`, fitting `models`, and return `folder`."""
    encoder = Encoder.load(models / "encoder")
    net = new_reader_net(encoder, ReaderKnobs(frozen=1, seed=seed))
    save_reader(net, encoder, folder, Calibration(threshold=0.2), {"examples": 0})
    name, sha256 = base_info(models / "writer")
    generator = torch.Generator().manual_seed(seed)
    shapes = trained_shapes(read_config(models / "writer").with_moe(MOE), LORA)
    tensors = {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes.items()}
    save_checkpoint(folder, CheckpointInfo(name, sha256, MOE, LORA), tensors)
    return folder


def tiny_unigram() -> Tokenizer:
    """XLM-RoBERTa's kind of tokenizer over a few hundred pieces."""
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    words = [f"▁{word}" for word in _WORDS]
    letters = ["▁", *string.printable[:94], *_HAN]
    pieces = dict.fromkeys([*specials, *words, *letters])
    return unigram_tokenizer([(p, 0.0 if p in specials else -3.0 - 0.01 * i) for i, p in enumerate(pieces)], 3)


def tiny_bytes() -> Tokenizer:
    """A byte-level tokenizer without merges: every byte is a token."""
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {piece: i for i, piece in enumerate([*specials, *byte_letters().values()])}
    return byte_level_tokenizer(vocabulary, [], specials)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator) * 0.05


def _write_encoder(folder: Path, generator: torch.Generator) -> None:
    folder.mkdir(parents=True)
    tokenizer = tiny_unigram()
    width, ffn = ENCODER.width, ENCODER.ffn
    tensors = {
        "embeddings.word_embeddings.weight": torch.randn(
            (tokenizer.get_vocab_size(), width), generator=generator
        ).half(),
        "embeddings.position_embeddings.weight": _normal((ENCODER.positions, width), generator),
        "embeddings.token_type_embeddings.weight": _normal((2, width), generator),
        "embeddings.LayerNorm.weight": torch.ones(width),
        "embeddings.LayerNorm.bias": torch.zeros(width),
    }
    for layer in range(ENCODER.layers):
        prefix = f"encoder.layer.{layer}."
        shapes = {
            "attention.self.query": (width, width),
            "attention.self.key": (width, width),
            "attention.self.value": (width, width),
            "attention.output.dense": (width, width),
            "intermediate.dense": (ffn, width),
            "output.dense": (width, ffn),
        }
        for name, shape in shapes.items():
            tensors[f"{prefix}{name}.weight"] = _normal(shape, generator).half()
            tensors[f"{prefix}{name}.bias"] = torch.zeros(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"{prefix}{name}.weight"] = torch.ones(width)
            tensors[f"{prefix}{name}.bias"] = torch.zeros(width)
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "hidden_size": width,
        "num_hidden_layers": ENCODER.layers,
        "num_attention_heads": ENCODER.heads,
        "intermediate_size": ffn,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": ENCODER.positions,
        "type_vocab_size": 2,
        "layer_norm_eps": ENCODER.eps,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save(str(folder / "tokenizer.json"))
    seal_model(folder, "tiny-encoder", _PINNED["encoder"], "Apache-2.0")


def _write_writer(folder: Path, generator: torch.Generator) -> None:
    folder.mkdir(parents=True)
    tokenizer = tiny_bytes()
    keys = llama_keys(WRITER) | {"vocab_size": tokenizer.get_vocab_size()}
    queries, kv = WRITER.heads * WRITER.head_dim, WRITER.kv_heads * WRITER.head_dim
    width, ffn = WRITER.width, WRITER.ffn_width
    tensors = {
        "model.embed_tokens.weight": _normal((tokenizer.get_vocab_size(), width), generator).half(),
        "model.norm.weight": torch.ones(width),
    }
    for layer in range(WRITER.layers):
        prefix = f"model.layers.{layer}."
        shapes = {
            "self_attn.q_proj": (queries, width),
            "self_attn.k_proj": (kv, width),
            "self_attn.v_proj": (kv, width),
            "self_attn.o_proj": (width, queries),
            "mlp.gate_proj": (ffn, width),
            "mlp.up_proj": (ffn, width),
            "mlp.down_proj": (width, ffn),
        }
        for name, shape in shapes.items():
            tensors[f"{prefix}{name}.weight"] = _normal(shape, generator).half()
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = torch.ones(width)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(keys))
    tokenizer.save(str(folder / "tokenizer.json"))
    seal_model(folder, "tiny-writer", _PINNED["writer"], "Apache-2.0")
