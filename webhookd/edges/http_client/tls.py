"""TLS: the client's context, built from the settings, and the sessions that are kept for resumption."""

import socket
import ssl
from pathlib import Path

import certifi

from webhookd.edges.http_client.limits import Origin
from webhookd.edges.tls_files import load_authorities, load_identity
from webhookd.errors import UnusableSetting

_SESSIONS_KEPT = 1024  # about 2 kB each


def client_context(
    ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    """Build a context that verifies certificate and host name against the system's authorities and those in `ca_file`.

    Without `verify` it has no authorities; the caller must switch the verification off, or no handshake succeeds.
    Where the system has no authorities, certifi's are used. TLS 1.2 at least; no renegotiation, which would make a
    write wait for a read. The certificate in `cert_file` is sent to endpoints that request one. Reads files: call it
    once. Raises UnusableSetting, which names the setting of an unusable file.
    """
    context = _with_authorities() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None:
        load_authorities(context, ca_file, "egress_ca_file")
    if cert_file is not None:
        load_identity(
            context,
            cert_file,
            key_file,
            cert_setting="egress_client_cert_file",
            key_setting="egress_client_key_file",
        )
    elif key_file is not None:
        raise UnusableSetting("needs WEBHOOKD_EGRESS_CLIENT_CERT_FILE", setting="egress_client_key_file")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _with_authorities() -> ssl.SSLContext:
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        context.load_verify_locations(certifi.where())
    return context


class TlsContext:
    """Wraps connected sockets in TLS, and keeps each origin's latest session so that the next handshake is short.

    A session belongs to a certificate that was verified for this origin. Servers expire sessions.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._sessions: dict[tuple[bool, str, int], ssl.SSLSession] = {}

    def wrap(self, sock: socket.socket, origin: Origin) -> ssl.SSLSocket:
        """Return the socket wrapped in TLS, before the handshake; host name and SNI are the origin's."""
        return self._context.wrap_socket(
            sock,
            server_hostname=origin[1].removesuffix("."),
            do_handshake_on_connect=False,
            session=self._sessions.pop(origin[:3], None),  # used once, so that an invalid session fails once
        )

    def store_session(self, sock: ssl.SSLSocket, origin: Origin) -> None:
        """Keep the session. Call it after a response: TLS 1.3 sends session tickets after the handshake."""
        session = sock.session
        if session is None or not session.has_ticket:
            return
        if len(self._sessions) >= _SESSIONS_KEPT:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[origin[:3]] = session
