"""API keys: their form, their state at a time, and what revocation and rotation change."""

import hmac
import random
import string
from dataclasses import replace

import pytest

from webhookd.errors import UnusableKey
from webhookd.flow.access import api_key
from webhookd.flow.access.api_key import ApiKey, KeyState, Token, parse, token_of
from webhookd.flow.access.caller import Role

NOW = 1_800_000_000.0
TOKEN = token_of(bytes(range(10)), bytes(range(32)))
KEY = ApiKey(id=TOKEN.public, secret_hash=TOKEN.secret_hash, name="n", role=Role.CLIENT, tenant="t", created_at=NOW)


def test_a_key_is_parsed_as_it_was_made() -> None:
    assert TOKEN.text.startswith("whd_00010203040506070809_000102")
    assert parse(TOKEN.text) == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whd",
        "whd__",
        TOKEN.text[:-1],
        TOKEN.text + "0",
        TOKEN.text + "\n",
        " " + TOKEN.text,
        TOKEN.text.upper(),
        TOKEN.text.replace("whd", "xyz"),
        TOKEN.text.replace("_", "-"),
        TOKEN.text[:-1] + "g",
        TOKEN.text[:-1] + "\u0661",
        "whd_" * 100_000,
        "\x00" * 89,
    ],
)
def test_everything_else_is_no_key(text: str) -> None:
    assert parse(text) is None


def test_rubbish_raises_nothing() -> None:
    letters = random.Random(13)  # noqa: S311  # rubbish, not a secret
    for _ in range(2000):
        text = "".join(letters.choices(string.printable + "\ud800é_whd", k=letters.randrange(120)))
        assert parse(text) is None


@pytest.mark.parametrize(("public", "secret"), [(b"", bytes(32)), (bytes(10), bytes(31))])
def test_a_key_of_fewer_random_bits_is_refused(public: bytes, secret: bytes) -> None:
    with pytest.raises(ValueError, match="random bytes"):
        token_of(public, secret)


def test_a_token_does_not_show_its_secret_by_accident() -> None:
    assert TOKEN.secret not in f"{TOKEN!r} {TOKEN} {[TOKEN]}"


def test_only_the_right_secret_is_the_key() -> None:
    other = Token(TOKEN.public, "0" * 64)
    assert api_key.is_secret_of(TOKEN, KEY)
    assert not api_key.is_secret_of(other, KEY)
    assert not api_key.is_secret_of(TOKEN, None)


@pytest.mark.parametrize("key", [KEY, None, replace(KEY, secret_hash="0" * 64)])
def test_each_check_makes_one_comparison(key: ApiKey | None, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def noted(one: str, two: str) -> bool:
        compared.append(len(two))
        return compare(one, two)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    api_key.is_secret_of(TOKEN, key)
    assert compared == [64]


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (KEY, KeyState.ACTIVE),
        (replace(KEY, expires_at=NOW + 0.001), KeyState.ACTIVE),
        (replace(KEY, expires_at=NOW), KeyState.EXPIRED),
        (replace(KEY, revoked_at=NOW + 60), KeyState.REVOKED),
        (replace(KEY, revoked_at=NOW - 1, expires_at=NOW - 1), KeyState.REVOKED),
    ],
)
def test_state_at_a_time(key: ApiKey, state: KeyState) -> None:
    assert key.state(NOW) is state


def test_a_second_revocation_changes_nothing() -> None:
    once = api_key.revoked(KEY, NOW)
    assert api_key.revoked(once, NOW + 60) == once == replace(KEY, revoked_at=NOW)


@pytest.mark.parametrize(("expires_at", "ends"), [(None, NOW + 3600), (NOW + 60, NOW + 60), (NOW + 86_400, NOW + 3600)])
def test_a_rotated_key_ends_with_the_overlap_at_the_latest(expires_at: float | None, ends: float) -> None:
    old = api_key.rotated(replace(KEY, expires_at=expires_at), "next", overlap_s=3600, now=NOW)
    assert (old.expires_at, old.successor_id) == (ends, "next")


def test_a_rotation_without_overlap_ends_the_old_key_at_once() -> None:
    assert api_key.rotated(KEY, "next", overlap_s=0, now=NOW).state(NOW) is KeyState.EXPIRED


@pytest.mark.parametrize(
    "key", [replace(KEY, expires_at=NOW), replace(KEY, revoked_at=NOW), replace(KEY, successor_id="other")]
)
def test_a_key_that_has_ended_is_not_rotated(key: ApiKey) -> None:
    with pytest.raises(UnusableKey):
        api_key.rotated(key, "next", overlap_s=60, now=NOW)


def test_a_successor_lives_as_long_as_the_key_was_to_live() -> None:
    assert api_key.successor_expiry(replace(KEY, expires_at=NOW + 100), NOW + 90) == NOW + 190
    assert api_key.successor_expiry(KEY, NOW) is None
