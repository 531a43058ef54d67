"""One mill that turned once, for all tests that ask what came out."""

from __future__ import annotations

import pytest

from tests.system.mill import Turned, turned


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """language_models and data_factory on the demo's dump, by one worker. Read it, and leave it as it is."""
    return turned(tmp_path_factory.mktemp("factory"), ["language_models", "data_factory"])


@pytest.fixture(scope="session")
def trained(factory: Turned) -> Turned:
    """The same mill after continual_pretraining, two optimizer steps per stage. Read it, and leave it as it is."""
    from tests.system.mill import turn_all

    return Turned(factory.mill, {**factory.refs, **turn_all(factory.mill, ["continual_pretraining"])})
