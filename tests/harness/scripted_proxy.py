"""An egress proxy that records requests, answers with given bytes, and connects to ports of this machine."""

import re

from tests.harness.hostile_server import HostileServer, Peer

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_OPENING = re.compile(rb"(?:HTTP/1\.1 100 Continue\r\n\r\n)?HTTP/1\.[01] 2[0-9]{2}")


class ScriptedProxy:
    """A proxy as a script: it answers every CONNECT with the same bytes, and relays bytes after a 2xx."""

    def __init__(self, answer: bytes = CONNECTED, *, slices: bool = False) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._slices = slices

    def __call__(self, peer: Peer) -> None:
        """Serve one connection. The request must be a CONNECT with a port."""
        head = peer.request_head()
        if not head:
            return
        self.requests.append(head)
        found = re.match(rb"CONNECT \S+:(\d+) HTTP/1\.1\r\n", head)
        assert found, head
        if self._slices:
            peer.drip(self._answer)
        else:
            peer.send(self._answer)
        if _OPENING.match(self._answer):
            peer.relay(int(found[1]))


def url(proxy: HostileServer, login: str = "") -> str:
    """The URL of this proxy for the setting."""
    return f"http://{login}{'@' if login else ''}127.0.0.1:{proxy.port}"
