"""The verdict about a URL before it is registered: by the rules about URLs, and by the addresses of its host."""

import pytest

from webhookd.flow.attempt.egress_policy import EgressPolicy, parse_networks
from webhookd.flow.attempt.target import Target
from webhookd.flow.attempt.url_verdict import AddressVerdict, UrlVerdict, before_look_up, of_addresses

HTTPS = EgressPolicy(https_required=True)


@pytest.mark.parametrize("proxy_judges", [False, True])
@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("http://a.example/", ("https_required",)),
        ("http://10.0.0.1/", ("https_required",)),
        ("https://10.0.0.1/", ("private",)),
        ("https://0x7f.1/", ("loopback",)),
        ("https://8.8.8.8/", ()),
    ],
)
def test_rules_and_written_addresses_need_no_look_up(url: str, rules: tuple[str, ...], *, proxy_judges: bool) -> None:
    verdict = before_look_up(HTTPS, Target.parse(url), proxy_judges=proxy_judges)
    assert verdict is not None
    assert (verdict.rules, verdict.accepted, verdict.judged_by_proxy) == (rules, not rules, False)


def test_addresses_of_a_name_decide_unless_a_proxy_judges_them() -> None:
    target = Target.parse("https://a.example/")
    assert before_look_up(HTTPS, target, proxy_judges=False) is None
    verdict = before_look_up(HTTPS, target, proxy_judges=True)
    assert verdict == UrlVerdict(judged_by_proxy=True)
    assert verdict.accepted is None


@pytest.mark.parametrize(
    ("addresses", "rules"),
    [
        (["8.8.8.8"], ()),
        (["10.0.0.1", "8.8.8.8"], ()),
        (["10.0.0.1", "127.0.0.1", "10.0.0.2"], ("loopback", "private")),
        (["203.0.112.1"], ("network_forbidden",)),
    ],
)
def test_one_address_that_may_be_dialled_is_enough(addresses: list[str], rules: tuple[str, ...]) -> None:
    verdict = of_addresses(EgressPolicy(forbidden=parse_networks(["203.0.112.0/24"])), addresses)
    assert (verdict.rules, verdict.accepted) == (rules, not rules)
    assert [one.address for one in verdict.addresses] == addresses


def test_each_address_has_its_own_rule() -> None:
    found = of_addresses(EgressPolicy(), ["10.0.0.1", "8.8.8.8"]).addresses
    assert found == (AddressVerdict(address="10.0.0.1", rule="private"), AddressVerdict(address="8.8.8.8", rule=None))


def test_host_without_an_address_is_not_judged() -> None:
    assert UrlVerdict(unresolved="no such name").accepted is None
