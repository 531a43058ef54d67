"""The model that training goes on from: a Hugging Face LLaMA folder, or one made here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from steps.core.architecture import MODELS, model_store, wrong_settings
from steps.core.digest import file_digest, json_digest
from steps.core.errors import ConfigError
from steps.initialize import tokenizer, weights
from steps.initialize import vocabulary as vocab
from steps.initialize.config import Config, FromScratch

SETTINGS = "config.json"
FILES = (SETTINGS, vocab.SENTENCEPIECE, vocab.FAST)
ENDING = ".safetensors"


def fetch_base(config: Config, folder: Path) -> None:
    """Download the base below TOKENMILL_MODELS into ``folder`` and check it against its pinned digest.

    Weights are taken as safetensors only: PyTorch's own files are pickles, which may run code. Raises ConfigError that
    says what is missing, or which digest the folder has.
    """
    assert config.base is not None
    store = model_store()
    if store is None:
        raise ConfigError(f"initialize.base needs {MODELS}, the folder or s3:// prefix of base models")
    prefix = f"{config.base.name}/"
    names = [info.key.removeprefix(prefix) for info in store.list(prefix)]
    # not what lies in folders below: LLaMA 3 has another file named tokenizer.model in original/
    wanted = [n for n in names if "/" not in n and (n in FILES or n.endswith(ENDING))]
    problems = [] if SETTINGS in wanted else [SETTINGS]
    if not {vocab.SENTENCEPIECE, vocab.FAST} & set(wanted):
        problems.append(f"{vocab.SENTENCEPIECE} or {vocab.FAST}")
    if not any(n.endswith(ENDING) for n in wanted):
        pickles = any(n.endswith((".bin", ".pth", ".pt")) for n in names)
        problems.append(
            "safetensors files" + (" (convert its pickles with transformers first)" if pickles else "")
        )
    if problems:
        raise ConfigError(f"{store.uri}/{config.base.name} lacks {', '.join(problems)}")
    folder.mkdir(parents=True)
    for name in wanted:
        store.download(f"{prefix}{name}", folder / name)
    digest = json_digest({path.name: file_digest(path) for path in sorted(folder.iterdir())})
    if digest != config.base.sha256:
        raise ConfigError(
            f"initialize.base.sha256: {config.base.name} has {digest}; pin that if it is the model you mean"
        )


def make_base(shape: FromScratch, seed: int, texts: Iterable[str], folder: Path) -> None:
    """A random model of ``shape`` in ``folder``, with a tokenizer trained on ``texts``."""
    from safetensors.torch import save_file

    lines = (line for text in texts for line in text.split("\n") if line)
    folder.mkdir(parents=True)
    model = tokenizer.train_tokenizer(lines, shape.vocabulary)
    (folder / vocab.SENTENCEPIECE).write_bytes(model)
    size = len(tokenizer.pieces_of(model))
    (folder / SETTINGS).write_text(json.dumps(weights.scratch_config(shape, size)))
    save_file(weights.scratch_weights(shape, size, seed), folder / f"model{ENDING}")


def read_settings(folder: Path) -> dict[str, Any]:
    """The base's config.json. Raises ConfigError unless it is a LLaMA."""
    try:
        described: dict[str, Any] = json.loads((folder / SETTINGS).read_text())
    except ValueError:
        raise ConfigError(f"the base's {SETTINGS} is not JSON") from None
    if isinstance(described, dict) and described.get("model_type") != "llama":
        raise ConfigError(f"initialize.base is a {described.get('model_type')!r} model, not a llama")
    if wrong := wrong_settings(described):
        raise ConfigError(f"the base's {SETTINGS} is not a LLaMA's: {'; '.join(wrong)}")
    return described
