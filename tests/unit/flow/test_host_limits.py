"""Which limit holds for a host, and which texts the settings refuse."""

import pytest

from webhookd.errors import UnusableSettings
from webhookd.flow.dispatch.host_limits import host_limits
from webhookd.settings import Settings
from webhookd.settings_loader import load_settings

LIMITS = host_limits(
    ["*=100", "*.example.org=20", "*.eu.example.org=5", "Partner.Example=0.5"], ["partner.example=2", "*.example.org=4"]
)


@pytest.mark.parametrize(
    ("host", "per_second", "concurrent"),
    [
        ("partner.example", 0.5, 2),
        ("PARTNER.example.", 0.5, 2),
        ("a.example.org", 20.0, 4),
        ("a.eu.example.org", 5.0, 4),
        ("example.org", 100.0, None),
        ("notexample.org", 100.0, None),
        ("127.0.0.1", 100.0, None),
    ],
)
def test_longest_pattern_counts(host: str, per_second: float, concurrent: int | None) -> None:
    quota = LIMITS.quota(host)
    assert quota is not None
    assert quota.rate is not None
    assert (quota.rate.per_second, quota.max_concurrent) == (per_second, concurrent)


def test_burst_is_a_quarter_of_a_second() -> None:
    bursts = [quota.burst for host in ("a.example.org", "partner.example") if (quota := LIMITS.quota(host))]
    assert bursts == [5, 1]


def test_host_without_a_pattern_has_no_quota() -> None:
    assert host_limits(["a.example=1"], []).quota("b.example") is None


def test_each_host_has_its_own_quota() -> None:
    quotas = [LIMITS.quota(host) for host in ("a.example.org", "b.example.org", "A.example.org")]
    assert [quota and quota.subject for quota in quotas] == [
        "host:a.example.org",
        "host:b.example.org",
        "host:a.example.org",
    ]


def test_settings_take_a_list() -> None:
    settings = Settings.model_validate(
        {"host_rate_limits": "*=50, partner.example=0.5", "host_max_concurrent": "*.example.org=4"}
    )
    assert settings.host_rate_limits == ("*=50", "partner.example=0.5")
    assert settings.host_max_concurrent == ("*.example.org=4",)


@pytest.mark.parametrize("text", ["50", "=50", "*=0", "*=1e9", "*=nan", "a b=1", "*.=1", "*x=1", "host=", "host=x"])
def test_unusable_rate_is_refused(text: str) -> None:
    with pytest.raises(UnusableSettings, match="WEBHOOKD_HOST_RATE_LIMITS"):
        load_settings(host_rate_limits=text)


@pytest.mark.parametrize("text", ["*=0", "*=1.5", "*=10001", "5"])
def test_unusable_concurrency_is_refused(text: str) -> None:
    with pytest.raises(UnusableSettings, match="WEBHOOKD_HOST_MAX_CONCURRENT"):
        load_settings(host_max_concurrent=text)
