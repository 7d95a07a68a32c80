"""Which hosts are addresses. Oracle: `inet_aton` of the C library, which getaddrinfo uses for such hosts."""

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhookd.flow.attempt.host_address import address_of

NUMBERS = st.one_of(
    st.integers(0, 2**33).map(str),
    st.integers(0, 2**33).map(lambda number: f"0{number:o}"),
    st.integers(0, 2**33).map(lambda number: f"0x{number:X}"),
    st.integers(0, 300).map(str),
    st.text("0123456789abcfxX", max_size=4),
)


def by_the_c_library(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


@given(st.lists(NUMBERS, max_size=5).map(".".join))
@example("")
@example("0x")
@example("08.1")
@example("1..2")
@example("127.0.0.1.")
def test_ipv4_is_read_as_the_c_library_reads_it(text: str) -> None:
    assert address_of(text) == by_the_c_library(text.removesuffix("."))


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "017700000001"])
def test_odd_spellings_of_loopback_are_loopback(host: str) -> None:
    assert address_of(host) == IPv4Address("127.0.0.1")


def test_ipv6_and_names() -> None:
    assert address_of("2001:db8:0::1") == IPv6Address("2001:db8::1")
    assert address_of("1::2::3") is None
    assert [address_of(host) for host in ("example.com", "1.example", "٣.1", "fe", "1e3", "+1", "1_0")] == [None] * 7
