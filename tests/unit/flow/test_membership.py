"""Which processes take part when some reach Kafka and others do not."""

import pytest

from webhookd.flow.control.membership import REJOIN_AFTER_S, STEADY_S, Member, participants, takes_part
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability

LOST_S = 15.0
NEVER = KafkaReachability()
WELL = KafkaReachability().answered(100.0)
LOST = WELL.failed(200.0, "timed out")
STEADY = Member(id="steady", reachable_s=STEADY_S)


@pytest.mark.parametrize(
    ("contact", "others", "now", "expected"),
    [
        pytest.param(NEVER, [], 0.0, True, id="alone, nothing known yet"),
        pytest.param(NEVER, [STEADY], 0.0, True, id="nothing known yet"),
        pytest.param(NEVER.failed(0.0, ""), [], 0.0, True, id="alone without Kafka"),
        pytest.param(NEVER.failed(0.0, ""), [STEADY], 0.0, False, id="never answered, another one takes"),
        pytest.param(WELL, [STEADY], 500.0, True, id="both are answered"),
        pytest.param(LOST, [STEADY], 200.0 + LOST_S - 0.1, True, id="silent for less than the bound"),
        pytest.param(LOST, [STEADY], 200.0 + LOST_S, False, id="silent for the bound"),
        pytest.param(LOST, [], 900.0, True, id="alone and silent"),
        pytest.param(LOST, [Member(id="silent")], 900.0, True, id="the other one is silent too"),
        pytest.param(LOST, [Member(id="new", reachable_s=STEADY_S - 1)], 900.0, True, id="the other one has just come"),
        pytest.param(
            LOST, [Member(id="out", takes_part=False, reachable_s=60)], 900.0, True, id="the other one is out"
        ),
        pytest.param(LOST, [Member(id="silent"), STEADY], 900.0, False, id="one of the others takes"),
    ],
)
def test_process_stops_taking_part_only_if_another_reaches_kafka(
    contact: KafkaReachability, others: list[Member], now: float, expected: bool
) -> None:
    assert takes_part(contact, others, now, before=True, lost_s=LOST_S) is expected


@pytest.mark.parametrize(
    ("contact", "others", "now", "expected"),
    [
        pytest.param(LOST, [STEADY], 900.0, False, id="still silent"),
        pytest.param(LOST.answered(900.0), [STEADY], 900.0 + REJOIN_AFTER_S - 0.1, False, id="answered for a moment"),
        pytest.param(LOST.answered(900.0), [STEADY], 900.0 + REJOIN_AFTER_S, True, id="answered steadily"),
        pytest.param(LOST, [Member(id="silent")], 900.0, False, id="the others have lost it meanwhile"),
        pytest.param(LOST, [], 900.0, True, id="nobody else is left"),
    ],
)
def test_process_takes_part_again_when_it_reaches_kafka(
    contact: KafkaReachability, others: list[Member], now: float, expected: bool
) -> None:
    assert takes_part(contact, others, now, before=False, lost_s=LOST_S) is expected


def test_nothing_moves_when_all_lose_kafka_within_seconds() -> None:
    contacts = {"a": WELL.failed(200.0, ""), "b": WELL.failed(204.0, "")}
    takes = dict.fromkeys(contacts, True)
    for now in range(200, 400):
        members = {
            id_: Member(id=id_, takes_part=takes[id_], reachable_s=c.reachable_s(now)) for id_, c in contacts.items()
        }
        for id_, contact in contacts.items():
            others = [member for member in members.values() if member.id != id_]
            takes[id_] = takes_part(contact, others, float(now), before=takes[id_], lost_s=LOST_S)
        assert all(takes.values()), now


def test_nothing_moves_when_all_reach_kafka_for_the_first_time() -> None:
    contacts = {"a": NEVER.failed(0.0, ""), "b": NEVER.failed(0.0, "")}
    for now in (100.0, 101.0, 102.0):
        contacts["a"] = contacts["a"].answered(100.0)
        a, b = (Member(id=id_, reachable_s=contact.reachable_s(now)) for id_, contact in contacts.items())
        assert takes_part(contacts["a"], [b], now, before=True, lost_s=LOST_S)
        assert takes_part(contacts["b"], [a], now, before=True, lost_s=LOST_S)


def test_subscriptions_are_divided_among_those_that_take_part() -> None:
    assert participants([Member(id="b"), Member(id="x", takes_part=False), Member(id="a")]) == ["a", "b"]


def test_all_are_participants_when_none_takes_part() -> None:
    assert participants([Member(id="b", takes_part=False), Member(id="a", takes_part=False)]) == ["a", "b"]


def test_unstable_connection_is_not_unreachable() -> None:
    contact = WELL
    for now in range(200, 260, 2):
        contact = contact.failed(float(now), "").answered(now + 1.0)
        assert contact.unreachable_s(now + 1.0) == 0.0
    assert contact.reachable_s(260.0) < REJOIN_AFTER_S


def test_silence_and_contact_are_counted_from_the_first_answer_of_their_kind() -> None:
    lost = LOST.failed(210.0, "refused")
    assert (lost.unreachable_s(220.0), lost.reachable_s(220.0), lost.ever_answered, lost.detail) == (
        20.0,
        0.0,
        True,
        "refused",
    )
    back = lost.answered(230.0).answered(240.0)
    assert (back.unreachable_s(250.0), back.reachable_s(250.0), back.known) == (0.0, 20.0, True)
    assert (NEVER.known, NEVER.ever_answered) == (False, False)
