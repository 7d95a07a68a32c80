"""Problem documents: where a wrong value is, the bounds of an answer, and what each exception becomes."""

import json

import pytest
from flask import Flask
from werkzeug.exceptions import ImATeapot, MethodNotAllowed, NotFound

from api.extensions.error_responses import from_http_error, from_webhookd_error
from api.extensions.problem import ERRORS_SHOWN, TEXT_SHOWN, FieldError, Place, Problem
from webhookd.errors import (
    ClusterMismatch,
    InvalidInput,
    LimitReached,
    PreconditionFailed,
    StoreUnavailable,
    TooManyRequests,
    TopicNotAllowed,
    Unauthenticated,
    WebhookdError,
)

FIELD_ERRORS = [
    (FieldError("", "bad"), {"field": "", "pointer": "", "reason": "bad"}),
    (FieldError("source[0].topic", "bad"), {"field": "source[0].topic", "pointer": "/source/0/topic", "reason": "bad"}),
    (FieldError("a.b", "bad", pointer="/a.b"), {"field": "a.b", "pointer": "/a.b", "reason": "bad"}),
    (FieldError("limit", "bad", Place.QUERY), {"field": "limit", "parameter": "limit", "reason": "bad"}),
    (FieldError("If-Match", "bad", Place.HEADER), {"field": "If-Match", "header": "If-Match", "reason": "bad"}),
    (FieldError("a/b~c", "bad"), {"field": "a/b~c", "pointer": "/a~1b~0c", "reason": "bad"}),
    (FieldError("\ud800", "\udfff"), {"field": "?", "pointer": "/?", "reason": "?"}),
]

# error · status · headers · places of its errors
ERRORS: list[tuple[WebhookdError, int, dict[str, str], list[str]]] = [
    (InvalidInput("bad", field="source[0].topic"), 422, {}, ["/source/0/topic"]),
    (TopicNotAllowed(field="source[0].topic"), 403, {}, ["/source/0/topic"]),
    (TopicNotAllowed(), 403, {}, []),
    (LimitReached("100 subscriptions"), 409, {}, []),
    (PreconditionFailed(), 412, {}, ["If-Match"]),
    (Unauthenticated(), 401, {"WWW-Authenticate": 'Bearer realm="webhookd"'}, []),
    (
        Unauthenticated(key_refused=True),
        401,
        {"WWW-Authenticate": 'Bearer realm="webhookd", error="invalid_token"'},
        [],
    ),
    (TooManyRequests(retry_after_s=2.1), 429, {"Retry-After": "3"}, []),
    (TooManyRequests(retry_after_s=0.0), 429, {"Retry-After": "1"}, []),
    (StoreUnavailable("server 10.0.0.7 closed the connection"), 503, {"Retry-After": "1"}, []),
]


@pytest.mark.parametrize(("error", "shown"), FIELD_ERRORS)
def test_an_error_says_where_the_value_was_sent(error: FieldError, shown: dict[str, str]) -> None:
    assert error.document() == shown


@pytest.mark.parametrize(("error", "status", "headers", "places"), ERRORS)
def test_each_exception_has_its_status_and_headers(
    error: WebhookdError, status: int, headers: dict[str, str], places: list[str]
) -> None:
    with Flask("unit").test_request_context("/"):
        problem = from_webhookd_error(error)
    document = problem.document()
    assert (document["status"], document["code"], problem.headers) == (status, error.code, headers)
    assert [one.get("pointer", one.get("header")) for one in document["errors"]] == places
    assert "10.0.0.7" not in document["detail"]


def test_the_ids_of_two_clusters_are_answered() -> None:
    with Flask("unit").test_request_context("/"):
        assert from_webhookd_error(ClusterMismatch("a is not b")).detail == "a is not b"


def test_a_title_is_the_same_for_all_errors_of_a_code() -> None:
    class Special(InvalidInput):
        """Another text."""

    with Flask("unit").test_request_context("/"):
        assert from_webhookd_error(Special("bad")).title == from_webhookd_error(InvalidInput("worse")).title


def test_errors_of_flask_have_codes_too() -> None:
    missing, teapot = from_http_error(NotFound()), from_http_error(ImATeapot())
    assert (missing.code, missing.status, teapot.code, teapot.status) == ("not_found", 404, "error", 418)
    wrong = from_http_error(MethodNotAllowed(["POST", "GET"]))
    assert (wrong.detail, wrong.headers) == ("This path supports only GET, POST.", {"Allow": "GET, POST"})


def test_an_answer_is_bounded() -> None:
    errors = [FieldError("x" * 10_000, "y" * 10_000)] * 1000
    problem = Problem(status=422, code="invalid_input", title="t", detail="\ud800" + "z" * 10_000, errors=errors)
    shown = json.loads(problem.body())
    assert (len(shown["errors"]), len(shown["detail"])) == (ERRORS_SHOWN, TEXT_SHOWN)
    assert len(problem.body()) < ERRORS_SHOWN * (3 * TEXT_SHOWN + 100) + 1000
    assert b"\\ud8" not in problem.body()
