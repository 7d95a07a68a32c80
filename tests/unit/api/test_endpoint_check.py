"""The check of a URL before its registration: who learns which addresses, and that it ends in time."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.resources.endpoint_check import check as module
from api.resources.endpoint_check.check import CALLS, EndpointCheck
from webhookd import logs
from webhookd.edges.http_client.dns_resolver import Resolver
from webhookd.flow.access.caller import Caller, Role
from webhookd.settings import Settings

ADMIN = Caller(role=Role.ADMIN)
CLIENT = Caller(role=Role.CLIENT, tenant="acme")
NAME = "https://db.intern.example/"
WAIT_S = 20.0


def has(*addresses: str) -> Resolver:
    return lambda _host, _port: addresses


def asked(_host: str, _port: int) -> Sequence[str]:
    raise AssertionError("nothing needs the addresses")


def result(
    url: str, resolver: Resolver = asked, caller: Caller = CLIENT, settings: Settings | None = None
) -> dict[str, Any]:
    return EndpointCheck(settings or Settings(), resolver).result(url, caller)


@pytest.mark.parametrize(
    ("addresses", "rules"),
    [(["10.1.2.3"], ["private"]), (["127.0.0.1", "10.1.2.3"], ["loopback", "private"]), (["10.1.2.3", "8.8.8.8"], [])],
)
def test_client_gets_the_rules_and_no_address_of_a_name(addresses: list[str], rules: list[str]) -> None:
    found = result(NAME, has(*addresses))
    assert (found["accepted"], found["rules"], found["addresses"]) == (not rules, rules, None)
    assert not any(address in str(found) for address in addresses)


def test_operators_get_each_address_with_its_rule() -> None:
    found = result(NAME, has("10.1.2.3", "8.8.8.8"), ADMIN)
    assert found["addresses"] == [
        {"address": "10.1.2.3", "allowed": False, "rule": "private"},
        {"address": "8.8.8.8", "allowed": True, "rule": None},
    ]


def test_client_gets_the_address_that_it_has_written() -> None:
    found = result("https://0xa.1/")
    assert found["addresses"] == [{"address": "10.0.0.1", "allowed": False, "rule": "private"}]
    assert found["reason"] == "has an address to which this installation sends nothing (the rule private)"


def test_rule_about_urls_needs_no_look_up() -> None:
    found = result("http://db.intern.example/", settings=Settings(egress_require_https=True))
    assert found == {
        "accepted": False,
        "rules": ["https_required"],
        "reason": "is http, and this installation sends only to https (the rule https_required)",
        "judged_by": "webhookd",
        "addresses": None,
    }


@pytest.mark.parametrize(("judges", "by"), [(True, "proxy"), (False, "webhookd")])
def test_proxy_that_judges_names_is_named(*, judges: bool, by: str) -> None:
    proxy = Settings(egress_proxy="http://proxy.example:3128", egress_proxy_judges=judges)
    found = result(NAME, asked if judges else has("8.8.8.8"), settings=proxy)
    assert (found["judged_by"], found["accepted"]) == (by, None if judges else True)
    refused = result("https://10.0.0.1/", settings=proxy)
    assert (refused["judged_by"], refused["accepted"]) == ("webhookd", False)


def test_host_without_an_address_is_not_known() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    found = result(NAME, unknown)
    assert (found["accepted"], found["rules"]) == (None, [])
    assert found["reason"] == "has a host that cannot be resolved now: Name or service not known"


def test_look_up_that_hangs_ends_the_request_and_takes_no_more_than_its_threads() -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def hangs(_host: str, _port: int) -> Sequence[str]:
        begun.release()
        release.wait(WAIT_S)
        return ["8.8.8.8"]

    check = EndpointCheck(Settings(), hangs, deadline_s=0.01)
    reasons = [check.result(NAME, CLIENT)["reason"] for _ in range(CALLS + 1)]
    assert all(begun.acquire(timeout=WAIT_S) for _ in range(CALLS))
    release.set()
    assert not begun.acquire(blocking=False)
    assert reasons[0] == "has a host that cannot be resolved now: there was no answer within 0.01 s"
    assert reasons[-1] == "has a host that cannot be resolved now: too many calls are in progress"


def test_log_has_the_refused_addresses_and_the_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_log", logs.get("check"))  # the module's may be bound to the log of an earlier test
    with capture_logs() as lines:
        result(NAME, has("10.1.2.3"))
        result(NAME, has("8.8.8.8"))
    assert [(line["tenant"], line["host"], line["addresses"]) for line in lines] == [
        ("acme", "db.intern.example", {"10.1.2.3": "private"})
    ]


def test_repeated_questions_about_a_host_are_logged_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_log", logs.get("check"))  # the module's may be bound to the log of an earlier test
    times = iter([*range(11), 11, 12])
    check = EndpointCheck(Settings(), has("10.1.2.3"), clock=lambda: next(times))
    other = Caller(role=Role.CLIENT, tenant="other")
    with capture_logs() as lines:
        for _ in range(11):
            check.result(NAME, CLIENT)
        check.result(NAME, other)
        check.result("https://mail.intern.example/", CLIENT)
    assert [(line["tenant"], line["host"], line["left_out"]) for line in lines] == [
        ("acme", "db.intern.example", 0),
        ("acme", "db.intern.example", 9),
        ("other", "db.intern.example", 0),
        ("acme", "mail.intern.example", 0),
    ]
