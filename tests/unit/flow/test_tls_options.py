"""What a subscription may bring for TLS, and what each refusal names."""

import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.harness.certificates import Certificates
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.tls_options import OPERATORS, check_tls, confirm_verify
from webhookd.flow.destination import Tls

NOW = time.time()  # certificates are made for the real time
MADE = Certificates()
GOOD = replace(MADE.identity(), ca_certificates=MADE.authority)
OTHER = MADE.identity("other.test")
EXPIRED = MADE.identity(until=NOW - 60)


def encrypted(pem: str) -> str:
    key = load_pem_private_key(pem.encode(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()


@pytest.mark.parametrize("tls", [OPERATORS, GOOD, Tls(ca_certificates=MADE.authority), OTHER, Tls(verify=False)])
def test_usable_options_are_accepted(tls: Tls) -> None:
    check_tls(tls, NOW)


@pytest.mark.parametrize(
    ("tls", "field", "reason"),
    [
        (replace(GOOD, ca_certificates="abc"), "ca_certificates", "is not a list of certificates"),
        (replace(GOOD, ca_certificates=GOOD.client_key), "ca_certificates", "has a private key"),
        (replace(GOOD, client_key=""), "client_key", "is missing: client_certificate needs it"),
        (replace(GOOD, client_certificate=""), "client_certificate", "is missing: client_key needs it"),
        (replace(GOOD, client_certificate="abc"), "client_certificate", "is not a list of certificates"),
        (
            replace(GOOD, client_certificate=GOOD.client_certificate + GOOD.client_key),
            "client_certificate",
            "has a private key",
        ),
        (replace(GOOD, client_key="abc"), "client_key", "is not an unencrypted private key"),
        (replace(GOOD, client_key=encrypted(GOOD.client_key)), "client_key", "is not an unencrypted private key"),
        (replace(GOOD, client_key=OTHER.client_key), "client_key", "is not the key of client_certificate"),
        (EXPIRED, "client_certificate", "has expired at "),
    ],
)
def test_unusable_options_name_the_field(tls: Tls, field: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as raised:
        check_tls(tls, NOW)
    assert raised.value.field == f"destination.webhook.tls.{field}"
    assert "PRIVATE" not in str(raised.value)


def test_authorities_may_not_all_have_expired() -> None:
    old = EXPIRED.client_certificate.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    check_tls(Tls(ca_certificates=old + MADE.authority), NOW)
    with pytest.raises(InvalidInput, match="has expired at"):
        check_tls(Tls(ca_certificates=old), NOW)


def test_verification_is_left_out_only_where_it_is_allowed() -> None:
    confirm_verify(Tls(verify=False), skip_allowed=True)
    confirm_verify(GOOD, skip_allowed=False)
    with pytest.raises(InvalidInput, match="WEBHOOKD_EGRESS_TLS_SKIP_VERIFY"):
        confirm_verify(Tls(verify=False), skip_allowed=False)


def test_no_representation_shows_the_key() -> None:
    assert GOOD.client_key not in repr(GOOD)
    assert "PRIVATE" not in repr(GOOD)
