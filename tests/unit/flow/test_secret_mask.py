"""What an endpoint repeats of a subscription's secrets is masked.

Oracle: the values that each test plants.
"""

import json
from urllib.parse import quote

import pytest

from webhookd.flow.attempt.secret_mask import SecretMask
from webhookd.flow.destination import Basic, ClientCredentials, Destination, SigningSecret, Tls

TOKEN = "canary-token-7f3a"
QUOTED = 'with "quotes" / and ümlauts'

DESTINATION = Destination(
    url="https://example.com/hook",
    headers=(("Authorization", f"Bearer {TOKEN}"), ("X-Quoted", QUOTED), ("X-Short", "short")),
    signing=(SigningSecret(secret="whsec_canary-signing"),),
    authentication=Basic(username="shop", password="canary-password"),
    tls=Tls(client_key="-----BEGIN PRIVATE KEY-----\ncanary-key\n-----END PRIVATE KEY-----\n"),
)


@pytest.mark.parametrize(
    "echoed",
    [
        f"Bearer {TOKEN}",
        TOKEN,
        QUOTED,
        json.dumps(QUOTED),
        quote(QUOTED, safe=""),
        "whsec_canary-signing",
        "canary-signing",
        "canary-password",
        "c2hvcDpjYW5hcnktcGFzc3dvcmQ=",
        json.dumps(DESTINATION.tls.client_key),
    ],
)
def test_repeated_secret_is_masked(echoed: str) -> None:
    masked = SecretMask(DESTINATION).masked(f"you sent {echoed}: refused".encode())
    assert b"****" in masked
    assert masked.startswith(b"you sent ")
    assert masked.endswith(b": refused")
    assert not any(secret in masked for secret in (b"canary", b"mlauts", b"c2hvcDpj"))


def test_header_value_that_was_sent_in_latin_1_is_masked() -> None:
    assert SecretMask(DESTINATION).masked(QUOTED.encode("latin-1")) == b"****"


def test_client_secret_is_masked() -> None:
    credentials = ClientCredentials(token_url="https://example.com", client_id="shop", client_secret="canary-client")
    mask = SecretMask(Destination(url="https://example.com", authentication=credentials))
    assert mask.masked(b"shop canary-client") == b"shop ****"


def test_secret_that_is_cut_off_at_the_end_is_masked() -> None:
    assert SecretMask(DESTINATION).masked(b"token canary-tok") == b"token ****"


def test_password_in_another_alphabet_is_masked_and_nothing_else() -> None:
    password = "канарейка-пароль"
    mask = SecretMask(Destination(url="https://example.com", authentication=Basic(username="u", password=password)))
    assert mask.masked(f"x {password} y".encode()) == b"x **** y"
    assert mask.masked(b"an answer") == b"an answer"


@pytest.mark.parametrize("text", [b"short", b"canary", b"", b"canary-other, token"])
def test_what_is_no_secret_stays(text: bytes) -> None:
    assert SecretMask(DESTINATION).masked(text) == text


def test_public_header_is_not_masked() -> None:
    plain = Destination(url="https://example.com", headers=(("Accept", "application/json"),))
    assert SecretMask(plain).masked(b"Content-Type: application/json") == b"Content-Type: application/json"


def test_no_repr_shows_a_secret() -> None:
    assert "canary" not in repr(SecretMask(DESTINATION)) + repr(DESTINATION)
