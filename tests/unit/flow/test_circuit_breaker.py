"""The circuit breaker: the table of states in its docstring, row by row."""

from math import inf

import pytest

from tests.harness.lanes import lane
from webhookd.flow.batching.circuit_breaker import CircuitBreaker, CircuitState
from webhookd.flow.offsets.commit_metadata import CommitMetadata


def opened(times: int = 1, probe_at: float = 30.0) -> CircuitBreaker:
    circuit = CircuitBreaker()
    for _ in range(times):
        circuit.open(probe_at)
    return circuit


def test_new_circuit_is_closed() -> None:
    circuit = CircuitBreaker()
    assert (circuit.state, circuit.failed_probes, circuit.half_open_if_due(inf)) == (CircuitState.CLOSED, 0, False)


@pytest.mark.parametrize(
    ("now", "state"), [(29.9, CircuitState.OPEN), (30.0, CircuitState.HALF_OPEN), (31.0, CircuitState.HALF_OPEN)]
)
def test_open_circuit_is_half_open_when_its_probe_is_due(now: float, state: CircuitState) -> None:
    circuit = opened()
    due = circuit.half_open_if_due(now)
    assert (due, circuit.state) == (state is CircuitState.HALF_OPEN, state)


def test_probe_is_due_once() -> None:
    circuit = opened()
    assert [circuit.half_open_if_due(30.0) for _ in range(2)] == [True, False]


def test_failed_probe_opens_the_circuit_again() -> None:
    circuit = opened()
    circuit.half_open_if_due(30.0)
    circuit.open(90.0)
    assert (circuit.state, circuit.failed_probes, circuit.half_open_if_due(89.0)) == (CircuitState.OPEN, 2, False)


def test_success_closes_the_circuit_and_ends_the_count() -> None:
    circuit = opened(times=3)
    circuit.half_open_if_due(30.0)
    circuit.close()
    assert (circuit.state, circuit.failed_probes) == (CircuitState.CLOSED, 0)


def test_circuit_may_be_open_for_good() -> None:
    assert not opened(probe_at=inf).half_open_if_due(1e9)


def test_probe_can_be_made_due_at_once() -> None:
    circuit = opened(probe_at=900.0)
    circuit.probe_at_once()
    assert circuit.half_open_if_due(1.0)


def test_first_failure_says_since_when_it_fails() -> None:
    circuit = CircuitBreaker()
    circuit.begin_failing(5.0)
    circuit.begin_failing(9.0)
    since = circuit.failing_since
    circuit.end_failing()
    assert (since, circuit.failing_since) == (5.0, 0.0)


@pytest.mark.parametrize(("failed_probes", "state"), [(0, CircuitState.CLOSED), (4, CircuitState.OPEN)])
def test_restored_circuit_probes_at_once(failed_probes: int, state: CircuitState) -> None:
    circuit = CircuitBreaker()
    circuit.restore(failed_probes, 7.0)
    assert (circuit.state, circuit.failed_probes) == (state, failed_probes)
    assert circuit.half_open_if_due(7.0) is (state is CircuitState.OPEN)


def test_circuit_goes_through_commit_metadata_to_the_next_process() -> None:
    before, after = lane(), lane()
    before.skip_to(3)
    before.circuit.begin_failing(5.0)
    before.circuit.open(1e6)
    committable = before.committable
    assert committable is not None
    assert committable.metadata == CommitMetadata(failed_probes=1, failing_since=5.0)
    after.restore(committable.metadata, 0.0)
    assert (after.circuit.state, after.circuit.failing_since, after.can_dispatch) == (CircuitState.OPEN, 5.0, False)
