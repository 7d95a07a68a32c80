"""Batches that an endpoint refuses as a whole and takes in parts. Oracles: the receiver's counts, and Kafka itself."""

import json

from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

BATCH = 200
RECORDS = 1000
LIMIT_BYTES = 6000
LARGE = 500
POISON = {123, 124, 800}
PARTITIONS = 2
ACCEPTED = status(202)


def too_large(request: Request) -> Answer:
    return status(413) if int(request.headers["content-length"]) > LIMIT_BYTES else ACCEPTED


def test_endpoint_with_a_small_limit_gets_every_record_but_the_one_that_is_larger(pipeline: Pipeline) -> None:
    topic = pipeline.topic(PARTITIONS)
    values = [json.dumps({"n": n, "text": "x" * LIMIT_BYTES * (n == LARGE)}).encode() for n in range(RECORDS)]
    with Receiver(too_large) as receiver:
        id_ = pipeline.subscribe(
            receiver.url,
            topic,
            size=BATCH,
            retry={"on_exhausted": "dead_letter"},
            webhook={"method": "PUT", "success_codes": ["202"]},
        )
        pipeline.produce(topic, values, partitions=PARTITIONS)
        receiver.wait_for_records(RECORDS - 1)
        pipeline.wait_committed(id_, topic)
        assert (receiver.records, receiver.repeats, receiver.out_of_order) == (RECORDS - 1, 0, 0)
        (dead_letter,) = pipeline.dead_letters(id_)
        assert (bytes(dead_letter["value"]), dead_letter["cause"]) == (values[LARGE], "http_413")
        assert {request.method for request in receiver.requests} == {"PUT"}
        until(lambda: bool(pipeline.status(id_)["recent_activity"]), "the calls are shown")
        shown = [call["request"] for call in pipeline.status(id_)["recent_activity"] if call["event"] == "api_call"]
        assert set(shown) == {f"PUT {receiver.url}"}
        refused = [request for request in receiver.requests if too_large(request) != ACCEPTED]
        assert len(refused) < 10, "the size that worked was not remembered"


def refuses_poison(request: Request) -> Answer:
    return status(422) if any(message["value"]["n"] in POISON for message in request.messages) else ACCEPTED


def test_refused_records_are_isolated_and_the_others_are_delivered(pipeline: Pipeline) -> None:
    topic = pipeline.topic(PARTITIONS)
    values = [json.dumps({"n": n}).encode() for n in range(RECORDS)]
    with Receiver(refuses_poison) as receiver:
        id_ = pipeline.subscribe(
            receiver.url, topic, size=BATCH, retry={"on_exhausted": "dead_letter", "on_rejected": "split"}
        )
        pipeline.produce(topic, values, partitions=PARTITIONS)
        receiver.wait_for_records(RECORDS - len(POISON))
        pipeline.wait_committed(id_, topic)
        assert (receiver.records, receiver.repeats, receiver.out_of_order) == (RECORDS - len(POISON), 0, 0)
        dead_letters = pipeline.dead_letters(id_)
        assert sorted(json.loads(bytes(one["value"]))["n"] for one in dead_letters) == sorted(POISON)
        assert {(one["cause"], one["attempts"]) for one in dead_letters} == {("http_422", 1)}
        ids = {request.headers["webhook-id"] for request in receiver.requests}
        assert len(ids) == len(receiver.requests), "a divided batch has the id of another one"
