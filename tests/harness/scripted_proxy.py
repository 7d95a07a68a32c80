"""An egress proxy that notes what it is asked, answers as a script says, and connects to ports of this machine."""

import re

from tests.harness.hostile_server import HostileServer, Peer

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_OPENING = re.compile(rb"(?:HTTP/1\.1 100 Continue\r\n\r\n)?HTTP/1\.[01] 2[0-9]{2}")


class ScriptedProxy:
    """The script of a proxy: answers every CONNECT with the same bytes, and passes bytes on behind a 2xx."""

    def __init__(self, answer: bytes = CONNECTED, *, slices: bool = False) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._slices = slices

    def __call__(self, peer: Peer) -> None:
        """Serve one connection. What it is asked must be a CONNECT that names a port."""
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
    """The setting that leads through this proxy."""
    return f"http://{login}{'@' if login else ''}127.0.0.1:{proxy.port}"
