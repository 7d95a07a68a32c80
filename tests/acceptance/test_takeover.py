"""When an ingest process stops or is killed another one continues, within the bound of the group protocol.

The bound consists of the brokers' session timeout (10 s with the classic protocol) and of the members' heartbeats.
`make chaos` and `make bench-takeover` test the consumer protocol with its 45 s.
"""

import json

import pytest

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import Receiver

INGESTS = ("ingest", "ingest-2")
SETTINGS = {"WEBHOOKD_LEASE_S": "2", "WEBHOOKD_REQUEST_DEADLINE_S": "3", "WEBHOOKD_INGEST_MEMBER_TIMEOUT_S": "5"}
SESSION_S = 10.0
SLACK_S = 20.0
"""For a busy machine; `make bench-takeover` measures the time itself."""


def numbers(count: int) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(count)]


def reader_of(pipeline: Pipeline, id_: str) -> str:
    """The ingest process to which the subscription's partitions were assigned last."""

    def assigned(name: str) -> list[str]:
        lines = pipeline.log(name).splitlines()
        return [line for line in lines if '"event":"partitions_assigned"' in line and id_ in line]

    found = {name: lines[-1] for name in INGESTS if (lines := assigned(name))}
    return max(found, key=lambda name: json.loads(found[name])["timestamp"])


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_other_ingest_reads_on_within_the_session_timeout(start_pipeline: Starts, how: str) -> None:
    with start_pipeline(**SETTINGS) as pipeline, Receiver() as receiver:
        pipeline.start(INGESTS[1])
        until(lambda: '"ingests":2' in pipeline.log(INGESTS[0]), "they have found each other")
        topic = pipeline.topic()
        id_ = pipeline.subscribe(receiver.url, topic)
        pipeline.produce(topic, numbers(40))
        receiver.wait_for_records(40)
        pipeline.wait_committed(id_, topic)
        reader = reader_of(pipeline, id_)
        if how == "killed":
            pipeline.kill(reader)
        else:
            pipeline.send_term(reader)
        pipeline.produce(topic, numbers(40))
        receiver.wait_for_records(80, SESSION_S + SLACK_S)
        assert (receiver.repeats, receiver.out_of_order) == (0, 0)


def test_joining_moves_only_what_must_move(start_pipeline: Starts) -> None:
    with start_pipeline(**SETTINGS) as pipeline, Receiver() as receiver:
        topic = pipeline.topic()
        ids = [pipeline.subscribe(receiver.url, topic) for _ in range(12)]
        until(lambda: all(id_ in assigned_in(pipeline, INGESTS[0]) for id_ in ids), "all are read")
        pipeline.start(INGESTS[1])
        until(lambda: '"ingests":2' in pipeline.log(INGESTS[0]), "they have found each other")
        pipeline.produce(topic, numbers(40))
        receiver.wait_for_records(40)
        moved = {id_ for id_ in ids if id_ in assigned_in(pipeline, INGESTS[1])}
        stopped = {id_ for id_ in ids if f'"subscription":"{id_}"' in stopped_in(pipeline, INGESTS[0])}
        assert moved == stopped
        assert 0 < len(moved) < len(ids)
        assert receiver.out_of_order == 0


def assigned_in(pipeline: Pipeline, name: str) -> str:
    return "\n".join(line for line in pipeline.log(name).splitlines() if '"event":"partitions_assigned"' in line)


def stopped_in(pipeline: Pipeline, name: str) -> str:
    return "\n".join(line for line in pipeline.log(name).splitlines() if '"event":"subscription_stopped"' in line)
