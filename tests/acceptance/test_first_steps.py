"""`webhookd topic` and `webhookd receive` as a user starts them, against a real Kafka.

Oracles: what a consumer reads from the topic, the lines the commands print, their exit codes, and the answers that an
HTTP client of the standard library gets. Nothing is doubled.
"""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.harness.command_process import CommandProcess
from tests.harness.kafka_admin import admin_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 45.0
TAIL = "webhookd-topic-tail"
NOBODY = "127.0.0.1:9"


def run(*arguments: str, given: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """One `webhookd topic` command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "command.main", "topic", *arguments],
        cwd=ROOT,
        env={"WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": NOBODY, **environment},
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def new_name() -> str:
    return f"steps-{uuid.uuid4().hex}"


def partitions_of(kafka_bootstrap: str, topic: str) -> int:
    return len(admin_of(kafka_bootstrap).list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions)


def records_of(kafka_bootstrap: str, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
    """The keys and values of the first records of a topic with one partition."""
    consumer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [(found.key(), found.value()) for found in consumer.consume(count, PATIENCE_S)]
    finally:
        consumer.close()


def test_created_topic_has_the_partitions_asked_for(kafka_bootstrap: str) -> None:
    name = new_name()
    made = run("create", name, "--partitions", "3", "--bootstrap-servers", kafka_bootstrap)
    assert (made.returncode, made.stdout) == (0, f"created topic {name}\n")
    assert partitions_of(kafka_bootstrap, name) == 3


def test_setting_names_the_brokers(kafka_bootstrap: str) -> None:
    name = new_name()
    assert run("create", name, WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap).returncode == 0
    assert partitions_of(kafka_bootstrap, name) == 1


def test_produced_lines_are_the_topics_records(kafka_bootstrap: str) -> None:
    name, servers = new_name(), ("--bootstrap-servers", kafka_bootstrap)
    run("create", name, "--partitions", "1", *servers)
    done = run("produce", name, "--key", "c-1", *servers, given='{"order": 1}\n\n  ["ü", 2]  \n"last"')
    assert (done.returncode, done.stdout, done.stderr) == (0, f"produced 3 records to {name}\n", "")
    assert run("produce", name, *servers, given="7").stdout == f"produced 1 record to {name}\n"
    written = [(b"c-1", b'{"order": 1}'), (b"c-1", '["ü", 2]'.encode()), (b"c-1", b'"last"'), (None, b"7")]
    assert records_of(kafka_bootstrap, name, 4) == written


def test_tail_shows_what_is_there_and_what_comes(kafka_bootstrap: str) -> None:
    name, servers = new_name(), ("--bootstrap-servers", kafka_bootstrap)
    run("create", name, "--partitions", "3", *servers)
    with CommandProcess("topic", "tail", name, *servers) as tail:
        tail.wait_for(f"showing {name} from latest")
        given = '{"customer": "c-1", "n": 1}\n{"customer": 2, "n": 2}\n{"n": 3}'
        done = run("produce", name, "--key-field", "customer", *servers, given=given)
        assert (done.returncode, done.stdout) == (1, f"produced 2 records to {name}\n")
        assert done.stderr.startswith("Error: line 3 has no text or number in the field customer, so it and")
        tail.wait_for('"key":"2","headers":[],"value":{"customer": 2, "n": 2}}')
        assert tail.interrupt() == 130
        assert tail.left_behind() == []
    shown = run("tail", name, "--from", "earliest", "--count", "2", *servers)
    assert (shown.returncode, shown.stderr) == (0, f"showing {name} from earliest; Ctrl-C ends it\n")
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {(one["key"], one["offset"], one["value"]["n"]) for one in records} == {("c-1", 0, 1), ("2", 0, 2)}
    assert [one.group_id for one in admin_of(kafka_bootstrap).list_consumer_groups().result().valid].count(TAIL) == 0


def test_line_that_is_not_json_ends_it(kafka_bootstrap: str) -> None:
    name, servers = new_name(), ("--bootstrap-servers", kafka_bootstrap)
    run("create", name, "--partitions", "1", *servers)
    done = run("produce", name, *servers, given="1\n2\n{'order': 3}\n4\n")
    assert done.returncode == 1
    assert done.stdout == f"produced 2 records to {name}\n"
    assert done.stderr.startswith("Error: line 3 is not JSON")
    assert records_of(kafka_bootstrap, name, 2) == [(None, b"1"), (None, b"2")]


def test_record_that_kafka_refuses_is_an_error(kafka_bootstrap: str) -> None:
    name, servers = new_name(), ("--bootstrap-servers", kafka_bootstrap)
    run("create", name, *servers)
    done = run("produce", name, *servers, given=f'1\n"{"x" * 2_000_000}"\n')
    assert (done.returncode, done.stdout) == (1, f"produced 1 record to {name}\n")
    assert len(done.stderr.splitlines()) == 1


def test_absent_brokers_are_one_line() -> None:
    with ThreadPoolExecutor() as pool:  # each waits for the same time
        ended = list(pool.map(lambda action: run(action, "orders", given="1\n"), ("create", "produce", "tail")))
    assert [done.returncode for done in ended] == [1, 1, 1]
    said = f"no Kafka answers at {NOBODY}"
    assert [[said in line for line in done.stderr.splitlines()] for done in ended] == [[True]] * 3


@pytest.mark.parametrize("action", ["create", "produce", "tail"])
def test_topic_of_the_wrong_kind_is_one_line(kafka_bootstrap: str, action: str) -> None:
    name, servers = new_name(), ("--bootstrap-servers", kafka_bootstrap)
    if action == "create":
        run("create", name, *servers)
    done = run(action, name, *servers, given="1\n")
    said = "already exists" if action == "create" else f"create it: webhookd topic create {name}"
    assert done.returncode == 1
    assert [said in line for line in done.stderr.splitlines()] == [True]


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    """One request to the receiver; returns the status and the Retry-After of the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Retry-After", "")
    finally:
        connection.close()


def delivery(offset: int) -> bytes:
    return b'{"messages":[{"topic":"orders","partition":0,"offset":%d,"value":"\xc3\xbc"}]}' % offset


def port_in(line: str) -> int:
    return int(line.split(",", maxsplit=1)[0].rpartition(":")[2])


def test_receiver_shows_answers_and_checks_requests() -> None:
    with CommandProcess("receive", "--port", "0", "--full", "1") as receiver:
        port = port_in(receiver.wait_for("listening on"))
        assert ask(port, "POST", "/hook", delivery(0), **{"X-Api-Key": "secret"}) == (200, "")
        receiver.wait_for('"offset":0,"value":"ü"')
        assert ask(port, "PUT", "/receiver?status=503&retry_after=7")[0] == 200
        receiver.wait_for("answering 503 with Retry-After: 7 from now on")
        assert ask(port, "POST", "/hook", delivery(1)) == (503, "7")
        assert ask(port, "PUT", "/receiver?status=ok")[0] == 400
        assert ask(port, "PUT", "/receiver?status=204&retry_after=")[0] == 200
        assert ask(port, "POST", "/hook", delivery(1)) == ask(port, "POST", "/hook", delivery(1)) == (204, "")
        receiver.wait_for("DUPLICATE orders[0] offset 1")
        assert receiver.interrupt() == 0
        assert receiver.left_behind() == []
    shown = receiver.output
    assert "\nPOST /hook\n" in shown
    assert "\nX-Api-Key: secret\n" in shown
    assert '\nPOST /hook → 503  orders[0] 1  "ü"\n' in shown
    assert shown.splitlines()[-1] == (
        "received 4 requests, 3 acknowledged, 3 records of 1 partition, 1 duplicate, 0 out of order"
    )


def test_receiver_answers_the_status_it_was_given() -> None:
    with CommandProcess("receive", "--port", "0", "--status", "503") as receiver:
        port = port_in(receiver.wait_for("answering 503"))
        assert ask(port, "POST", "/hook", b"{}") == (503, "")
        with CommandProcess("receive", "--port", str(port)) as second:
            assert second.wait() == 1
            assert second.output.splitlines() == [f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"]
