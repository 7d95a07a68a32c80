"""The receiver of the load test: real processes that share a port, real connections, real SQLite files.

Oracle: the answers that clients got, webhookd's own signer, and what SQLite reads from the files. Nothing is doubled.
"""

import json
import os
import resource
import signal
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

import pytest

from webhookd.flow.attempt.signature import Signer, SigningKind, new_secret
from webhookd.flow.destination import SigningSecret
from webhookd_load_test.receiver import headroom, secrets_file
from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.receiver.receiver_processes import ReceiverFailedError, ReceiverProcesses
from webhookd_load_test.run_folder.paths import RunFolder

PATIENCE_S = 30.0
SECRET, OTHER = (new_secret(SigningKind.HMAC_SHA256, bytes([number]) * 32) for number in (1, 2))


@contextmanager
def receiving(
    folder: Path, *faults: Fault, processes: int = 1, secrets: dict[str, str | list[str]] | None = None
) -> Iterator[ReceiverProcesses]:
    with ReceiverProcesses(
        folder=RunFolder(folder), processes=processes, faults=faults, seed=1, secrets=secrets or {}, keep_values=True
    ) as receiver:
        yield receiver


def delivery(offset: int, value: object = 1) -> bytes:
    record = {"topic": "orders", "partition": 0, "offset": offset, "timestamp": 0, "key": None, "headers": []}
    return json.dumps({"messages": [{**record, "value": value}]}).encode()


def connected(receiver: ReceiverProcesses) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", receiver.port, timeout=PATIENCE_S)


