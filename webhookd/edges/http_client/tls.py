"""TLS: the client's context, built from the settings, the sessions for resumption, and the expiry of certificates."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import certifi
from cryptography.x509 import InvalidVersion, load_der_x509_certificate

from webhookd.clock import Monotonic, WallClock, monotonic, wall_clock
from webhookd.edges.http_client.limits import Origin
from webhookd.edges.tls_files import load_authorities, load_identity
from webhookd.errors import UnusableSetting
from webhookd.flow.attempt.endpoint_certificate import FULL_HANDSHAKE_AGAIN_S, SeenCertificate, Validity

_SESSIONS_KEPT = 1024  # about 2 kB each
_CERTIFICATES_KEPT = 8192  # about 0.3 kB each
_HAS_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL


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

    A session belongs to a certificate that was verified for this origin. Servers expire sessions. This side resumes
    none for longer than FULL_HANDSHAKE_AGAIN_S: a session resumed again and again would hide a renewed certificate.
    """

    def __init__(self, context: ssl.SSLContext, *, clock: Monotonic = monotonic, wall: WallClock = wall_clock) -> None:
        self._context = context
        self._clock = clock
        self._wall = wall
        self._sessions: dict[tuple[bool, str, int], ssl.SSLSession] = {}
        self._certificates: dict[tuple[bool, str, int], SeenCertificate] = {}

    def wrap(self, sock: socket.socket, origin: Origin) -> ssl.SSLSocket:
        """Return the socket wrapped in TLS, before the handshake; host name and SNI are the origin's."""
        return self._context.wrap_socket(
            sock,
            server_hostname=origin[1].removesuffix("."),
            do_handshake_on_connect=False,
            session=self._take_session(origin),
        )

    def certificate(self, host: str, port: int) -> SeenCertificate | None:
        """The certificate of the latest full handshake with this endpoint; any thread. None before there was one."""
        return self._certificates.get((True, host, port))

    def handshake_finished(self, sock: ssl.SSLSocket, origin: Origin) -> None:
        """Keep the validity of the endpoint's certificate. A resumed session has shown no certificate."""
        if sock.session_reused:
            return
        seen = SeenCertificate(validity=validity_of(sock.getpeercert(binary_form=True)), seen_at=self._clock())
        self._certificates.pop(origin[:3], None)  # so that the oldest one comes first
        if len(self._certificates) >= _CERTIFICATES_KEPT:
            del self._certificates[next(iter(self._certificates))]
        self._certificates[origin[:3]] = seen

    def failure_detail(self, error: ssl.SSLCertVerificationError, origin: Origin) -> str:
        """OpenSSL's reason, and the time of expiry where an earlier handshake has shown the expired certificate.

        After a handshake that failed, OpenSSL gives no access to the certificate.
        """
        seen = self._certificates.get(origin[:3])
        validity = seen.validity if seen is not None else None
        if error.verify_code != _HAS_EXPIRED or validity is None or validity.expires_at > self._wall():
            return error.verify_message
        ended = datetime.fromtimestamp(validity.expires_at, UTC)
        return f"{error.verify_message}: the last one that was accepted ended {ended:%Y-%m-%d %H:%M:%S} UTC"

    def store_session(self, sock: ssl.SSLSocket, origin: Origin) -> None:
        """Keep the session. Call it after a response: TLS 1.3 sends session tickets after the handshake."""
        session = sock.session
        if session is None or not session.has_ticket:
            return
        if len(self._sessions) >= _SESSIONS_KEPT:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[origin[:3]] = session

    def _take_session(self, origin: Origin) -> ssl.SSLSession | None:
        """The session to resume. It is used once, so that an invalid session fails once."""
        session = self._sessions.pop(origin[:3], None)
        seen = self._certificates.get(origin[:3])
        return session if seen is not None and self._clock() < seen.seen_at + FULL_HANDSHAKE_AGAIN_S else None


def validity_of(der: bytes | None) -> Validity | None:
    """The validity of a certificate; None for one that OpenSSL accepts and this parser does not.

    The dictionary that `ssl` makes of a certificate is empty where nothing is verified, so all are read here.
    """
    try:
        read = load_der_x509_certificate(der or b"")
        return Validity(read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp())
    except (ValueError, InvalidVersion):
        return None
