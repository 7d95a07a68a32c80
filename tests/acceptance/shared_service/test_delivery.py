"""What a receiver gets, end to end.

Oracles: the receiver's own record of topic, partition and offset; Kafka's end offsets and the group's committed
offsets, read from the broker. There are no fakes: real Kafka, Redis, Postgres, and the real processes.
"""

import json

from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import OK, Receiver, status


def orders(count: int) -> list[bytes]:
    return [json.dumps({"id": i, "status": "paid" if i % 10 == 0 else "open"}).encode() for i in range(count)]


def test_backlog_arrives_once_in_order_and_commits(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    pipeline.produce(topic, orders(5000))
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(5000)
        pipeline.wait_committed(id_, topic)
        assert (receiver.records, receiver.repeats, receiver.out_of_order) == (5000, 0, 0)
        assert {len(request.messages) for request in receiver.requests} == {1}
        pipeline.ask("DELETE", f"/1/Subscription/{id_}")


def test_records_after_the_answer_are_not_missed(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    pipeline.produce(topic, orders(40))
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, orders(8))
        receiver.wait_for_records(8)
        pipeline.wait_committed(id_, topic)
        assert {offset for lane in receiver.lanes.values() for offset in lane.seen} == {10, 11}


def test_batches_fill_and_leftovers_mix(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    pipeline.produce(topic, orders(4 * 250))
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest", size=100, interval=1)
        receiver.wait_for_records(1000)
        pipeline.wait_committed(id_, topic)
        sizes = sorted(len(request.messages) for request in receiver.requests)
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)
        assert sum(sizes) == 1000
        assert len(sizes) <= 14
        assert max(sizes) == 100


def test_filter_decides_and_dropped_records_commit(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    pipeline.produce(topic, orders(1000))
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest", filters=["status == 'paid'", "id >= `100`"])
        pipeline.wait_committed(id_, topic)
        got = sorted(message["value"]["id"] for request in receiver.requests for message in request.messages)
        assert got == list(range(100, 1000, 10))


def test_messages_carry_key_headers_and_original_value(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    pipeline.produce(topic, [b'{"n": 12345678901234567890123, "n": 1.0}', None], partitions=1)
    with Receiver() as receiver:
        pipeline.subscribe(receiver.url, topic, start="earliest", headers=["X-Api-Key: hunter2"])
        receiver.wait_for_records(2)
        raw = list(receiver.requests)
    assert [request.messages[0]["value"] for request in raw] == [{"n": 1.0}, None]
    assert [request.messages[0]["key"] for request in raw] == ["key-0", "key-1"]
    assert {request.headers["x-api-key"] for request in raw} == {"hunter2"}
    assert len({request.headers["webhook-id"] for request in raw}) == 2


def test_undecodable_record_becomes_a_dead_letter_and_its_lane_goes_on(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    pipeline.produce(topic, [b'{"id": 1}', b"not json", b"\xff\xfe", b'{"id": 2}'], partitions=1)
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(2)
        pipeline.wait_committed(id_, topic)
        until(lambda: pipeline.status(id_)["counters"]["dead_lettered"] == 2, "the status counts the dead letters")


def test_failure_is_retried_until_it_succeeds(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    answers = iter([status(503), status(500), OK, OK, OK])
    with Receiver(lambda _request: next(answers)) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, size=1)
        pipeline.produce(topic, orders(3), partitions=1)
        receiver.wait_for_records(3)
        pipeline.wait_committed(id_, topic)
        ids = [request.headers["webhook-id"] for request in receiver.requests]
        assert [request.messages[0]["offset"] for request in receiver.requests] == [0, 0, 0, 1, 2]
        assert len(set(ids[:3])) == 1
        until(lambda: len(pipeline.status(id_)["recent_activity"]) >= 4, "both failures are in the activity")
        codes = [event["response_code"] for event in pipeline.status(id_)["recent_activity"]]
        assert {503, 500, 200} <= set(codes)


def test_exhausted_lane_pauses_and_recovers_by_itself(pipeline: Pipeline) -> None:
    topic = pipeline.topic(2)
    broken = [True]
    with Receiver(lambda _request: status(500) if broken[0] else OK) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, retries=1)
        pipeline.produce(topic, orders(20), partitions=2)
        until(lambda: pipeline.status(id_)["status"] == "unhealthy", "the subscription is unhealthy")
        assert pipeline.status(id_)["reason"] == "http_500"
        broken[0] = False
        receiver.wait_for_records(20)
        pipeline.wait_committed(id_, topic)
        assert receiver.out_of_order == 0
        until(lambda: pipeline.status(id_)["status"] == "healthy", "the subscription is healthy again")


def test_one_dead_endpoint_leaves_another_alone(pipeline: Pipeline) -> None:
    topic = pipeline.topic()
    with Receiver(lambda _request: status(503)) as dead, Receiver() as alive:
        dead_id = pipeline.subscribe(dead.url, topic)
        alive_id = pipeline.subscribe(alive.url, topic)
        pipeline.produce(topic, orders(200))
        alive.wait_for_records(200)
        pipeline.wait_committed(alive_id, topic)
        assert sum(pipeline.committed(dead_id, topic).values()) == 0
        pipeline.ask("DELETE", f"/1/Subscription/{dead_id}")
