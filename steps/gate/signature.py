"""Signing the verdict, once everything that it rests on has been looked at again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from steps.core.artifact import Artifact
from steps.core.digest import json_digest
from steps.core.errors import ConfigError, VerdictRefused
from steps.core.labels import (
    LABEL_SCHEMA,
    Label,
    given_labels,
    labels_from_table,
    labels_table,
    standing_labels,
)
from steps.core.signing import signer
from steps.core.verification import confirm, load_labels, put_signature

log = logging.getLogger(__name__)


def sign_verdict(artifact: Artifact, run: Mapping[str, Any]) -> None:
    """Sign the verdict that the gate committed, now or long ago; nothing where this installation signs nothing.

    Raises VerdictRefused for a verdict that is not what sample and labels give, ConfigError where there is no key.
    """
    key = signer()
    if key is None:
        return
    verdict, sample = confirm(artifact), artifact.input("sample")
    gated = artifact.input("corpus").manifest.identity.documents
    if verdict.documents != gated:
        raise VerdictRefused(f"verdict {artifact.reference.uri} is on other documents than the corpus")
    check_labels(artifact.input("labels"), sample)
    put_signature(artifact.store, verdict, key)
    log.info("gate: the verdict is signed by the key %s", key.public.id)


def check_labels(frozen: Artifact, sample: Artifact) -> None:
    """Raise unless the frozen labels are those that the sample's automatic readers, and people by signed labels, gave.

    VerdictRefused for labels that nobody gave. ConfigError for a defect that somebody reported and that is not among
    them: it came after the freeze, or was left out.
    """
    labels, mode = load_labels(frozen), frozen.config["mode"]
    read = (
        sample.read_table(sample.file("automatic.parquet"))
        if mode != "required"
        else LABEL_SCHEMA.empty_table()
    )
    given = given_labels(sample.store, sample.digest) if mode != "automatic" else {}
    people = _digests(label for label in labels if label.reader == "human")
    automatic = _digests(label for label in labels if label.reader == "automatic")
    if automatic != _digests(labels_from_table(read)) or not people <= _digests(given.values()):
        raise VerdictRefused(
            f"the labels in {frozen.reference.uri} are not those that the sample's readers gave; run review again"
        )
    reported = [label for label in standing_labels(given) if label.label == "bad"]
    if not _digests(reported) <= people:
        raise ConfigError(
            f"somebody reported a defect in {sample.reference.uri} that {frozen.reference.uri} does not have; "
            "raise review.freeze by one and run review again"
        )


def _digests(labels: Iterable[Label]) -> set[str]:
    """What each label says, without the guideline that automatic readers stand for (a setting of review)."""
    rows = [
        label.model_copy(update={"guideline_version": ""}) if label.reader == "automatic" else label
        for label in labels
    ]
    return {json_digest(row) for row in labels_table(rows).to_pylist()}
