"""What travels in a task, and what people see of it."""

import json

import msgspec
import pytest

from webhookd.flow.ticket import (
    Batch,
    Ticket,
    decode_batches,
    describe,
    encode_batches,
    ticket_from_wire,
    ticket_to_wire,
)


def ticket(id_: str = "d1", records: int = 3) -> Ticket:
    return Ticket(
        id=id_,
        subscription="s1",
        version=2,
        lanes={"orders/0": "e0", "orders/1": "e1"},
        attempt=1,
        records=records,
        batches=2,
        reply="ingest-1",
        probe=True,
    )


def test_ticket_survives_its_journey_as_json() -> None:
    assert ticket_from_wire(json.loads(json.dumps(ticket_to_wire(ticket())))) == ticket()


def test_ticket_of_another_version_is_refused() -> None:
    wire = ticket_to_wire(ticket())
    del wire["lanes"]
    with pytest.raises(msgspec.ValidationError):
        ticket_from_wire(wire)


def test_unknown_fields_of_a_newer_version_pass() -> None:
    assert ticket_from_wire({**ticket_to_wire(ticket()), "later": 1}) == ticket()


def test_slots_belong_to_the_subscription() -> None:
    assert ticket().slots() == ["s1/orders/0", "s1/orders/1"]


def test_batches_survive_their_payload() -> None:
    batches = [Batch("msg_1", 1, b'{"messages":[\xff]}'), Batch("msg_2", 100, b"")]
    assert decode_batches(encode_batches(batches)) == batches


def test_garbage_is_not_a_payload() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_batches(b"garbage")


def test_description_names_subscription_lanes_and_count() -> None:
    assert describe([ticket()]) == "(s1 orders/0,orders/1 3 records)"


def test_description_shows_no_epoch() -> None:
    assert not {"e0", "e1", "d1", "ingest-1"} & set(describe([ticket()]).replace(",", " ").split())


def test_long_parcels_are_summed_up() -> None:
    shown = describe([ticket(f"d{number}") for number in range(10)])
    assert shown.endswith("; and 2 more deliveries, 30 records in all)")
    assert shown.count("s1") == 8
