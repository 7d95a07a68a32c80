"""The request for an access token, and what the token endpoint's answer means."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import pytest

from webhookd.flow.attempt.access_token import (
    DEFAULT_LIFETIME_S,
    LONGEST_LIFETIME_S,
    AccessToken,
    read_token,
    token_request,
    without_token,
)
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.target import Target
from webhookd.flow.destination import ClientAuthentication, ClientCredentials

NOW, ELAPSED_S, WALL = 1000.0, 2.0, 1_700_000_000.0
URL = "https://login.example.com/token?tenant=a"
SECRET = "s3cret/+ %&"
BEARER = {"access_token": "abc.def", "token_type": "Bearer", "expires_in": 3600}


def credentials(**changes: Any) -> ClientCredentials:  # noqa: ANN401  # whatever the credentials take
    return ClientCredentials(**({"token_url": URL, "client_id": "an id", "client_secret": SECRET} | changes))


def request_of(**changes: Any) -> tuple[list[str], dict[str, str]]:  # noqa: ANN401
    head, _, body = token_request(credentials(**changes), Target.parse(URL)).decode().partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    return head.split("\r\n"), dict(parse_qsl(body, strict_parsing=True))


def answer(body: object, status: int = 200, head: bytes = b"HTTP/1.1 200 OK") -> Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, head=head, body=sent, elapsed_s=ELAPSED_S)


def granted(body: object) -> AccessToken:
    found = read_token(answer(body), NOW, WALL)
    assert isinstance(found, AccessToken), found
    return found


def refused(outcome: Outcome) -> Failure:
    found = read_token(outcome, NOW, WALL)
    assert isinstance(found, Failure), found
    return found


def test_request_shows_the_client_in_the_header() -> None:
    head, form = request_of(scope="read write", audience="https://api.example.com")
    assert head[0] == "POST /token?tenant=a HTTP/1.1"
    assert {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json"} <= set(head)
    (login,) = [line.removeprefix("Authorization: Basic ") for line in head if line.startswith("Authorization")]
    client, _, secret = base64.b64decode(login).decode().partition(":")
    assert (client, unquote_plus(client), unquote_plus(secret)) == ("an+id", "an id", SECRET)
    assert form == {
        "grant_type": "client_credentials",
        "scope": "read write",
        "audience": "https://api.example.com",
    }


def test_request_shows_the_client_in_the_body_if_asked_to() -> None:
    head, form = request_of(client_authentication=ClientAuthentication.POST)
    assert not [line for line in head if line.startswith("Authorization")]
    assert form == {"grant_type": "client_credentials", "client_id": "an id", "client_secret": SECRET}


@pytest.mark.parametrize(
    ("expires_in", "renewed_after_s", "used_for_s"),
    [
        (3600, 3540.0, 3590.0),
        ("3600", 3540.0, 3590.0),
        (20, 15.0, 18.0),
        (None, DEFAULT_LIFETIME_S - 60.0, DEFAULT_LIFETIME_S - 10.0),
        (10**9, LONGEST_LIFETIME_S - 60.0, LONGEST_LIFETIME_S - 10.0),
    ],
)
def test_token_is_renewed_before_its_end(expires_in: object, renewed_after_s: float, used_for_s: float) -> None:
    token = granted(BEARER | {"expires_in": expires_in})
    asked_at = NOW - ELAPSED_S
    assert token.line == b"Authorization: Bearer abc.def\r\n"
    assert (token.renew_at, token.expires_at) == (asked_at + renewed_after_s, asked_at + used_for_s)


def test_lifetime_and_type_may_be_missing() -> None:
    assert granted({"access_token": "abc"}).renew_at == NOW - ELAPSED_S + DEFAULT_LIFETIME_S - 60.0
    assert granted(BEARER | {"token_type": "bearer", "more": [{}]}).line == b"Authorization: Bearer abc.def\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[" * 60_000,
        b'{"access_token":' + b"[" * 60_000,
        b"null",
        [],
        {},
        {"access_token": ""},
        {"access_token": None},
        BEARER | {"access_token": 7},
        BEARER | {"access_token": "a b"},
        BEARER | {"access_token": "a\r\nX: y"},
        BEARER | {"access_token": "\u00e4"},
        BEARER | {"token_type": "DPoP"},
        BEARER | {"expires_in": 0},
        BEARER | {"expires_in": -1},
        BEARER | {"expires_in": "soon"},
        BEARER | {"expires_in": "nan"},
        BEARER | {"expires_in": True},
        BEARER | {"expires_in": 10**400},
    ],
)
def test_rubbish_is_malformed(body: object) -> None:
    assert refused(answer(body)).code is FailureCode.TOKEN_MALFORMED


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *[(status, FailureCode.TOKEN_REFUSED) for status in (301, 302, 307, 400, 401, 403, 404, 410)],
        *[(status, FailureCode.TOKEN_UNAVAILABLE) for status in (408, 425, 429, 500, 503, 599)],
    ],
)
def test_status_decides_whose_fault_it_is(status: int, code: FailureCode) -> None:
    assert refused(answer({"error": "invalid_client", "error_description": SECRET}, status)) == Failure(
        code=code,
        detail=f"the token endpoint answered {status} (invalid_client)",
        elapsed_s=ELAPSED_S,
        sent=False,
    )


@pytest.mark.parametrize("body", [{"error": SECRET}, {"error": 7}, b"[" * 60_000, b"invalid_client", {}])
def test_refusal_shows_nothing_but_known_errors(body: object) -> None:
    assert refused(answer(body, 401)).detail == "the token endpoint answered 401"


def test_wait_that_the_token_endpoint_asks_for_is_kept() -> None:
    head = b"HTTP/1.1 503 Busy\r\nRetry-After: 40"
    assert refused(answer(b"", 503, head)).retry_after_s == 40.0


@pytest.mark.parametrize(
    ("found", "code", "detail"),
    [
        (FailureCode.TIMEOUT, FailureCode.TOKEN_UNAVAILABLE, "the token endpoint: timeout: why"),
        (FailureCode.TLS_FAILED, FailureCode.TOKEN_UNAVAILABLE, "the token endpoint: tls_failed: why"),
        (FailureCode.ADDRESS_REFUSED, FailureCode.TOKEN_NOT_ALLOWED, "the token endpoint: address_refused: why"),
        (FailureCode.SHUTDOWN, FailureCode.SHUTDOWN, "why"),
    ],
)
def test_no_answer_has_the_code_of_its_cause(found: FailureCode, code: FailureCode, detail: str) -> None:
    failure = refused(Failure(code=found, detail="why", elapsed_s=ELAPSED_S, sent=True))
    assert (failure.code, failure.detail) == (code, detail)


def test_token_has_no_repr() -> None:
    assert "abc" not in repr(granted(BEARER))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"nothing", b"nothing"),
        (b"a 0123456789abcdef b 0123456789abcdef", b"a **** b ****"),
        (b"cut off: 0123456789", b"cut off: ****"),
        (b"another one: 01234567xyz", b"another one: 01234567xyz"),
    ],
)
def test_token_that_the_endpoint_repeats_is_masked(text: bytes, shown: bytes) -> None:
    line = granted(BEARER | {"access_token": "0123456789abcdef"}).line
    masked = without_token(answer(text, head=b"HTTP/1.1 200 OK\r\nX: " + text), line)
    assert (masked.body, masked.head) == (shown, b"HTTP/1.1 200 OK\r\nX: " + shown)


def test_token_in_a_compressed_answer_is_masked() -> None:
    line = granted(BEARER | {"access_token": "0123456789abcdef"}).line
    compressed = answer(gzip.compress(b"a 0123456789abcdef"), head=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX: y")
    masked = without_token(compressed, line)
    assert (masked.body, masked.head) == (b"a ****", b"HTTP/1.1 200 OK\r\nX: y")