def posted(
    receiver: ReceiverProcesses, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[HTTPResponse, bytes]:
    with closing(connected(receiver)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer, answer.read()


def status(receiver: ReceiverProcesses, path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    return posted(receiver, path, body, headers)[0].status


def rows(folder: Path, statement: str) -> list[tuple[object, ...]]:
    """The rows of all files."""
    found: list[tuple[object, ...]] = []
    for file in RunFolder(folder).all_received():
        with closing(sqlite3.connect(file)) as connection:
            found += connection.execute(statement)
    return found


def until(reached: object, what: str) -> None:
    """Wait until this function returns something true."""
    assert callable(reached)
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def signed(body: bytes, secret: str, at: float | None = None) -> dict[str, str]:
    sent_at = time.time() if at is None else at
    signature = Signer([SigningSecret(secret=secret)]).signature(b"msg_1", sent_at, body)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(sent_at)),
        "webhook-signature": signature.decode(),
        "webhook-attempt": "1",
    }


class Client(threading.Thread):
    """Posts deliveries on one connection until the receiver has gone; `acknowledged` are the offsets answered 2xx."""

    def __init__(self, receiver: ReceiverProcesses, first: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[int] = []
        self._connection = connected(receiver)
        self._first = first
        self.start()

    def run(self) -> None:
        with closing(self._connection) as connection:
            for offset in range(self._first, self._first + 1_000_000):
                try:
                    connection.request("POST", "/hook", delivery(offset))
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, HTTPException):
                    return
                assert answer.status == 200
                self.acknowledged.append(offset)


def test_end_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with receiving(tmp_path, processes=2) as receiver:
        clients = [Client(receiver, number * 1_000_000) for number in range(8)]
        until(lambda: all(len(client.acknowledged) > 20 for client in clients), "nothing is answered")
        receiver.stop()
        for client in clients:
            client.join(PATIENCE_S)
    acknowledged = {offset for client in clients for offset in client.acknowledged}
    saved = [offset for (offset,) in rows(tmp_path, 'SELECT "offset" FROM records')]
    assert len(saved) == len(set(saved)) == receiver.counts().records
    assert acknowledged <= set(saved)
    assert len(saved) - len(acknowledged) <= len(clients)  # answers that were on their way
    assert sorted(one.name for one in tmp_path.iterdir()) == ["logs", "received-0.sqlite", "received-1.sqlite"]


def test_requests_are_saved_with_their_answers(tmp_path: Path) -> None:
    text = '{"a": 1.50,  "b": "Malmö"}'
    body = b'{"messages":[{"topic":"t","partition":1,"offset":2,"timestamp":3,"key":{"base64":"/w=="},"headers":' + (
        b'[["load-test-record","17"]],"value":%b}]}' % text.encode()
    )
    before_ns = time.time_ns()
    with receiving(tmp_path) as receiver:
        assert status(receiver, "/hook?a=1", body, {"webhook-id": "msg_7"}) == 200
        assert status(receiver, "/hook", b"no delivery") == 400
        assert (receiver.counts().requests, receiver.counts().records, receiver.counts().refused) == (2, 1, 1)
    requests = rows(tmp_path, "SELECT id, path, status, webhook_id, bytes, signature FROM requests")
    assert requests == [(1, "/hook?a=1", 200, "msg_7", len(body), "none"), (2, "/hook", 400, None, 11, "none")]
    assert rows(tmp_path, "SELECT * FROM records") == [(1, 0, "t", 1, 2, 3, '{"base64":"/w=="}', 17, text)]
    (first,), (second,) = rows(tmp_path, "SELECT received_ns FROM requests ORDER BY id")
    assert before_ns < int(str(first)) < int(str(second)) < time.time_ns()


def test_signatures_are_verified_where_the_secret_is_known(tmp_path: Path) -> None:
    body = delivery(1)
    with receiving(tmp_path, secrets={"/signed": SECRET}) as receiver:
        assert status(receiver, "/signed", body, signed(body, SECRET)) == 200
        assert status(receiver, "/signed", body, signed(body, OTHER)) == 401
        assert status(receiver, "/signed", body, signed(body, SECRET, at=time.time() - 400)) == 401
        assert status(receiver, "/signed", body, {**signed(body, SECRET), "webhook-signature": "nonsense"}) == 401
        assert status(receiver, "/signed", body) == 401
        assert status(receiver, "/other", body, signed(body, OTHER)) == 200
        file = tmp_path / "secrets.json"
        secrets_file.write(file, {"/signed": [OTHER, SECRET], "/other": SECRET})
        assert status(receiver, "/signed", body, signed(body, OTHER)) == 200
        assert status(receiver, "/other", body, signed(body, OTHER)) == 401
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for child in receiver._children:
            assert SECRET.encode() not in Path(f"/proc/{child.child.pid}/cmdline").read_bytes()
    assert not file.exists()
    saved = [signature for (signature,) in rows(tmp_path, "SELECT signature FROM requests ORDER BY id")]
    assert saved == ["valid", *["invalid"] * 4, "none", "valid", "invalid"]
    assert rows(tmp_path, "SELECT count(*) FROM records") == [(8,)]


def test_it_consents_to_deliveries(tmp_path: Path) -> None:
    asked = json.dumps({"type": "endpoint.verification", "challenge": "abc"}).encode()
    with receiving(tmp_path, Fault(kind="error"), secrets={"/hook": SECRET}) as receiver:
        receiver.begin(time.time_ns())
        answer, body = posted(receiver, "/hook", asked, signed(asked, SECRET))
        assert (answer.status, json.loads(body)) == (200, {"challenge": "abc"})
        answer, _ = posted(receiver, "/hook", b"", {"WebHook-Request-Origin": "webhookd"}, method="OPTIONS")
        assert (answer.status, answer.getheader("WebHook-Allowed-Origin")) == (200, "webhookd")
        assert status(receiver, "/hook", asked) == 401


def test_it_fails_as_it_is_told(tmp_path: Path) -> None:
    faults = [
        Fault(kind="limit", path="/limit", retry_after_s=7),
        Fault(kind="error", path="/error", status=503),
        Fault(kind="slow", path="/slow", delay_s=0.2),
        Fault(kind="timeout", path="/timeout"),
    ]
    with receiving(tmp_path, *faults) as receiver:
        assert status(receiver, "/limit", delivery(0)) == 200  # nothing has begun yet
        receiver.begin(time.time_ns())
        answer, _ = posted(receiver, "/limit", delivery(1))
        assert (answer.status, answer.getheader("Retry-After")) == (429, "7")
        assert status(receiver, "/error", delivery(1)) == 503
        began = time.monotonic()
        assert status(receiver, "/slow", delivery(1)) == 200
        assert time.monotonic() - began > 0.19
        with closing(connected(receiver)) as connection:
            connection.request("POST", "/timeout", delivery(1))
            until(lambda: receiver.counts().requests == 5, "it has not arrived")
            assert status(receiver, "/hook", delivery(1)) == 200  # it is answered later, and first
            connection.sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.sock.recv(1)
        assert (receiver.counts().records, receiver.counts().refused) == (3, 3)
    saved = rows(tmp_path, 'SELECT path, status, "offset" FROM requests JOIN records ON request = id ORDER BY id')
    assert saved == [
        ("/limit", 200, 0),
        ("/limit", 429, 1),
        ("/error", 503, 1),
        ("/slow", 200, 1),
        ("/timeout", 0, 1),
        ("/hook", 200, 1),
    ]


def test_all_processes_fail_the_same_requests(tmp_path: Path) -> None:
    with receiving(tmp_path, Fault(kind="error", share=0.5), processes=2) as receiver:
        receiver.begin(time.time_ns())
        offsets, failed = range(10), []
        for _ in range(3):  # each on a connection of its own, at one process or the other
            answers = [status(receiver, "/hook", delivery(offset), {"webhook-attempt": "1"}) for offset in offsets]
            failed.append([offset for offset, answer in zip(offsets, answers, strict=True) if answer == 500])
    assert failed[0]
    assert failed == [failed[0]] * 3
    assert all(count for (count,) in rows(tmp_path, "SELECT count(*) FROM requests"))  # both processes had some of them


def test_what_a_killed_process_had_written_is_kept_and_its_end_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReceiverFailedError, match=r"process \d+ ended with exit code 137"):  # noqa: SIM117, PT012
        with receiving(tmp_path) as receiver:
            assert status(receiver, "/hook", delivery(1)) == 200
            until(lambda: receiver.counts().waiting == 0, "it is not written")
            os.kill(receiver._children[0].child.pid, signal.SIGKILL)
            receiver._children[0].child.wait()
            receiver.counts()
    assert rows(tmp_path, 'SELECT "offset" FROM records') == [(1,)]


