"""Which addresses and URLs are refused, by which rule; and what the operators' lists change.

Oracle for the tables: the IANA special-purpose address registries, written out by hand a second time.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.flow.attempt.egress_policy import EgressPolicy, parse_networks, parse_ports, refusal_reason
from webhookd.flow.attempt.host_pattern import HostPattern
from webhookd.flow.attempt.special_addresses import special_reason
from webhookd.flow.attempt.target import Target

# Each network with its reason; what is directly before its first and directly behind its last address, if that is
# another reason than None (public).
NETWORKS = [
    ("0.0.0.0/8", "this_network", None, None),  # the address before it is the last one
    ("10.0.0.0/8", "private", None, None),
    ("100.64.0.0/10", "shared", None, None),
    ("127.0.0.0/8", "loopback", None, None),
    ("168.63.129.16/32", "cloud_platform", None, None),
    ("169.254.0.0/16", "link_local", None, None),
    ("172.16.0.0/12", "private", None, None),
    ("192.0.0.0/24", "protocol_assignment", None, None),
    ("192.0.2.0/24", "documentation", None, None),
    ("192.31.196.0/24", None, None, None),  # AS112, globally reachable, as are the next one and 192.175.48.0/24
    ("192.52.193.0/24", None, None, None),
    ("192.88.99.0/24", "tunnel", None, None),
    ("192.168.0.0/16", "private", None, None),
    ("192.175.48.0/24", None, None, None),
    ("198.18.0.0/15", "benchmarking", None, None),
    ("198.51.100.0/24", "documentation", None, None),
    ("203.0.113.0/24", "documentation", None, None),
    ("224.0.0.0/4", "multicast", None, "reserved"),
    ("240.0.0.0/4", "reserved", "multicast", None),
    ("::/128", "unspecified", None, "loopback"),
    ("::1/128", "loopback", "unspecified", "v4_compatible"),
    ("::2/127", "v4_compatible", "loopback", "v4_compatible"),
    ("64:ff9b:1::/48", "translated", "reserved", "reserved"),
    ("100::/64", "discard", "reserved", "dummy"),
    ("100:0:0:1::/64", "dummy", "discard", "reserved"),
    ("2001:1::/32", "protocol_assignment", "reserved", "protocol_assignment"),  # before: Teredo, broadcast
    *[
        (text, "protocol_assignment", "protocol_assignment", "protocol_assignment")
        for text in (
            "2001:1::1/128",
            "2001:1::2/127",
            "2001:2::/48",
            "2001:3::/32",
            "2001:4:112::/48",
            "2001:10::/28",
            "2001:20::/28",
            "2001:30::/28",
        )
    ],
    ("2001:100::/24", "protocol_assignment", "protocol_assignment", None),  # the end of 2001::/23
    ("2001:db8::/32", "documentation", None, None),
    ("2620:4f:8000::/48", None, None, None),
    ("3fff::/20", "documentation", None, None),
    ("5f00::/16", "segment_routing", "reserved", "reserved"),
    ("fc00::/7", "private", "reserved", "reserved"),
    ("fe80::/10", "link_local", "reserved", "site_local"),
    ("fec0::/10", "site_local", "link_local", "multicast"),
    ("ff00::/8", "multicast", "site_local", None),
    ("2000::/3", None, "reserved", "reserved"),
]

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "192.31.196.1", "192.52.193.1", "192.175.48.1", "168.63.129.15", "168.63.129.17",
    "2000::1", "2606:4700:4700::1111", "2620:4f:8000::1", "3ffe:ffff::1", "::ffff:8.8.8.8",
]  # fmt: skip

# Spelled out for each form: it holds 10.1.2.3, or 8.8.8.8.
HOLDS_PRIVATE = [
    "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1", "2002:a01:203:ffff:ffff:ffff:ffff:ffff",
    "2001:0:a01:203:0:0:f7f7:f7f7", "2001:0:808:808:0:0:f5fe:fdfc", "2606:4700::5efe:10.1.2.3",
    "2606:4700::200:5efe:10.1.2.3",
]  # fmt: skip
HOLDS_PUBLIC = [
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:0:808:808:8000:63bf:f7f7:f7f7",
    "2606:4700::5efe:8.8.8.8", "2606:4700::200:5efe:8.8.8.8",
]  # fmt: skip

FORMS = {
    "mapped": lambda v4: IPv6Address(0xFFFF << 32 | int(v4)),
    "nat64": lambda v4: IPv6Address(0x64_FF9B << 96 | int(v4)),
    "6to4": lambda v4: IPv6Address(0x2002 << 112 | int(v4) << 80 | 0x1234),
    "teredo-client": lambda v4: IPv6Address(0x2001_0000 << 96 | 0x0808_0808 << 64 | int(v4) ^ 0xFFFF_FFFF),
    "teredo-server": lambda v4: IPv6Address(0x2001_0000 << 96 | int(v4) << 64 | 0x0808_0808 ^ 0xFFFF_FFFF),
    "isatap": lambda v4: IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | int(v4)),
    "isatap-global": lambda v4: IPv6Address(0x2606_4700 << 96 | 0x0200_5EFE << 32 | int(v4)),
}
"""How an IPv4 address is written into each form, with public addresses in the other places."""


def rule(address: str, allowed: tuple[str, ...] = (), forbidden: tuple[str, ...] = ()) -> str | None:
    networks = EgressPolicy(allowed=parse_networks(allowed), forbidden=parse_networks(forbidden))
    return networks.address_rule(ip_address(address))


@pytest.mark.parametrize(("text", "reason", "before", "behind"), NETWORKS, ids=[row[0] for row in NETWORKS])
def test_network_begins_and_ends_where_the_registry_says(
    text: str, reason: str | None, before: str | None, behind: str | None
) -> None:
    network = ip_network(text)
    first, last = network.network_address, network.broadcast_address
    assert [rule(str(first)), rule(str(last))] == [reason, reason]
    if int(first) > 0:
        assert rule(str(first - 1)) == before
    if int(last) < 2**network.max_prefixlen - 1:
        assert rule(str(last + 1)) == behind


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_allowed(address: str) -> None:
    assert rule(address) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("255.255.255.255", "reserved"), ("169.254.169.254", "link_local"), ("192.0.0.9", "protocol_assignment"),
        ("fe80::1%eth0", "link_local"), ("::127.0.0.1", "v4_compatible"), ("::ffff:0:7f00:1", "reserved"),
        ("2001:10::1", "protocol_assignment"), ("fd00:ec2::254", "private"),
    ],
)  # fmt: skip
def test_special_address_is_refused(address: str, reason: str) -> None:
    assert rule(address) == reason


@pytest.mark.parametrize("address", HOLDS_PRIVATE)
def test_address_that_holds_a_private_one_is_private(address: str) -> None:
    assert rule(address) == "private"


@pytest.mark.parametrize("address", HOLDS_PUBLIC)
def test_address_that_holds_public_ones_is_public(address: str) -> None:
    assert rule(address) is None


@pytest.mark.parametrize("form", FORMS)
@given(v4=st.ip_addresses(v=4))
def test_every_form_is_judged_by_what_it_holds(form: str, v4: IPv4Address) -> None:
    assert rule(str(FORMS[form](v4))) == special_reason(v4)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("fe80::5efe:8.8.8.8", "link_local"), ("fd00::200:5efe:8.8.8.8", "private"), ("64:ff9b:1::8.8.8.8", "translated")],
)
def test_network_in_front_of_a_held_address_counts_too(address: str, reason: str) -> None:
    assert rule(address) == reason


@pytest.mark.parametrize(
    "address",
    [
        "2002:a01:203::5efe:8.8.8.8", "2002:a01:203::200:5efe:8.8.8.8",  # ISATAP within 6to4: the router is private
        "2002:808:808::5efe:10.1.2.3",  # the host behind it is private
        "2001:0:a01:203:0:5efe:808:808",  # Teredo with flags and port as in ISATAP: the server is private
    ],
)  # fmt: skip
def test_address_of_two_forms_is_judged_by_all_that_it_holds(address: str) -> None:
    assert rule(address) == "private"


@pytest.mark.parametrize(
    ("text", "before", "behind"),
    [
        ("::ffff:0:0/96", "reserved", "reserved"),
        ("64:ff9b::/96", "reserved", "reserved"),
        ("2002::/16", None, None),
        ("2001::/32", None, "protocol_assignment"),
    ],
)
def test_forms_end_where_their_networks_end(text: str, before: str | None, behind: str | None) -> None:
    network = ip_network(text)
    first, last = network.network_address, network.broadcast_address
    assert [rule(str(first - 1)), rule(str(last + 1))] == [before, behind]
    assert [rule(str(first)), rule(str(last))] == ["this_network", "reserved"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "::ffff:10.0.0.0/104"),
        ("10.1.2.3", "::ffff:10.0.0.0/104"),
        ("64:ff9b::10.1.2.3", "10.0.0.0/8"),
        ("64:ff9b::10.1.2.3", "64:ff9b::/96"),
        ("64:ff9b:1::10.1.2.3", "64:ff9b:1::/48"),
        ("fd00::1", "fd00::/8"),
    ],
)
def test_operator_can_allow_a_network(address: str, allowed: str) -> None:
    assert rule(address, allowed=(allowed,)) is None


@pytest.mark.parametrize(
    ("address", "allowed"), [("10.1.2.4", "10.1.2.3"), ("192.168.0.1", "10.0.0.0/8"), ("::1", "127.0.0.0/8")]
)
def test_address_outside_the_allowed_network_is_refused(address: str, allowed: str) -> None:
    assert rule(address, allowed=(allowed,)) is not None


def test_allowed_server_of_a_tunnel_does_not_allow_its_client() -> None:
    to_metadata = str(
        IPv6Address(0x2001_0000 << 96 | 0x0A01_0203 << 64 | int(IPv4Address("169.254.169.254")) ^ 2**32 - 1)
    )
    assert rule(to_metadata, allowed=("10.0.0.0/8",)) == "link_local"


@pytest.mark.parametrize(
    ("address", "allowed", "forbidden", "expected"),
    [
        ("8.8.8.8", (), ("8.8.8.0/24",), "network_forbidden"),
        ("8.8.9.8", (), ("8.8.8.0/24",), None),
        ("::ffff:8.8.8.8", (), ("8.8.8.0/24",), "network_forbidden"),
        ("64:ff9b::8.8.8.8", (), ("8.8.8.0/24",), "network_forbidden"),
        ("64:ff9b::8.8.8.8", (), ("64:ff9b::/96",), "network_forbidden"),
        ("10.1.2.3", ("10.0.0.0/8",), ("10.1.0.0/16",), "network_forbidden"),
        ("10.1.2.3", ("10.1.2.3",), ("10.1.0.0/16",), None),
        ("10.2.2.3", ("10.0.0.0/8",), ("10.1.0.0/16",), None),
        ("10.1.2.3", ("10.0.0.0/8",), ("10.0.0.0/8",), "network_forbidden"),
        ("8.8.8.8", ("198.51.100.0/24",), ("0.0.0.0/0", "::/0"), "network_forbidden"),
        ("2606:4700::1", ("198.51.100.0/24",), ("0.0.0.0/0", "::/0"), "network_forbidden"),
        ("198.51.100.7", ("198.51.100.0/24",), ("0.0.0.0/0", "::/0"), None),
        ("127.0.0.1", (), ("0.0.0.0/0",), "network_forbidden"),
    ],
)
def test_smallest_network_of_the_operators_decides(
    address: str, allowed: tuple[str, ...], forbidden: tuple[str, ...], expected: str | None
) -> None:
    assert rule(address, allowed=allowed, forbidden=forbidden) == expected


def test_network_with_host_bits_is_accepted() -> None:
    assert refusal_reason(ip_address("10.9.9.9"), parse_networks([" 10.1.2.3/8 "])) is None


@pytest.mark.parametrize("network", ["", "example.com", "10.0.0.0/33", "10.0.0"])
def test_malformed_network_is_an_error(network: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        parse_networks([network])


def test_mapped_network_is_read_as_the_ipv4_network() -> None:
    assert parse_networks(["::ffff:10.0.0.0/104", "::ffff:1.2.3.4", "::/0"]) == (
        IPv4Network("10.0.0.0/8"), IPv4Network("1.2.3.4/32"), IPv6Network("::/0"),
    )  # fmt: skip


def policy(
    hosts: tuple[str, ...] = (), forbidden_hosts: tuple[str, ...] = (), ports: tuple[str, ...] = (),
    forbidden_ports: tuple[str, ...] = (), *, https_required: bool = False,
) -> EgressPolicy:  # fmt: skip
    return EgressPolicy(
        hosts=tuple(map(HostPattern.parse, hosts)),
        forbidden_hosts=tuple(map(HostPattern.parse, forbidden_hosts)),
        ports=parse_ports(ports),
        forbidden_ports=parse_ports(forbidden_ports),
        https_required=https_required,
    )


@pytest.mark.parametrize(
    ("url", "rules", "expected"),
    [
        ("http://a.example/", policy(), None),
        ("http://a.example/", policy(https_required=True), "https_required"),
        ("https://a.example/", policy(https_required=True), None),
        ("https://a.example/", policy(ports=("443",)), None),
        ("http://a.example/", policy(ports=("443",)), "port_not_allowed"),
        ("http://a.example:7999/", policy(ports=("443", "8000-8999")), "port_not_allowed"),
        ("http://a.example:8000/", policy(ports=("443", " 8000-8999 ")), None),
        ("http://a.example:8999/", policy(ports=("443", "8000-8999")), None),
        ("http://a.example:9000/", policy(ports=("443", "8000-8999")), "port_not_allowed"),
        ("http://a.example:25/", policy(forbidden_ports=("25",)), "port_forbidden"),
        ("http://a.example:26/", policy(forbidden_ports=("25",)), None),
        ("http://a.example:25/", policy(ports=("1-65535",), forbidden_ports=("25",)), "port_forbidden"),
        ("http://a.example/", policy(hosts=("a.example",)), None),
        ("http://A.Example./", policy(hosts=("a.example",)), None),
        ("http://a.example/", policy(hosts=("A.EXAMPLE.",)), None),
        ("http://b.a.example/", policy(hosts=("a.example",)), "host_not_allowed"),
        ("http://b.a.example/", policy(hosts=("*.a.example",)), None),
        ("http://c.b.a.example/", policy(hosts=("*.a.example",)), None),
        ("http://a.example/", policy(hosts=("*.a.example",)), "host_not_allowed"),
        ("http://xa.example/", policy(hosts=("*.a.example", "a.example")), "host_not_allowed"),
        ("http://bücher.example/", policy(hosts=("xn--bcher-kva.example",)), None),
        ("http://xn--bcher-kva.example/", policy(hosts=("bücher.example",)), None),
        ("http://b.a.example/", policy(hosts=("*.a.example",), forbidden_hosts=("b.a.example",)), "host_forbidden"),
        ("http://8.8.8.8/", policy(hosts=("*.a.example",)), "host_not_allowed"),
        ("http://8.8.8.8/", policy(hosts=("8.8.8.8",)), None),
        ("http://0x08.0x080808/", policy(forbidden_hosts=("8.8.8.8",)), "host_forbidden"),
        ("http://[2001:4860:0::8888]/", policy(forbidden_hosts=("[2001:4860::8888]",)), "host_forbidden"),
        ("http://10.0.0.1/", policy(), "private"),
        ("http://0x7f.1/", policy(), "loopback"),
        ("http://[64:ff9b::7f00:1]/", policy(), "loopback"),
    ],
)  # fmt: skip
def test_url_is_refused_by_the_rule_that_it_breaks(url: str, rules: EgressPolicy, expected: str | None) -> None:
    assert rules.refusal(Target.parse(url)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "*.*.example", "a.*", "a b", "http://a.example", "a.example/x", "a.example:443", "a.example:80",
     "user@a.example", "a?b", "a#b", "*.10.0.0.1", "*.[::1]", "2001:db8::1"],
)  # fmt: skip
def test_malformed_host_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not a host|has an address)"):
        HostPattern.parse(text)
