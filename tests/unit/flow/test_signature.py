"""Signatures of requests, and the secrets that make them.

Oracles: the test vector of Standard Webhooks' own libraries, the official `standardwebhooks` library, Python's `hmac`,
and `cryptography` for the verification of Ed25519.
"""

import base64
import hmac
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, strategies
from standardwebhooks import Webhook

from tests.harness.subscriptions import SECRET
from webhookd.errors import Conflict, InvalidInput
from webhookd.flow.attempt.signature import (
    OVERLAP_S,
    SECRETS_MOST,
    Signer,
    SigningKind,
    kind_of,
    kind_of_secret,
    new_secret,
    parse_secret,
    public_key,
    rotated,
    signer_of,
    still_valid,
)
from webhookd.flow.destination import SigningSecret

OTHER = new_secret(SigningKind.HMAC_SHA256, b"b" * 32)
SEED = new_secret(SigningKind.ED25519, bytes(range(32)))
NOW = 1_800_000_000.75
DAY_S = 86_400.0


def signer(*secrets: str) -> Signer:
    return Signer([SigningSecret(secret=secret) for secret in secrets])


def verified(public: str, signature: bytes, content: bytes) -> bool:
    """Whether a `v1a` signature is that of the public key, as a receiver finds it out."""
    version, _, value = signature.partition(b",")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    try:
        key.verify(base64.b64decode(value), content)
    except InvalidSignature:
        return False
    return version == b"v1a"


def test_signature_is_that_of_the_published_example() -> None:
    found = signer(SECRET).signature(b"msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(key=strategies.binary(min_size=24, max_size=64), body=strategies.text(max_size=2000))
def test_official_library_accepts_the_signature(key: bytes, body: str) -> None:
    secret, at = new_secret(SigningKind.HMAC_SHA256, key), time.time()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signer(secret).signature(b"msg_1", at, body.encode()).decode(),
    }
    Webhook(secret).verify(body.encode(), headers, json_parse=False)


@given(key=strategies.binary(min_size=24, max_size=64), body=strategies.binary(max_size=300))
def test_signature_is_hmac_of_any_bytes(key: bytes, body: bytes) -> None:
    expected = base64.b64encode(hmac.digest(key, b"msg_1.1800000000." + body, "sha256"))
    assert signer(new_secret(SigningKind.HMAC_SHA256, key)).signature(b"msg_1", NOW, body) == b"v1," + expected


def test_public_key_verifies_what_the_private_key_signed() -> None:
    signature, public = signer(SEED).signature(b"msg_1", NOW, b"body"), public_key(SEED) or ""
    assert public.startswith("whpk_")
    assert verified(public, signature, b"msg_1.1800000000.body")
    assert not verified(public, signature, b"msg_1.1800000001.body")
    assert not verified(
        public_key(new_secret(SigningKind.ED25519, b"x" * 32)) or "", signature, b"msg_1.1800000000.body"
    )


def test_public_key_is_that_of_rfc_8032() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert public_key(new_secret(SigningKind.ED25519, seed)) == "whpk_" + base64.b64encode(public).decode()
    assert public_key(SECRET) is None


def test_secrets_sign_side_by_side_until_they_expire() -> None:
    both = Signer([SigningSecret(secret=SEED), SigningSecret(secret=SECRET, expires_at=NOW + 60)])
    new, old = (signer(secret).signature(b"m", NOW + 59, b"x") for secret in (SEED, SECRET))
    assert both.signature(b"m", NOW + 59, b"x") == new + b" " + old
    assert both.signature(b"m", NOW + 60, b"x") == signer(SEED).signature(b"m", NOW + 60, b"x")


def test_destination_without_secrets_has_no_signer() -> None:
    assert (signer_of(()), kind_of(())) == (None, SigningKind.NONE)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("", "begins with neither"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with neither"),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with neither"),
        ("whsec_", "has 0 bytes: write whsec_ and the base64 of 24 to 64 bytes"),
        (new_secret(SigningKind.HMAC_SHA256, b"k" * 23), "has 23 bytes"),
        (new_secret(SigningKind.HMAC_SHA256, b"k" * 65), "has 65 bytes"),
        (new_secret(SigningKind.ED25519, b"k" * 31), "has 31 bytes: write whsk_ and the base64 of 32 bytes"),
        (new_secret(SigningKind.ED25519, b"k" * 64), "has 64 bytes"),
        (SECRET + "\n", "something else than base64"),
        (SECRET[:-1], "something else than base64"),
        (SECRET.replace("9", "-"), "something else than base64"),
        (SECRET + "ü", "something else than base64"),
    ],
)
def test_unusable_secret_is_refused_without_showing_it(secret: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_secret(secret)
    assert reason in str(refused.value)
    assert "MfKQ" not in str(refused.value)


@pytest.mark.parametrize(("kind", "count"), [("hmac_sha256", 24), ("hmac_sha256", 64), ("ed25519", 32)])
def test_secret_of_a_usual_length_is_accepted(kind: str, count: int) -> None:
    secret = new_secret(SigningKind(kind), b"k" * count)
    assert (parse_secret(secret), kind_of_secret(secret)) == (b"k" * count, kind)


def test_rotation_ends_the_current_secret_after_the_overlap() -> None:
    first = (SigningSecret(secret=SECRET),)
    second = rotated(first, OTHER, overlap_s=OVERLAP_S, now=NOW)
    assert second == (SigningSecret(secret=OTHER), SigningSecret(secret=SECRET, expires_at=NOW + DAY_S))
    third = rotated(second, SEED, overlap_s=60, now=NOW + 1)
    assert [one.expires_at for one in third] == [None, NOW + 61, NOW + DAY_S]
    assert [one.secret for one in still_valid(third, NOW + 61)] == [SEED, SECRET]
    assert [one.secret for one in rotated(third, SECRET, overlap_s=60, now=NOW + 2 * DAY_S)] == [SECRET, SEED]


def test_rotation_without_overlap_leaves_one_secret() -> None:
    signing = rotated(
        rotated((SigningSecret(secret=SECRET),), OTHER, overlap_s=60, now=NOW), SEED, overlap_s=0, now=NOW
    )
    assert signing == (SigningSecret(secret=SEED),)


def test_rotation_to_a_secret_that_signs_is_refused() -> None:
    signing = rotated((SigningSecret(secret=SECRET),), OTHER, overlap_s=60, now=NOW)
    for secret in (SECRET, OTHER):
        with pytest.raises(Conflict, match="signs already"):
            rotated(signing, secret, overlap_s=60, now=NOW + 59)


def test_number_of_secrets_is_bounded() -> None:
    signing: tuple[SigningSecret, ...] = (SigningSecret(secret=SECRET),)
    for number in range(1, SECRETS_MOST):
        signing = rotated(signing, new_secret(SigningKind.HMAC_SHA256, bytes([number]) * 32), overlap_s=60, now=NOW)
    assert len(signing) == SECRETS_MOST
    with pytest.raises(Conflict, match="overlap_seconds 0"):
        rotated(signing, OTHER, overlap_s=60, now=NOW)
    assert len(rotated(signing, OTHER, overlap_s=0, now=NOW)) == 1
    assert len(rotated(signing, OTHER, overlap_s=60, now=NOW + 60)) == 2


def test_secrets_are_not_in_the_representation() -> None:
    assert "MfKQ" not in repr(SigningSecret(secret=SECRET))
    assert "MfKQ" not in repr(signer(SECRET))
