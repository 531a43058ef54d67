"""Verdicts are believed by nobody: who relies on one computes it again from the artifacts that it names (CONTRACT §5).

The gate writes what `verdict.decide` returns; `verify` computes it again and refuses everything that differs. Nothing
trusts a task state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError, DataError, ReviewNeeded, UsageError, VerdictRefused
from steps.core.labels import Label, labels_from_table
from steps.core.policy import Reader
from steps.core.remains import Remains, after_removals
from steps.core.signing import Signer, is_signed, trusted_keys
from steps.core.store import ObjectMissing, Store
from steps.core.verdict import Drawn, Sample, SampleFacts, Verdict, decide

VERDICT_FILE = "verdict.json"
# a store that is away, or refuses, says nothing on a verdict
UNCONFIRMED = (ConfigError, DataError, UsageError)


class Acceptance(BaseModel):
    """What a training recipe accepts: the policy (None: any) and the kinds of readers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy_digest: str | None = Field(
        None, description="sha256 of the only policy accepted; null: any policy."
    )
    readers: tuple[Reader, ...] = Field(
        ("human",), description="Kinds of readers whose verdicts are accepted."
    )


def load_sample(artifact: Artifact) -> Sample:
    """The sample in an `evaluate` artifact. Raises DataError if it is not one."""
    try:
        facts = SampleFacts.model_validate(artifact.facts["sample"])
    except (KeyError, ValidationError):
        raise DataError(f"{artifact.reference.uri} is not a sample: it was not made by evaluate") from None
    if facts.policy.digest != facts.policy_digest:
        raise DataError(f"{artifact.reference.uri}: the policy is not the one that its digest names")
    columns = ["sample_id", "stratum", "doc_sha256", "doc_id"]
    rows = artifact.read_table(artifact.file("sample.parquet"), columns).to_pylist()
    seeds = {r["sample_id"]: r for r in artifact.read_table(artifact.file("seeds.parquet")).to_pylist()}
    drawn = tuple(
        Drawn(**row, counted=seeds[row["sample_id"]]["counted"], defect=seeds[row["sample_id"]]["defect"])
        for row in rows
    )
    return Sample(facts, drawn)


def load_labels(artifact: Artifact) -> list[Label]:
    """The frozen labels in a `review` artifact."""
    return labels_from_table(artifact.read_table(artifact.file("labels.parquet")))


def recompute(sample: Artifact, labels: Artifact, veto: str = "") -> Verdict:
    """The verdict of two artifacts. Raises DataError if the labels were given to another sample."""
    if labels.manifest.identity.payload.inputs.get("sample") != sample.digest:
        raise DataError(f"{labels.reference.uri} holds labels of another sample than {sample.reference.uri}")
    return decide(
        load_sample(sample),
        load_labels(labels),
        sample_digest=sample.digest,
        labels_digest=labels.digest,
        veto=veto,
    )


def read_verdict(artifact: Artifact) -> Verdict:
    """The verdict as the gate wrote it. Raises DataError if it is damaged."""
    try:
        return Verdict.model_validate_json(artifact.read_bytes(artifact.file(VERDICT_FILE)))
    except ValidationError as error:
        raise DataError(f"{artifact.reference.uri}: {error.errors()[0]['msg']}") from None


def signature_key(verdict: Verdict, key_id: str) -> str:
    """Where a signature lies: beside the artifacts, so that a new key changes no digest and nothing runs again."""
    return f"signatures/{verdict.digest}/{key_id}"


def put_signature(store: Store, verdict: Verdict, key: Signer) -> str:
    """Sign a verdict; doing so twice leaves one object. Returns its key."""
    where = signature_key(verdict, key.public.id)
    store.put(where, key.sign("verdict", verdict.model_dump(mode="json")).encode())
    return where


def signing_keys(store: Store, verdict: Verdict) -> list[str]:
    """Ids of the keys by which signatures of the verdict are there; whether they hold is another question."""
    prefix = signature_key(verdict, "")
    return sorted(info.key.removeprefix(prefix)[:16] for info in store.list(prefix))


def check_signature(store: Store, verdict: Verdict, where: str) -> None:
    """Raise VerdictRefused unless an accepted key signed the verdict; nothing where none is required."""
    trusted, content = trusted_keys(), verdict.model_dump(mode="json")
    for name in trusted:
        try:
            signature = store.get(signature_key(verdict, name)).decode("utf-8", "replace")
        except ObjectMissing:
            continue
        if is_signed("verdict", content, signature, trusted):
            return
    if not trusted:
        return
    others = signing_keys(store, verdict)
    found = f"its signature is of the key {', '.join(others)}" if others else "it is not signed"
    raise VerdictRefused(
        f"verdict {where}: {found}; this installation accepts {', '.join(trusted)}. Run its gate again"
    )


