"""Which ports a process takes. No port is opened."""

from itertools import islice

import pytest

from stack.free_ports import PORTS, chosen_range, in_turn, share


@pytest.mark.parametrize("count", [1, 3, 6, 7])
def test_processes_share_the_ports_and_no_two_have_one(count: int) -> None:
    shares = [chosen_range(share(number, count)) for number in range(count)]
    taken = [port for ports in shares for port in ports]
    assert len(set(taken)) == len(taken) > len(PORTS) - count
    assert set(taken) <= set(PORTS)


def test_without_a_choice_all_ports_are_taken() -> None:
    assert chosen_range("") == PORTS


def test_no_port_comes_again_before_all_others_have() -> None:
    ports = range(30_000, 30_020)
    first = list(islice(in_turn(ports), 7))
    others = list(islice(in_turn(ports), 13))
    assert sorted(first + others) == list(ports)
    assert list(islice(in_turn(ports), 7)) == first
