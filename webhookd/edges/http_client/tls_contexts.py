"""The TLS contexts of subscriptions that have options of their own, built once for equal options."""

import contextlib
import os
import ssl
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from webhookd.edges.http_client.tls import TlsContext, client_context
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.tls_options import FIELD, confirm_verify
from webhookd.flow.destination import Tls
from webhookd.settings import Settings

CONTEXTS_KEPT = 128
"""At most, of those that nothing uses; the one that was not used for longest is dropped. With the 144 authorities of
Debian 12 each has 0.82 MB (OpenSSL 3.0), so 105 MB together. Without verification it needs none of them."""


class TlsContexts:
    """The contexts of one process; any thread. Building one reads files and takes some 20 ms: not on the loop's thread.

    Connections are pooled and sessions resumed by context, so subscriptions with other options share neither. A context
    with an open connection is in memory anyway: it is found as long as that, however many others there are, and the
    next request uses the connection.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: OrderedDict[Tls, TlsContext] = OrderedDict()
        self._in_use: WeakValueDictionary[Tls, TlsContext] = WeakValueDictionary()

    def get(self, tls: Tls) -> TlsContext:
        """Return the context for these options. Raises InvalidInput if they cannot be used or are not allowed."""
        with self._lock:
            found = self._in_use.get(tls)
            if found is not None:
                return self._keep(tls, found)
        confirm_usable(self._settings, tls)
        built = TlsContext(self._build(tls))
        with self._lock:
            return self._keep(tls, self._in_use.setdefault(tls, built))  # another thread may have been faster

    def _keep(self, tls: Tls, context: TlsContext) -> TlsContext:
        self._kept[tls] = context
        self._kept.move_to_end(tls)
        if len(self._kept) > CONTEXTS_KEPT:
            self._kept.popitem(last=False)
        return context

    def _build(self, tls: Tls) -> ssl.SSLContext:
        settings = self._settings
        own = bool(tls.client_certificate)
        context = client_context(
            settings.egress_ca_file if tls.verify else None,
            None if own else settings.egress_client_cert_file,
            None if own else settings.egress_client_key_file,
            verify=tls.verify,
        )
        apply_options(context, tls)
        return context


def confirm_usable(settings: Settings, tls: Tls) -> None:
    """Raise InvalidInput, which names the field, if OpenSSL cannot use the options or the settings do not allow them.

    It reads no files and connects to nothing.
    """
    confirm_verify(tls, skip_allowed=settings.egress_tls_skip_verify == "allowed")
    apply_options(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def apply_options(context: ssl.SSLContext, tls: Tls) -> None:
    """Trust more authorities, show the certificate, or verify nothing. Raises InvalidInput with the field."""
    if tls.ca_certificates:
        with _errors_naming("ca_certificates"):
            context.load_verify_locations(cadata=tls.ca_certificates)
    if tls.client_certificate:
        with _errors_naming("client_key"), _unnamed_file(f"{tls.client_certificate}\n{tls.client_key}\n") as file:
            context.load_cert_chain(file, password=_no_password)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE


@contextlib.contextmanager
def _unnamed_file(text: str) -> Iterator[Path]:
    """A path that OpenSSL can read this text from. The key in it touches no disk where the system has memory files."""
    if hasattr(os, "memfd_create") and Path("/dev/fd").is_dir():
        with os.fdopen(os.memfd_create("tls"), "w") as memory:
            memory.write(text)
            memory.flush()
            yield Path(f"/dev/fd/{memory.fileno()}")
        return
    with tempfile.NamedTemporaryFile("w") as file:  # mode 0600, removed at once
        file.write(text)
        file.flush()
        yield Path(file.name)


def _no_password() -> str:
    raise ssl.SSLError("it is encrypted")  # otherwise OpenSSL would prompt on the terminal


@contextlib.contextmanager
def _errors_naming(name: str) -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, ValueError) as error:
        raise InvalidInput(f"cannot be used by OpenSSL: {error}", field=f"{FIELD}.{name}") from error
