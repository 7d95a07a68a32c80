"""`webhookd run` with a real Kafka: it delivers, resumes after a kill or a stop, and reports invalid options.

Oracles: the receiver's record of topic, partition and offset; committed and end offsets, read from the broker; exit
codes and output. There are no fakes.
"""

import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness.command_process import CommandProcess
from tests.harness.pipeline import Pipeline
from tests.harness.receiver import Receiver

ALLOWED = ("--allow", "127.0.0.0/8")
CLASSIC = {"WEBHOOKD_KAFKA_GROUP_PROTOCOL": "classic", "WEBHOOKD_LOG_LEVEL": "warning"}
"""A killed member keeps its partitions for 10 s with the classic protocol, for 45 s with the consumer protocol."""


@pytest.fixture
def kafka(kafka_bootstrap: str, tmp_path: Path) -> Pipeline:
    """Helpers for Kafka alone: the pipeline is never entered, so none of its processes run."""
    return Pipeline(tmp_path, kafka=kafka_bootstrap, redis="", database="", settings={})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def orders(count: int) -> list[bytes]:
    return [json.dumps({"number": number}).encode() for number in range(count)]


def group_of(state: Path, line: str) -> str:
    """The subscription's id, from the URL of its status."""
    assert (state / "webhookd.db").exists()
    return line.rpartition("/Subscription/")[2].split("/")[0]


def arguments(kafka_bootstrap: str, topic: str, url: str, state: Path) -> tuple[str, ...]:
    where = ("--bootstrap-servers", kafka_bootstrap, "--topic", topic, "--url", url, "--state", str(state))
    return ("run", *where, *ALLOWED)


def test_run_resumes_after_kill_and_stop(kafka: Pipeline, kafka_bootstrap: str, state: Path) -> None:
    topic = kafka.topic()
    with Receiver() as receiver:
        command = (*arguments(kafka_bootstrap, topic, receiver.url, state), "--from", "earliest")
        kafka.produce(topic, orders(500))
        with CommandProcess(*command, environment=CLASSIC) as first:
            receiver.wait_for_records(100)
            assert first.interrupt(signal.SIGKILL) == -signal.SIGKILL
        kafka.produce(topic, orders(500))
        with CommandProcess(*command, environment=CLASSIC) as second:
            second.wait_for("--from earliest has no effect; another --state starts over")
            id_ = group_of(state, second.wait_for("status:"))
            receiver.wait_for_records(1000)
            assert second.interrupt(signal.SIGTERM) == 0
            assert kafka.committed(id_, topic) == kafka.ends(topic)
        repeated = receiver.repeats
        kafka.produce(topic, orders(100))
        with CommandProcess(*command, environment=CLASSIC) as third:
            assert group_of(state, third.wait_for("status:")) == id_
            receiver.wait_for_records(1100)
            assert third.interrupt() == 0
            assert third.left_behind() == []
        assert receiver.repeats == repeated
        assert receiver.out_of_order == 0


def test_second_process_on_the_state_is_refused(kafka: Pipeline, kafka_bootstrap: str, state: Path) -> None:
    command = arguments(kafka_bootstrap, kafka.topic(), "https://192.0.2.1/", state)
    with CommandProcess(*command, "--allow", "192.0.2.0/24", "--batch-interval", "9", environment=CLASSIC) as first:
        first.wait_for("webhookd run: warning: --batch-interval: has no effect")
        first.wait_for("status:")
        with CommandProcess(*command, "--allow", "192.0.2.0/24", environment=CLASSIC) as second:
            assert second.wait() == 1
            assert "another process" in second.output
        assert first.interrupt() == 0


def test_other_cluster_on_the_state_is_refused(kafka: Pipeline, kafka_bootstrap: str, state: Path) -> None:
    state.mkdir()
    (state / "cluster").write_text("another-cluster")
    with CommandProcess(*arguments(kafka_bootstrap, kafka.topic(), "http://127.0.0.1:1/", state)) as run:
        assert run.wait() == 2
        assert "--state" in run.output


WRONG: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "url": (("--url", "ftp://host/", *ALLOWED), 2, "--url"),
    "private address": (("--url", "http://127.0.0.1:1/"), 2, "--allow 127.0.0.1"),
    "network": (("--url", "http://127.0.0.1:1/", "--allow", "somewhere"), 2, "--allow"),
    "filter": (("--url", "http://127.0.0.1:1/", *ALLOWED, "--filter", "a =="), 2, "webhookd run: --filter: "),
    "header": (("--url", "http://127.0.0.1:1/", *ALLOWED, "--header", "no colon"), 2, "webhookd run: --header: "),
    "batch size": (("--url", "http://127.0.0.1:1/", "--batch-size", "0"), 2, "--batch-size"),
    "property": (("--url", "http://127.0.0.1:1/", *ALLOWED, "--kafka-config", "no.such=1"), 2, '"no.such"'),
    "no broker": (("--url", "http://127.0.0.1:1/", *ALLOWED), 1, "no Kafka answers at 127.0.0.1:9"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_error_is_one_line(name: str, state: Path) -> None:
    options, code, expected = WRONG[name]
    command = ("run", "--bootstrap-servers", "127.0.0.1:9", "--topic", "orders", "--state", str(state), *options)
    with CommandProcess(*command) as run:
        assert run.wait() == code
        assert expected in run.output.splitlines()[-1]
        assert "Traceback" not in run.output
    assert not state.exists()