def test_it_ends_with_one_line_when_it_cannot_write(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        child = receiver._children[0].child
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))  # bytes in a file
        assert status(receiver, "/hook", delivery(1, "x" * 200_000)) == 200
        until(lambda: child.exit_code is not None, "it goes on")
        assert child.exit_code == 1
        with pytest.raises(ConnectionRefusedError):
            status(receiver, "/hook", delivery(2))
        with pytest.raises(ReceiverFailedError) as failed:
            receiver.counts()
        with pytest.raises(ReceiverFailedError):
            receiver.stop()
    line = str(failed.value)
    assert line.startswith(f"cannot write {tmp_path.resolve()}/received-0.sqlite: ")
    assert line.endswith("; 1 requests that were received before are not in it")
    assert "\n" not in line
    assert rows(tmp_path, "SELECT count(*) FROM requests") == [(0,)]


def test_port_that_is_taken_is_refused_also_by_another_receiver(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(ReceiverFailedError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            ReceiverProcesses(
                folder=RunFolder(tmp_path), processes=1, faults=[], seed=1, secrets={}, keep_values=True, port=port
            )


def test_it_may_have_as_many_connections_as_the_system_allows(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    try:
        with receiving(tmp_path) as receiver:
            soft, hard = resource.prlimit(receiver._children[0].child.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft == hard or soft >= 1 << 20


def test_headroom_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    assert headroom.measure(tmp_path, batch=10, payload_bytes=100, processes=1, measured_s=0.5) > 0
    assert list(tmp_path.iterdir()) == []
