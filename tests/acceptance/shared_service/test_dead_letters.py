"""Records that cannot be delivered become dead letters. Oracles as in test_giving_up.py."""

from typing import Any

from confluent_kafka.cimpl import NewTopic

from stack.pgbouncer import PgBouncer
from tests.acceptance.conftest import Starts
from tests.acceptance.shared_service.test_giving_up import first_record, numbers
from tests.harness.pipeline import PATIENCE_S, Pipeline, until
from tests.harness.receiver import OK, Receiver, Request, status
from webhookd.flow.batching.undecodable_records import IN_A_ROW
from webhookd.testing.http_endpoint import Answer

FRAME = b"\x00\x00\x00\x00\x2a"
"""The prefix that schema registry clients put before each value."""

LONE_SURROGATE = rb'{"t":"\ud83d", "n": 1}'


def refuse_surrogates(request: Request) -> Answer:
    values = [message["value"] for message in request.messages]
    return status(400) if any(isinstance(value, dict) and "t" in value for value in values) else OK


def problems(pipeline: Pipeline, id_: str) -> dict[str, str]:
    """The problems of a subscription, and their details."""
    return {problem["code"]: problem["detail"] for problem in pipeline.status(id_)["problems"]}


def test_undecodable_topic_is_paused_and_resumes_with_the_first_readable_record(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    framed = [FRAME + value for value in numbers(3000)]
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, framed, partitions=1)
        until(lambda: "records_unreadable" in problems(pipeline, id_), "it is unhealthy")
        until(lambda: pipeline.committed(id_, topic) == {0: IN_A_ROW}, "the dead letters are committed")
        pipeline.produce(topic, framed[:100], partitions=1)
        detail = problems(pipeline, id_)["records_unreadable"]
        assert ("schema id 42" in detail, len(pipeline.dead_letters(id_))) == (True, IN_A_ROW)
        pipeline.produce(topic, numbers(5), partitions=1)
        receiver.wait_for_records(5)
        pipeline.wait_committed(id_, topic)
        assert (len(pipeline.dead_letters(id_)), receiver.repeats) == (len(framed) + 100, 0)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")


def test_value_that_strict_parsers_refuse_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    with Receiver(refuse_surrogates) as receiver:
        id_ = pipeline.subscribe(receiver.url, topic, retry={"on_exhausted": "dead_letter"})
        pipeline.produce(topic, [LONE_SURROGATE, *numbers(3)], partitions=1)
        receiver.wait_for_records(3)
        pipeline.wait_committed(id_, topic)
        (dead_letter,) = pipeline.dead_letters(id_)
        assert (bytes(dead_letter["value"]), dead_letter["cause"], dead_letter["attempts"]) == (
            LONE_SURROGATE,
            "http_400",
            1,
        )


def with_copies(pipeline: Pipeline, receiver: Receiver, topic: str, copies: str) -> str:
    """A subscription whose dead letters are copied to a topic."""
    retry = {"on_exhausted": "dead_letter", "dead_letter_topic": copies}
    return pipeline.subscribe(receiver.url, topic, retry=retry)


def test_dead_letter_topic_that_is_deleted_stops_nothing(pipeline: Pipeline) -> None:
    topic, copies = pipeline.topic(1), pipeline.topic(1)
    with Receiver(refuse_surrogates) as receiver:
        id_ = with_copies(pipeline, receiver, topic, copies)
        pipeline.admin.delete_topics([copies])[copies].result(PATIENCE_S)
        pipeline.produce(topic, [LONE_SURROGATE, *numbers(3)], partitions=1)
        receiver.wait_for_records(3)
        pipeline.wait_committed(id_, topic)
        assert len(pipeline.dead_letters(id_)) == 1
        until(lambda: "dead_letter_topic_unavailable" in problems(pipeline, id_), "the status shows the problem")
        assert "does not exist" in problems(pipeline, id_)["dead_letter_topic_unavailable"]
        pipeline.admin.create_topics([NewTopic(copies, 1)])[copies].result(PATIENCE_S)
        assert first_record(pipeline, copies).value() == LONE_SURROGATE
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")


def test_dead_letter_topic_that_became_compacted_stops_nothing(pipeline: Pipeline) -> None:
    topic, copies = pipeline.topic(1), pipeline.topic(1)
    with Receiver(refuse_surrogates) as receiver:
        id_ = with_copies(pipeline, receiver, topic, copies)
        pipeline.clean_up(copies, "compact")
        pipeline.produce(topic, [LONE_SURROGATE, *numbers(3)], partitions=1, with_keys=False)
        receiver.wait_for_records(3)
        pipeline.wait_committed(id_, topic)
        until(lambda: "dead_letter_topic_unavailable" in problems(pipeline, id_), "the status shows the problem")
        assert "compacted" in problems(pipeline, id_)["dead_letter_topic_unavailable"]
        pipeline.clean_up(copies, "delete")
        assert first_record(pipeline, copies).value() == LONE_SURROGATE
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")


def test_behind_pgbouncer_full_dead_letters_hold_the_lane_until_some_are_deleted(
    start_pipeline: Starts, pgbouncer: PgBouncer
) -> None:
    limit = 10
    settings = {"WEBHOOKD_DEAD_LETTER_LIMIT": str(limit)}
    # All processes reach the database through PgBouncer: migrations, API, ingest, worker.
    with start_pipeline(pgbouncer, **settings) as pipeline, Receiver(refuse_surrogates) as receiver:
        topic = pipeline.topic(1)
        id_ = pipeline.subscribe(receiver.url, topic, retry={"on_exhausted": "dead_letter"})
        pipeline.produce(topic, [LONE_SURROGATE, *([b"not JSON", b"1"] * limit)], partitions=1)
        until(lambda: "dead_letters_full" in problems(pipeline, id_), "it is full")
        assert len(pipeline.dead_letters(id_)) == limit
        answer: dict[str, Any] = pipeline.ask("DELETE", f"/1/Subscription/{id_}/DeadLetter")
        assert answer["deleted"] == limit
        pipeline.wait_committed(id_, topic)
        assert (len(pipeline.dead_letters(id_)), len(receiver.lanes[topic, 0].offsets)) == (1, limit)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy again")
