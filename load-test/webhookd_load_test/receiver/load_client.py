"""Posts the same delivery again and again, to find out how much the receiver takes; started by headroom.py.

    python -m webhookd_load_test.receiver.load_client PORT BATCH PAYLOAD_BYTES

It prints RUNNING once it has got an answer on each connection, and posts until a signal ends it. It ends with 1 and a
line when an answer is not 200.
"""

import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from webhookd.flow.batching.envelope import Envelope, body
from webhookd_load_test.run_folder.published import HEADER

RUNNING = "running"
PATH = "/headroom"
SECRET = "whsec_aGVhZHJvb20taGVhZHJvb20taGVhZHJvb20="  # noqa: S105 - of the measurement only
CONNECTIONS = 4
"""One request waits on each, so that the receiver always has the next one."""

TIMESTAMP_MS = 1_700_000_000_000
ID = "msg_headroom"


def main() -> None:
    """Post until a signal."""
    port, batch, payload_bytes = map(int, sys.argv[1:])
    request = signed_request(delivery(batch, payload_bytes), int(time.time()))
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _post(connections, request)
    print(RUNNING, flush=True)  # noqa: T201 - its parent waits for this line
    while True:
        _post(connections, request)


def delivery(batch: int, payload_bytes: int) -> bytes:
    """The body of a request as webhookd renders it, with records as `csv-publish` publishes them."""
    value = b'{"text":"%s"}' % (b"x" * max(0, payload_bytes - len('{"text":""}')))
    envelope = Envelope("headroom", 0)
    headers = [(HEADER, b"1000000")]
    return body(
        envelope.render(offset, TIMESTAMP_MS, b"key-%d" % (offset % 100), headers, value) for offset in range(batch)
    )


def signed_request(content: bytes, timestamp_s: int) -> bytes:
    """The whole request, which is valid for five minutes after this time."""
    signature = Webhook(SECRET).sign(ID, datetime.fromtimestamp(timestamp_s, UTC), content.decode())
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        f"webhook-id: {ID}\r\nwebhook-timestamp: {timestamp_s}\r\nwebhook-attempt: 1\r\n"
        f"webhook-signature: {signature}\r\nUser-Agent: webhookd\r\nAccept-Encoding: identity\r\n\r\n"
    )
    return head.encode() + content


def _post(connections: Sequence[socket.socket], request: bytes) -> None:
    """Post on all connections, then wait for all answers."""
    for connection in connections:
        connection.sendall(request)
    for connection in connections:
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):  # it has no body
            piece = connection.recv(4096)
            if not piece:
                sys.exit("the receiver has closed the connection")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"the receiver answered {answer.splitlines()[0].decode()}")


if __name__ == "__main__":
    main()
