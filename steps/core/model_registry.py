"""MLflow's model registry: one version per exported model, found again by its content digest."""

from __future__ import annotations

import logging

from pydantic import BaseModel, ConfigDict, Field

from steps.core.mlflow_rest import Away, MlflowRest

log = logging.getLogger(__name__)

DIGEST = "digest"  # tag that names the exported model


class RegisteredModel(BaseModel):
    """A version in MLflow's model registry that an entry makes, or adds tags to."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    ref: str = Field(description="<uri>@<content digest> of the exported model")
    digest: str = Field(description="content digest of the exported model: there is one version of it")
    tags: dict[str, str] = {}
    alias: str = Field("", description="alias that moves to this version; empty: none")
    replaces: int = Field(0, description="version that the alias must still point to; 0: to none")


def register(mlflow: MlflowRest, model: RegisteredModel, run_id: str, moves_alias: bool) -> None:
    """Make the model's version where there is none, tag it, and move its alias.

    Of two senders that both make a version the older one stays. An alias that has moved since the comparison stays.
    """
    mlflow.ensure_model(model.name)
    number = _version_of(mlflow, model)
    if number is None:
        # MLflow takes no local path but a run's own (validate_source_run)
        uri = model.ref.partition("@")[0]
        source = uri if uri.startswith("s3://") else f"runs:/{run_id}/model"
        made = mlflow.create_version(
            model.name, source, run_id, {DIGEST: model.digest, "artifact": model.ref}
        ).number
        number = _version_of(mlflow, model)
        if number is None:
            raise Away("MLflow does not list a model version that it has just made")
        if made != number:
            mlflow.delete_version(model.name, made)
    mlflow.tag_version(model.name, number, model.tags)
    if not model.alias or not moves_alias:
        return
    current = mlflow.aliased(model.name, model.alias)
    if (current.number if current else 0) in (model.replaces, number):
        mlflow.set_alias(model.name, model.alias, number)
    else:
        log.warning("%s has another %s since the comparison; it stays", model.name, model.alias)


def _version_of(mlflow: MlflowRest, model: RegisteredModel) -> int | None:
    found = (v.number for v in mlflow.model_versions(model.name) if v.tags.get(DIGEST) == model.digest)
    return next(found, None)
