"""When a delivery session of a worker closes, on a clock that the test moves."""

from math import inf

from webhookd.flow.dispatch.delivery_session import (
    LONGEST_S,
    OVERDUE_S,
    TTL_SLACK_S,
    DeliverySession,
    SessionClaim,
    SessionNames,
    worker_of,
)

IDLE_S = 1.0
NOW = 100.0


def session() -> DeliverySession:
    return DeliverySession("w/1", IDLE_S, NOW)


def test_session_closes_after_its_idle_timeout() -> None:
    assert session().closes_at == NOW + IDLE_S


def test_each_push_keeps_it_open() -> None:
    one = session()
    one.pushed(NOW + 0.9)
    one.pushed(NOW + 1.5)
    assert (one.received, one.closes_at) == (2, NOW + 1.5 + IDLE_S)


def test_it_closes_after_its_longest_time_in_any_case() -> None:
    one = session()
    one.pushed(NOW + LONGEST_S - 0.1)
    assert one.closes_at == NOW + LONGEST_S


def test_stopped_session_closes_at_once() -> None:
    one = session()
    one.pushed(NOW)
    one.stop()
    assert one.closes_at == -inf


def test_push_that_is_never_received_does_not_keep_it_open_for_ever() -> None:
    one = session()
    assert not one.overdue(NOW + LONGEST_S + OVERDUE_S - 0.01)
    assert one.overdue(NOW + LONGEST_S + OVERDUE_S)


def test_stopped_session_waits_a_moment_for_a_push_on_its_way() -> None:
    one = session()
    one.stop()
    assert (one.overdue(NOW), one.overdue(NOW + OVERDUE_S)) == (False, True)


def test_store_forgets_it_soon_after_the_idle_timeout() -> None:
    assert session().claim(opens=True) == SessionClaim("w/1", IDLE_S + TTL_SLACK_S, opens=True)
    assert not session().claim().opens


def test_names_tell_the_worker_and_are_never_used_twice() -> None:
    names = SessionNames("host.1")
    found = [names.new() for _ in range(3)]
    assert (len(set(found)), {worker_of(name) for name in found}) == (3, {"host.1"})
