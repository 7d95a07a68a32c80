"""Credentials of an endpoint: what they may be, and the headers that are the same for each request."""

import base64
from collections.abc import Callable

import pytest

from webhookd.errors import InvalidInput
from webhookd.flow.attempt import authentication
from webhookd.flow.destination import Basic, ClientCredentials, Destination

URL = "https://example.com/hook"
OWN = (("X-Api-Key", "secret"),)


def test_basic_is_a_header_in_utf_8() -> None:
    destination = Destination(url=URL, headers=OWN, authentication=Basic(username="jürgen", password="pa:ß"))
    *own, (name, value) = authentication.constant_headers(destination)
    assert (tuple(own), name, value[:6]) == (OWN, "Authorization", "Basic ")
    assert base64.b64decode(value[6:]).decode() == "jürgen:pa:ß"
    assert authentication.token_target(destination) is None


def test_tokens_are_no_constant_header() -> None:
    credentials = ClientCredentials(token_url="http://login.example.com:81/t", client_id="a", client_secret="b")
    destination = Destination(url=URL, headers=OWN, authentication=credentials)
    assert authentication.constant_headers(destination) == OWN
    target = authentication.token_target(destination)
    assert target is not None
    assert (target.tls, target.host, target.port, target.path) == (False, "login.example.com", 81, "/t")


def test_neither_shows_its_secret() -> None:
    credentials = ClientCredentials(token_url=URL, client_id="a", client_secret="s3cret")
    assert "s3cret" not in repr(credentials) + repr(Basic(username="a", password="s3cret"))


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (authentication.check_username, "a:b"),
        (authentication.check_username, "a\nb"),
        (authentication.check_password, "s3cret\r"),
        (authentication.check_password, "s3cret\ud83d"),
        (authentication.check_client_text, "s3cret\u00e4"),
        (authentication.check_client_text, ""),
        (authentication.check_scope, "a  b"),
        (authentication.check_scope, " a"),
        (authentication.check_scope, 'a"b'),
        (authentication.check_scope, "a\\b"),
    ],
)
def test_what_cannot_be_sent_is_refused_unseen(check: Callable[[str], None], value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check(value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (authentication.check_username, "jürgen@example.com"),
        (authentication.check_password, ""),
        (authentication.check_password, "a:b 😀"),
        (authentication.check_client_text, "a b~!"),
        (authentication.check_scope, ""),
        (authentication.check_scope, "https://a/.default read:all"),
    ],
)
def test_what_can_be_sent_is_accepted(check: Callable[[str], None], value: str) -> None:
    check(value)
