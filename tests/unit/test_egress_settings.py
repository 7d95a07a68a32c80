"""The operators' egress rules: what settings are refused, and what a refusal tells whom."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.harness.metrics import LiveMetrics
from webhookd.edges.http_client.egress_guard import EgressGuard, egress_policy
from webhookd.errors import UnusableSetting, UnusableSettings
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.target import Target
from webhookd.settings import Settings
from webhookd.settings_loader import load_settings


@pytest.mark.parametrize(
    ("values", "setting", "text"),
    [
        ({"egress_allow_hosts": ("*",)}, "egress_allow_hosts", '"*" is not a host'),
        (
            {"egress_forbid_hosts": ("a.example", "https://b.example")},
            "egress_forbid_hosts",
            '"https://b.example" is not',
        ),
        (
            {"egress_allow": ("10.0.0.0/8",), "egress_forbid": ("10.0.0.0/8",)},
            "egress_forbid",
            "WEBHOOKD_EGRESS_ALLOW too",
        ),
        ({"egress_allow_ports": ("443",), "egress_forbid_ports": ("443",)}, "egress_forbid_ports", "_ALLOW_PORTS too"),
        ({"egress_allow_hosts": ("a.b",), "egress_forbid_hosts": ("a.b",)}, "egress_forbid_hosts", "_ALLOW_HOSTS too"),
        ({"egress_proxy_judges": False}, "egress_proxy_judges", "there is no proxy: set WEBHOOKD_EGRESS_PROXY"),
    ],
)
def test_rule_that_cannot_be_used_is_named(values: dict[str, Any], setting: str, text: str) -> None:
    with pytest.raises(UnusableSetting) as refused:
        egress_policy(Settings(**values))
    assert refused.value.setting == setting
    assert text in str(refused.value)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80-", "-80", "443-80", "80-65536", "http", "٨٠", "80:90"])
@pytest.mark.parametrize("name", ["egress_allow_ports", "egress_forbid_ports"])
def test_malformed_port_is_refused(name: str, port: str) -> None:
    values: dict[str, Any] = {name: (port,)}
    with pytest.raises(UnusableSettings) as refused:
        load_settings(**values)
    assert [problem.setting for problem in refused.value.problems] == [name]


def test_rules_are_read_from_texts() -> None:
    settings = Settings.model_validate(
        {"egress_allow_ports": "1, 8000-65535", "egress_forbid_hosts": " a.example ,*.b.example"}
    )
    policy = egress_policy(settings)
    assert policy.ports == (range(1, 2), range(8000, 65_536))
    assert policy.url_rule(Target.parse("http://x.b.example:8000/")) == "host_forbidden"
    assert policy.url_rule(Target.parse("http://a.example:8000/")) == "host_forbidden"
    assert policy.url_rule(Target.parse("http://b.example:8000/")) is None


def test_tenant_reads_the_rule_and_the_log_has_the_address() -> None:
    guard = EgressGuard(policy=egress_policy(Settings()), clock=lambda: 0.0)
    with capture_logs() as logs:
        for _ in range(3):
            refused = guard.address_refusal("intern.example", "10.1.2.3")
            assert refused == (FailureCode.ADDRESS_REFUSED, "the address of the host is private")
    assert [(line["event"], line["host"], line["address"], line["rule"]) for line in logs] == [
        ("address_refused", "intern.example", "10.1.2.3", "private")
    ]
    assert guard.address_refusal("0x0a.1", "10.0.0.1") == (FailureCode.ADDRESS_REFUSED, "10.0.0.1 is private")


def test_every_refusal_is_counted_also_without_its_log_line(live_metrics: LiveMetrics) -> None:
    guard = EgressGuard(policy=egress_policy(Settings.model_validate({"egress_forbid_ports": "81"})), clock=lambda: 0.0)
    for _ in range(3):
        guard.address_refusal("intern.example", "10.1.2.3")
        guard.url_refusal(Target.parse("http://x.example:81/"))
    guard.address_refusal("public.example", "93.184.216.34")
    guard.url_refusal(Target.parse("http://x.example/"))
    seen = live_metrics.read().series("webhookd_egress_refusals_total")
    assert {(one.labels["code"], one.labels["rule"]): one.value for one in seen} == {
        ("address_refused", "private"): 3,
        ("url_refused", "port_forbidden"): 3,
    }
