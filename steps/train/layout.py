"""Whether a model can be spread over ranks."""

from __future__ import annotations

from steps.core.architecture import Architecture
from steps.core.errors import ConfigError
from steps.train.config import Config


def check_layout(model: Architecture, config: Config, sequence_length: int) -> None:
    """Raise ConfigError, naming every number that does not divide, if the stage's layout does not suit the model.

    ``sequence_length``: tokens of a window.
    """
    tensor, pipeline = config.layout.tensor, config.layout.pipeline
    wrong = [
        f"{name} {value} is not a multiple of layout.tensor {tensor}"
        for name, value in [
            ("heads", model.heads),
            ("key/value heads", model.key_value_heads),
            ("ffn", model.ffn),
            ("vocabulary", model.vocabulary),
        ]
        if value % tensor
    ]
    if pipeline > model.layers:
        wrong.append(f"layout.pipeline {pipeline} is more than the {model.layers} layers")
    if sequence_length > model.max_positions:
        wrong.append(
            f"windows of {sequence_length} tokens exceed the model's {model.max_positions} positions"
        )
    if wrong:
        raise ConfigError(f"train_{config.stage} cannot run this model in its layout: " + "; ".join(wrong))
