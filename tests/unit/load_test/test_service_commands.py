"""The environment of the processes that the load test starts. Real: this process' environment, of which it is made."""

import pytest

from webhookd_load_test.service_commands import environment


def test_settings_of_this_process_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_REDIS_KEY_PREFIX", "mine")
    monkeypatch.setenv("WEBHOOKD_API_BIND", "127.0.0.1:1")
    monkeypatch.setenv("OTHER_SETTING", "kept")
    made = environment(kafka="k:1", redis_url="redis://r", database_url="postgresql://d", api_bind="127.0.0.1:2")
    assert "WEBHOOKD_REDIS_KEY_PREFIX" not in made
    assert made["OTHER_SETTING"] == "kept"
    named = ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "DATABASE_URL", "API_BIND")
    assert [made[f"WEBHOOKD_{name}"] for name in named] == ["k:1", "redis://r", "postgresql://d", "127.0.0.1:2"]
