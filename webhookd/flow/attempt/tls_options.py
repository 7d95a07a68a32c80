"""What a subscription may bring for TLS: certificates and a key as PEM texts, and whether it may go without checks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from webhookd.errors import InvalidInput
from webhookd.flow.destination import Sealed, Tls

FIELD: Final = "destination.webhook.tls"

OPERATORS: Final = Tls()
"""The options of a subscription that has none of its own."""

SETTING: Final = "WEBHOOKD_EGRESS_TLS_SKIP_VERIFY"

Read = TypeVar("Read")


def without_sealed_key(tls: Tls) -> Tls:
    """The options without a client certificate whose key is encrypted: only a worker can use it."""
    return replace(tls, client_certificate="", client_key="") if isinstance(tls.client_key, Sealed) else tls


def confirm_verify(tls: Tls, *, skip_allowed: bool) -> None:
    """Raise InvalidInput if the endpoint's certificate is not to be verified and the operator does not allow that."""
    if not tls.verify and not skip_allowed:
        raise InvalidInput(
            f"is no, which this installation does not allow ({SETTING}): give the endpoint's authority in "
            "ca_certificates",
            field=f"{FIELD}.verify",
        )


def check_tls(tls: Tls, now: float) -> None:
    """Raise InvalidInput, which names the field, for options that cannot be used at `now`, in seconds since the epoch.

    Certificates must be readable and not expired, and the key must be the one of the client certificate, which comes
    first in its text, with the chain behind it. No error has a part of the key.
    """
    if tls.ca_certificates:
        _confirm_valid(_certificates(tls.ca_certificates, "ca_certificates"), now, "ca_certificates")
    if bool(tls.client_certificate) != bool(tls.client_key):
        name, other = ("client_key", "client_certificate")[:: 1 if tls.client_certificate else -1]
        raise InvalidInput(f"is missing: {other} needs it", field=f"{FIELD}.{name}")
    if tls.client_certificate:
        chain = _certificates(tls.client_certificate, "client_certificate")
        _confirm_valid(chain[:1], now, "client_certificate")
        _confirm_key(tls.client_key, chain[0])


def _certificates(text: str, name: str) -> Sequence[Certificate]:
    if "PRIVATE KEY" in text:  # it would be shown in responses
        raise InvalidInput("has a private key: write it into client_key alone", field=f"{FIELD}.{name}")
    return _read(lambda: load_pem_x509_certificates(text.encode()), name, "is not a list of certificates in PEM format")


def _confirm_valid(certificates: Sequence[Certificate], now: float, name: str) -> None:
    """A bundle of authorities may have old ones, if there is one that has not expired."""
    last = max(certificate.not_valid_after_utc for certificate in certificates)
    if last.timestamp() <= now:
        raise InvalidInput(f"has expired at {last:%Y-%m-%d %H:%M} UTC", field=f"{FIELD}.{name}")


def _confirm_key(text: str, certificate: Certificate) -> None:
    wrong = "is not an unencrypted private key in PEM format"
    key = _read(lambda: load_pem_private_key(text.encode(), None), "client_key", wrong)
    if _as_bytes(key.public_key()) != _as_bytes(certificate.public_key()):
        raise InvalidInput("is not the key of client_certificate", field=f"{FIELD}.client_key")


def _as_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(read: Callable[[], Read], name: str, wrong: str) -> Read:
    try:
        return read()
    except Exception as error:  # cryptography raises ValueError, TypeError (encrypted) and errors of its own
        raise InvalidInput(wrong, field=f"{FIELD}.{name}") from error
