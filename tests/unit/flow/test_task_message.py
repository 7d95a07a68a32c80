"""What a task carries, and what people see of it."""

import json

import msgspec
import pytest

from webhookd.flow.batching.batch import Batch, decode_batches, encode_batches
from webhookd.flow.dispatch.task_message import DeliveryRef, describe, ref_from_wire, ref_to_wire


def ref(id_: str = "d1", records: int = 3) -> DeliveryRef:
    return DeliveryRef(
        id=id_,
        subscription="s1",
        version=2,
        lanes={"orders/0": "e0", "orders/1": "e1"},
        attempt=1,
        records=records,
        batches=2,
        reply_to="ingest-1",
        probe=True,
    )


def test_ref_is_read_back_from_json() -> None:
    assert ref_from_wire(json.loads(json.dumps(ref_to_wire(ref())))) == ref()


def test_ref_of_another_version_is_refused() -> None:
    wire = ref_to_wire(ref())
    del wire["lanes"]
    with pytest.raises(msgspec.ValidationError):
        ref_from_wire(wire)


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    assert ref_from_wire({**ref_to_wire(ref()), "later": 1}) == ref()


def test_ref_of_a_version_that_does_not_say_so_may_be_traced() -> None:
    wire = ref_to_wire(ref())
    wire.pop("traced", None)
    assert ref_from_wire(wire).traced


def test_ref_of_a_version_without_traces_has_none_and_none_is_sent() -> None:
    wire = ref_to_wire(ref())
    assert ("traceparent" in wire, ref_from_wire(wire).traceparent) == (False, "")


def test_ref_carries_the_context_of_its_span() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    one = msgspec.structs.replace(ref(), traceparent=parent)
    assert ref_from_wire(json.loads(json.dumps(ref_to_wire(one)))).traceparent == parent


def test_claim_keys_begin_with_the_subscription() -> None:
    assert ref().claim_keys() == ["s1/orders/0", "s1/orders/1"]


def test_batches_are_read_back_from_their_payload() -> None:
    batches = [Batch("msg_1", 1, b'{"messages":[\xff]}'), Batch("msg_2", 100, b"")]
    assert decode_batches(encode_batches(batches)) == batches


def test_garbage_is_not_a_payload() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_batches(b"garbage")


def test_description_names_subscription_lanes_and_count() -> None:
    assert describe([ref()]) == "(s1 orders/0,orders/1 3 records)"


def test_description_shows_neither_epoch_nor_ids() -> None:
    assert not {"e0", "e1", "d1", "ingest-1"} & set(describe([ref()]).replace(",", " ").split())


def test_description_of_many_deliveries_is_summed_up() -> None:
    shown = describe([ref(f"d{number}") for number in range(10)])
    assert shown.endswith("; and 2 more deliveries, 30 records in all)")
    assert shown.count("s1") == 8