def confirm(artifact: Artifact) -> Verdict:
    """The verdict in a `gate` artifact, computed again from what it names.

    Raises VerdictRefused if it cannot be, or if something else comes out than what the artifact says.
    """
    where = artifact.reference.uri
    try:
        stored = read_verdict(artifact)
        computed = recompute(artifact.input("sample"), artifact.input("labels"), stored.veto)
    except UNCONFIRMED as error:
        raise VerdictRefused(f"verdict {where} cannot be confirmed: {error}") from None
    if stored != computed:
        fields = [n for n in Verdict.model_fields if getattr(stored, n) != getattr(computed, n)]
        raise VerdictRefused(
            f"verdict {where} is not what sample, labels and policy give: {', '.join(fields)} differ"
        )
    return stored


def verify(artifact: Artifact, documents: str | None, acceptance: Acceptance | None = None) -> Verdict:
    """The verdict in a `gate` artifact, computed again, for the set of documents with the digest ``documents``.

    Raises VerdictRefused if it is missing, forged, edited, for other documents, not a pass, by another policy or
    other readers than ``acceptance`` says (None: any), or not signed by a key of TOKENMILL_PUBLIC_KEYS where that is
    set.
    """
    where = artifact.reference.uri
    verdict = confirm(artifact)
    if documents is None or verdict.documents != documents:
        raise VerdictRefused(
            f"verdict {where} is on the documents {verdict.documents[:12]}, not on {(documents or 'none')[:12]}"
        )
    if verdict.status != "pass":
        raise VerdictRefused(f"verdict {where} is {verdict.status}: {'; '.join(verdict.reasons)}")
    check_signature(artifact.store, verdict, where)
    if acceptance is not None:
        _check_acceptance(verdict, acceptance, where)
    return verdict


def _check_acceptance(verdict: Verdict, acceptance: Acceptance, where: str) -> None:
    if acceptance.policy_digest is not None and verdict.policy_digest != acceptance.policy_digest:
        raise VerdictRefused(
            f"verdict {where} is by the policy {verdict.policy_digest[:12]}, "
            f"the training recipe pins {acceptance.policy_digest[:12]}"
        )
    strange = sorted(set(verdict.readers) - set(acceptance.readers))
    if strange:
        raise VerdictRefused(
            f"verdict {where} rests on {', '.join(strange)} readers; "
            f"the training recipe accepts {', '.join(acceptance.readers)}"
        )


def verify_corpus(artifact: Artifact, acceptance: Acceptance | Mapping[str, Any] | None = None) -> Verdict:
    """The verdict of a published corpus, verified. Raises VerdictRefused if the corpus has none that holds."""
    if acceptance is not None and not isinstance(acceptance, Acceptance):
        acceptance = Acceptance.model_validate(acceptance)
    where = artifact.reference.uri
    if artifact.step != "publish" or not artifact.has_input("verdict"):
        raise VerdictRefused(
            f"corpus {where} carries no verdict: it was made by {artifact.step}, not by publish"
        )
    try:
        gate = artifact.input("verdict")
    except UNCONFIRMED as error:
        raise VerdictRefused(f"corpus {where}: its verdict cannot be read: {error}") from None
    gated = artifact.input("corpus")
    verdict = verify(gate, gated.manifest.identity.documents, acceptance)
    if artifact.manifest.identity.documents != verdict.documents:
        check_removals(artifact, gated, verdict, gate.input("sample"), gate.input("labels"))
    return verdict


def check_removals(
    left: Artifact, gated: Artifact, verdict: Verdict, sample: Artifact, labels: Artifact
) -> None:
    """Check that ``left`` is the gated corpus less some documents, and that the verdict holds for it (CONTRACT §6).

    Raises VerdictRefused for texts that are not gated ones, ReviewNeeded where too little is left (`after_removals`).
    """
    where = left.reference.uri
    there, every = (text_digest_counts(Corpus.open(artifact)) for artifact in (left, gated))
    strange = sum(1 for digest, count in there.items() if count > every.get(digest, 0))
    if strange:
        raise VerdictRefused(f"corpus {where} holds {strange} texts that its verdict is not on")
    drawn = load_sample(sample)
    texts = {one.doc_sha256: bytes.fromhex(one.doc_sha256) for one in drawn.drawn}
    groups = left.manifest.identity.counts.groups
    remains = Remains(
        documents=sum(there.values()),
        strata={name: group.kept.documents for name, group in groups.items()},
        whole={name for name, digest in texts.items() if there.get(digest, 0) == every.get(digest, 0)},
        some={name for name, digest in texts.items() if there.get(digest, 0)},
    )
    problems = after_removals(verdict, drawn, load_labels(labels), remains)
    if problems:
        raise ReviewNeeded(
            f"corpus {where} shrank to {remains.documents} of {verdict.population} documents: {'; '.join(problems)}; "
            f"it needs a new review: trigger a new run of the dump with evaluate.look and gate.look {verdict.look + 1}"
        )


def text_digest_counts(corpus: Corpus) -> dict[bytes, int]:
    """How often each text (by its sha256) is kept in the corpus, from the side files."""
    counts: Counter[bytes] = Counter()
    for shard in corpus.shards:
        digests = np.ascontiguousarray(shard.kept_text_digests())
        counts.update(digests.view(f"V{digests.shape[1]}").ravel().tolist())
    return counts
