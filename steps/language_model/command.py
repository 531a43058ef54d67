"""``tokenmill language-model import``: a scorer that others have published, as an artifact under a name."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, get_args

from steps.core.digest import file_digest
from steps.core.errors import UsageError
from steps.core.source import SourceObject, SourceSettings
from steps.core.step import run_step
from steps.core.store import Store, open_store
from steps.core.task import result_of
from steps.language_model.config import Config

SUFFIXES = (".sp.model", ".arpa.bin")
NORMALISATIONS = get_args(Config.model_fields["normalisation"].annotation)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("import",))
    parser.add_argument(
        "place", help="folder or s3://bucket/prefix with <language>.sp.model and <language>.arpa.bin"
    )
    parser.add_argument("--language", required=True, help="language code, which the files are named after")
    parser.add_argument(
        "--name", required=True, help="what recipes will call it: inputs: {language_models: catalog:NAME}"
    )
    parser.add_argument(
        "--normalisation",
        choices=NORMALISATIONS,
        default="cc_net",
        help="what it was made with (default: cc_net)",
    )
    parser.add_argument(
        "--corpus",
        help="a corpus of good text; with it documents are ranked by quality_score, else by perplexity",
    )


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any]:
    """Fix the two files by sha256, take them over, and enter the artifact into the catalog."""
    uri = arguments.place.rstrip("/")
    place = uri if "://" in uri else f"file://{Path(uri).resolve()}"
    config = {
        "dump": arguments.name,
        "sources": [SourceSettings(name="published", kind="reference").model_dump()],
        "objects": [item.model_dump() for item in list_models(open_store(place), place)],
    }
    locations = {"published": place}
    source = run_step("plan", config=config, inputs={}, root=root, locations=locations)
    made = run_step(
        "language_model",
        config={"language": arguments.language, "normalisation": arguments.normalisation},
        inputs={"source": source.ref, **({"corpus": arguments.corpus} if arguments.corpus else {})},
        root=root,
        locations=locations,
        run={"recipe": {"name": arguments.name}},
    )
    return result_of(made, "language_model").model_dump()


def list_models(store: Store, place: str) -> list[SourceObject]:
    """The model files in a folder, each read once to fix its sha256. Raises UsageError where there are none."""
    found = []
    for key in sorted(info.key for info in store.list("") if info.key.endswith(SUFFIXES)):
        with tempfile.NamedTemporaryFile() as file:
            path = Path(file.name)
            store.download(key, path)
            found.append(
                SourceObject(source="published", key=key, bytes=path.stat().st_size, sha256=file_digest(path))
            )
    if not found:
        raise UsageError(f"{place}: no {' or '.join(SUFFIXES)} file there")
    return found
