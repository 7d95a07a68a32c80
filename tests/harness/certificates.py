"""Certificates and keys as PEM texts, of an authority that was made for this run."""

import ssl
from datetime import UTC, datetime

import trustme

from webhookd.flow.destination import Tls


class Certificates:
    """An authority, and what it has issued."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self.authority = self._authority.cert_pem.bytes().decode()

    def server_context(self, *names: str, until: float | None = None) -> ssl.SSLContext:
        """A server's context with a certificate for these names; `until` is when it expires."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew(context, *names, until=until)
        return context

    def renew(self, context: ssl.SSLContext, *names: str, until: float | None = None) -> None:
        """Give a server's context another certificate, as a server does without a restart: its tickets stay valid."""
        self._authority.issue_cert(*names, not_after=_moment(until)).configure_cert(context)

    def identity(self, name: str = "client.test", *, until: float | None = None) -> Tls:
        """The options with a client's certificate, its chain, and its key; `until` is when the certificate expires."""
        issued = self._authority.issue_cert(name, not_after=_moment(until))
        return Tls(
            client_certificate="".join(pem.bytes().decode() for pem in issued.cert_chain_pems),
            client_key=issued.private_key_pem.bytes().decode(),
        )


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
