"""Which addresses are public: both sides of the boundary of every rule."""

from ipaddress import ip_address

import pytest

from webhookd.flow.attempt.egress_policy import parse_networks, refusal_reason

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
    "223.255.255.255", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700::1111", "2a00::1",
    "3ffe::1", "3fff:1000::", "::ffff:8.8.8.8",
]  # fmt: skip

REFUSED = [
    ("0.0.0.0", "this_network"), ("0.255.255.255", "this_network"),  # noqa: S104  # test data, nothing binds
    ("10.0.0.0", "private"), ("10.255.255.255", "private"),
    ("100.64.0.0", "shared"), ("100.127.255.255", "shared"),
    ("127.0.0.0", "loopback"), ("127.255.255.255", "loopback"),
    ("168.63.129.16", "cloud_platform"),
    ("169.254.0.0", "link_local"), ("169.254.169.254", "link_local"), ("169.254.255.255", "link_local"),
    ("172.16.0.0", "private"), ("172.31.255.255", "private"),
    ("192.0.0.0", "protocol_assignment"), ("192.0.0.255", "protocol_assignment"),
    ("192.0.2.0", "documentation"), ("192.0.2.255", "documentation"),
    ("192.88.99.0", "tunnel"), ("192.88.99.255", "tunnel"),
    ("192.168.0.0", "private"), ("192.168.255.255", "private"),
    ("198.18.0.0", "benchmarking"), ("198.19.255.255", "benchmarking"),
    ("198.51.100.0", "documentation"), ("203.0.113.255", "documentation"),
    ("224.0.0.0", "multicast"), ("239.255.255.255", "multicast"),
    ("240.0.0.0", "reserved"), ("255.255.255.255", "reserved"),
    ("::", "unspecified"), ("::1", "loopback"),
    ("::2", "v4_compatible"), ("::127.0.0.1", "v4_compatible"), ("::255.255.255.255", "v4_compatible"),
    ("::ffff:127.0.0.1", "loopback"), ("::ffff:169.254.169.254", "link_local"), ("::ffff:10.0.0.1", "private"),
    ("::ffff:0:7f00:1", "reserved"), ("::1:0:0:0", "reserved"),
    ("64:ff9b::", "translated"), ("64:ff9b::7f00:1", "translated"), ("64:ff9b::ffff:ffff", "translated"),
    ("64:ff9b:1::", "translated"), ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "translated"),
    ("100::", "discard"), ("100:0:0:1::", "reserved"),
    ("2001::", "protocol_assignment"), ("2001:1ff:ffff::", "protocol_assignment"),
    ("2001:db8::", "documentation"), ("2001:db8:ffff::", "documentation"),
    ("2002::", "tunnel"), ("2002:7f00:1::", "tunnel"), ("2002:ffff::", "tunnel"),
    ("3fff::", "documentation"), ("3fff:fff::", "documentation"), ("4000::", "reserved"), ("1fff::", "reserved"),
    ("5f00::1", "segment_routing"), ("fc00::", "private"), ("fdff::1", "private"), ("fe00::1", "reserved"),
    ("fe80::1", "link_local"), ("fe80::1%eth0", "link_local"), ("febf::1", "link_local"),
    ("fec0::1", "site_local"), ("feff::1", "site_local"), ("ff00::", "multicast"), ("ff02::1", "multicast"),
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_allowed(address: str) -> None:
    assert refusal_reason(ip_address(address), ()) is None


@pytest.mark.parametrize(("address", "reason"), REFUSED)
def test_other_address_is_refused_with_its_reason(address: str, reason: str) -> None:
    assert refusal_reason(ip_address(address), ()) == reason


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("fd00::1", "fd00::/8"),
        ("64:ff9b::808:808", "64:ff9b::/96"),
    ],
)
def test_operator_can_allow_a_network(address: str, allowed: str) -> None:
    assert refusal_reason(ip_address(address), parse_networks([allowed])) is None


@pytest.mark.parametrize(
    ("address", "allowed"), [("10.1.2.4", "10.1.2.3"), ("192.168.0.1", "10.0.0.0/8"), ("::1", "127.0.0.0/8")]
)
def test_address_outside_the_allowed_network_is_refused(address: str, allowed: str) -> None:
    assert refusal_reason(ip_address(address), parse_networks([allowed])) is not None


def test_network_with_host_bits_is_accepted() -> None:
    assert refusal_reason(ip_address("10.9.9.9"), parse_networks([" 10.1.2.3/8 "])) is None


@pytest.mark.parametrize("network", ["", "example.com", "10.0.0.0/33", "10.0.0"])
def test_malformed_network_is_an_error(network: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        parse_networks([network])
