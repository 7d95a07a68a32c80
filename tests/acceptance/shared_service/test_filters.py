"""Records on which filters fail. Oracles as in test_giving_up.py."""

import json

from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import Receiver

FILTER = "items[?n == `2`]"
COSTLY = "items[?join('', ['a', 'b']) == n]"


def record(count: int) -> bytes:
    """A record with an array of `count` items, the last of which matches the filter."""
    return json.dumps({"items": [{"n": 1}] * (count - 1) + [{"n": 2}]}, separators=(",", ":")).encode()


def test_records_with_many_items_arrive(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, filters=[FILTER])
        pipeline.produce(topic, [record(5_000), record(5_001), b'{"items":[{"n":1}]}', record(100_000)], partitions=1)
        receiver.wait_for_records(3)
        pipeline.wait_committed(id_, topic)
        assert receiver.lanes[topic, 0].offsets == [0, 1, 3]
        assert pipeline.dead_letters(id_) == []


def test_records_on_which_filters_fail_end_as_configured(pipeline: Pipeline) -> None:
    """One subscription for each policy reads the same records: of wrong types, too costly, excluded, and matching."""
    topic = pipeline.topic(1)
    filters = ["contains(tags, 'x')", "!skip", f"!({COSTLY})"]
    values = [
        b'{"tags":null}',
        b'{"tags":null,"skip":true}',
        b'{"tags":["x"],"items":[' + b",".join([b"{}"] * 20_000) + b"]}",
        b'{"tags":["x"]}',
    ]
    with Receiver() as keeping, Receiver() as dropping:
        keeps = pipeline.subscribe(keeping.url, topic, filters=filters)
        drops = pipeline.subscribe(dropping.url, topic, filters=filters, filtering={"on_filter_error": "drop"})
        pipeline.produce(topic, values, partitions=1)
        for id_, receiver in ((keeps, keeping), (drops, dropping)):
            receiver.wait_for_records(1)
            pipeline.wait_committed(id_, topic)
            assert receiver.lanes[topic, 0].offsets == [3]
        kept = [(dead_letter["offset"], dead_letter["cause"]) for dead_letter in pipeline.dead_letters(keeps)]
        assert kept == [(0, "filter_error"), (2, "filter_too_costly")]
        assert [dead_letter["offset"] for dead_letter in pipeline.dead_letters(drops)] == [2]
        assert [bytes(dead_letter["value"]) for dead_letter in pipeline.dead_letters(drops)] == [values[2]]


def test_filter_that_always_raises_is_unhealthy_until_it_is_fixed(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, filters=["total > '2'"], filtering={"on_filter_error": "drop"})
        pipeline.produce(topic, [b'{"total":3}'] * 100, partitions=1)
        until(lambda: pipeline.status(id_)["reason"] == "filter_failing", "its filter is reported as failing")
        (problem,) = pipeline.status(id_)["problems"]
        assert problem["detail"].startswith(f"{topic}: total > '2': ")
        fixed = pipeline.ask("GET", f"/1/Subscription/{id_}")
        fixed["source"][0]["jmes_filters"] = ["total > `2`"]
        pipeline.ask("PUT", f"/1/Subscription/{id_}", fixed)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy with another filter")
        pipeline.produce(topic, [b'{"total":3}'], partitions=1)
        receiver.wait_for_records(1)
