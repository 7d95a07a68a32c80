"""Whom a TLS connection trusts, and what is remembered of those it trusted."""

import socket
import ssl
from pathlib import Path

import certifi

from webhookd.edges.exchange.limits import Origin

_SESSIONS_KEPT = 1024  # some 2 kB each


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies certificate and host name against the system's authorities and those in `ca_file`.

    Where the system keeps no authorities, certifi's are taken. TLS 1.2 at least; no renegotiation, which would make
    a write wait for a read. Reads files: make it once. Raises OSError or `ssl.SSLError` for an unusable `ca_file`.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


class Trust:
    """Puts TLS on connected sockets, and keeps each origin's latest session so that the next handshake is short.

    A session stands for a certificate that was verified for this very origin; servers let it expire.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._sessions: dict[Origin, ssl.SSLSession] = {}

    def secured(self, sock: socket.socket, origin: Origin) -> ssl.SSLSocket:
        """The socket with TLS on it, the handshake still to be done; host name and SNI are the origin's."""
        return self._context.wrap_socket(
            sock,
            server_hostname=origin[1].removesuffix("."),
            do_handshake_on_connect=False,
            session=self._sessions.pop(origin, None),  # used once, so that a bad one fails once
        )

    def remember(self, sock: ssl.SSLSocket, origin: Origin) -> None:
        """Keep the session; to be called after a response, since TLS 1.3 hands out tickets after the handshake."""
        session = sock.session
        if session is None or not session.has_ticket:
            return
        if len(self._sessions) >= _SESSIONS_KEPT:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[origin] = session
