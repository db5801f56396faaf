"""Tiny seeded writers for the tests of the decoder: a base folder as `kb model install` writes it, and its parts."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

from llm.base import seal_model
from llm.training.lora import trainable_writer
from llm.writer.config import MoeConfig, WriterConfig, llama_keys
from llm.writer.model import Decoder
from llm.writer.tokenizer import byte_letters

TINY = WriterConfig(
    vocab=300, width=48, layers=4, heads=6, kv_heads=2, head_dim=8, ffn_width=96, rope_theta=10_000.0, max_tokens=128
)
TINY_MOE = MoeConfig(experts=8, top_k=2, width=16, every=2)


def tiny_decoder(config: WriterConfig = TINY, seed: int = 0) -> Decoder:
    """Weights large enough that logits differ clearly; norms away from one, so that a forgotten gain shows."""
    generator = torch.Generator().manual_seed(seed)
    model = Decoder(config)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
        else:
            nn.init.normal_(parameter, std=0.15, generator=generator)
    return model.requires_grad_(False)


def write_base(folder: Path, seed: int = 0) -> Path:
    """A base model's folder, in the format of an installed one."""
    folder.mkdir(parents=True)
    tensors = {f"model.{name}": value.clone() for name, value in tiny_decoder(seed=seed).state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(llama_keys(TINY)))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    seal_model(folder, "tiny-llama", f"{seed:064x}", "Apache-2.0")
    return folder


def byte_tokenizer() -> Tokenizer:
    """Byte-level BPE of 256 bytes and two merges, with ChatML's marks."""
    letters = [*byte_letters().values()]
    merges = [("t", "h"), ("th", "e")]
    vocabulary = {token: number for number, token in enumerate([*letters, "th", "the"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


def trained_like(base: Path, seed: int = 3) -> Decoder:
    """A trainable writer whose deltas and experts are no longer zero."""
    model = trainable_writer(base, TINY_MOE, rank=4, alpha=8.0, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B" in name or name.endswith("moe.down_proj"):
                parameter.normal_(0.0, 0.1, generator=generator)
            if parameter.requires_grad:  # values that fp16 holds exactly, so that a round trip loses nothing
                parameter.copy_(parameter.half())
    return model


def some_ids(tokens: int, *, batch: int = 1, seed: int = 1) -> torch.Tensor:
    """Token numbers (batch, tokens)."""
    return torch.randint(0, TINY.vocab, (batch, tokens), generator=torch.Generator().manual_seed(seed))
