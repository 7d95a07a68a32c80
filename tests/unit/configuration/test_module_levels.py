"""Levels of single modules, as the setting has them."""

import logging

import pytest

from webhookd.configuration.module_levels import parse_levels
from webhookd.errors import UnusableSettings
from webhookd.settings_loader import load_settings


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {}),
        ("workers.ingest=debug", {"workers.ingest": logging.DEBUG}),
        ("webhookd.logs = WARNING , librdkafka=error", {"webhookd.logs": logging.WARNING, "librdkafka": logging.ERROR}),
        ("webhookd=info,py.warnings=error", {"webhookd": logging.INFO, "py.warnings": logging.ERROR}),
        ("opentelemetry.sdk=error", {"opentelemetry.sdk": logging.ERROR}),
    ],
)
def test_modules_and_libraries_have_levels(monkeypatch: pytest.MonkeyPatch, text: str, levels: dict[str, int]) -> None:
    monkeypatch.setenv("WEBHOOKD_LOG_LEVELS", text)
    assert parse_levels(load_settings().log_levels) == levels


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("workers", '"workers" has no `=`'),
        ("workers.ingset=debug", '"workers.ingset=debug" has a module that webhookd does not have'),
        ("workers.ingest.=debug", "has a module that webhookd does not have"),
        ("workers.ingest.py=debug", "has a module that webhookd does not have"),
        ("=debug", "has a module that begins with none of webhookd, workers"),
        ("sqlalchemy=debug", "has a module that begins with none of webhookd, workers"),
        ("workers=loud", "has a level that is not one of debug, info, warning, error"),
        ("workers=info,workers=debug", '"workers=info,workers=debug" has workers twice'),
    ],
)
def test_unusable_level_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    monkeypatch.setenv("WEBHOOKD_LOG_LEVELS", text)
    with pytest.raises(UnusableSettings) as raised:
        load_settings()
    assert reason in str(raised.value)
    assert "write a list, separated by commas or as JSON, each a module and a level like" in str(raised.value)
