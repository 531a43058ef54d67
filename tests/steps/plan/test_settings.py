"""The settings page in the docs is what the config models say."""

from __future__ import annotations

from steps.plan.settings import PAGE, settings_page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "run python -m steps.plan.settings"
