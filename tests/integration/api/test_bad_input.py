"""Whatever is sent, the answer is one of ours: a status, one JSON shape, the field and the reason. Never a 500."""

import json
from collections.abc import Sequence

import pytest
from flask.testing import FlaskClient

from api.application import create_app
from tests.harness.error_responses import assert_shape
from tests.harness.subscriptions import document
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
JSON = "application/json"

# body · content type · status · code · words of the message, or of the reason
BAD_BODIES: list[tuple[bytes, str | None, int, str, str]] = [
    (b"", JSON, 400, "not_json", "is empty; send a JSON object"),
    (b"{", JSON, 400, "not_json", "line 1, column 2: it ends before it is complete"),
    (b'{"name":\n nope}', JSON, 400, "not_json", 'line 2, column 2: expected a value, found "n"'),
    (b'{"name" 1}', JSON, 400, "not_json", "expected a colon"),
    (b'{"name": 1 "active": 2}', JSON, 400, "not_json", "expected a comma"),
    (b"{name: 1}", JSON, 400, "not_json", "expected a field's name in double quotes"),
    (b"{'name': 1}", JSON, 400, "not_json", "strings are written in double quotes"),
    (b'{"name": 1,}', JSON, 400, "not_json", "no comma after the last entry"),
    (b'{"name": [1,]}', JSON, 400, "not_json", "no comma after the last entry"),
    (b'{"name": 1} x', JSON, 400, "not_json", "column 13: extra data"),
    (b'{"name": "two\nlines"}', JSON, 400, "not_json", "invalid control character"),
    (b'{"name": NaN}', JSON, 400, "not_json", "NaN is not a JSON number"),
    (b'{"name": 1, "name": 2}', JSON, 400, "not_json", 'the field "name" twice'),
    (b'{"name": "\xff"}', JSON, 400, "not_json", "is not UTF-8 at byte 10"),
    ('{"name": "utf-16"}'.encode("utf-16"), JSON, 400, "not_json", "is not UTF-8"),
    ('\ufeff{"name": 1}'.encode(), JSON, 400, "not_json", "byte order mark"),
    (b"[" * 19_000, JSON, 400, "not_json", "nested too deeply"),
    (b"null", JSON, 422, "invalid_input", "the body is null: write an object with name, destination and source"),
    (b"[]", JSON, 422, "invalid_input", "the body is a list: write an object with name, destination and source"),
    (b"7", JSON, 422, "invalid_input", "the body is a number: write an object"),
    (b'"words"', JSON, 422, "invalid_input", "the body is a string: write an object"),
    (b"[" * 64 + b"]" * 64, JSON, 422, "invalid_input", "the body is a list"),
    (b"[" * 65 + b"]" * 65, JSON, 400, "not_json", "nested more than 64 levels deep"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, JSON, 400, "not_json", "nested more than 64 levels deep"),
    (b"{}", JSON, 422, "invalid_input", "is missing"),
    (b'{"' + b"x" * 19_000 + b'": 1}', JSON, 422, "invalid_input", "is not a field"),
    (b"[" + b"0," * 9_000 + b"0]", JSON, 422, "invalid_input", "the body is a list"),
    (b" " * 20_001, JSON, 413, "too_large", "larger than 20000 bytes"),
    (b"{}", None, 415, "unsupported_media_type", "without a Content-Type; send it with the header Content-Type: app"),
    (b"{}", "text/plain", 415, "unsupported_media_type", 'as "text/plain"; send it with the header Content-Type: app'),
    (b"{}", "application/json; charset=utf-16", 415, "unsupported_media_type", "send it in UTF-8"),
    (b"a=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type", "Content-Type: application/json"),
]


@pytest.mark.parametrize("field", ["name", "destination", "source"])
def test_what_has_no_default_is_required(client: FlaskClient, field: str) -> None:
    body = document()
    del body[field]
    answer = assert_shape(client.post(PATH, json=body))
    [mistake] = answer["errors"]
    assert (mistake["field"], mistake["reason"].partition(":")[0]) == (field, "is missing")


def test_all_mistakes_are_named_at_once(client: FlaskClient) -> None:
    body = document("name", 7) | {"active": 7, "source": []}
    answer = assert_shape(client.post(PATH, json=body))
    assert {error["field"] for error in answer["errors"]} == {"name", "active", "source"}


@pytest.mark.parametrize(("body", "content_type", "status", "code", "words"), BAD_BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_cannot_be_taken_is_answered_in_one_shape(
    client: FlaskClient, method: str, body: bytes, content_type: str | None, status: int, code: str, words: str
) -> None:
    path = PATH if method == "POST" else f"{PATH}/6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"
    answer = assert_shape(client.open(path, method=method, data=body, content_type=content_type))
    assert (answer["status"], answer["code"]) == (status, code)
    assert words in " ".join([answer["detail"], *(error["reason"] for error in answer["errors"])])


def test_a_compressed_body_is_no_json(client: FlaskClient) -> None:
    answer = client.post(PATH, data=b"{}", content_type=JSON, headers={"Content-Encoding": "gzip"})
    assert assert_shape(answer)["status"] == 415


def test_answers_stay_small_however_many_mistakes(client: FlaskClient) -> None:
    body = {f"{number}\udc00": number for number in range(800)}
    answer = client.post(PATH, data=json.dumps(body), content_type=JSON)
    assert len(assert_shape(answer)["errors"]) == 100
    assert "\\ud" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", PATH, {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", f"{PATH}/6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11", {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_methods_are_told_which_are_allowed(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.open(path, method=method)
    assert assert_shape(answer)["status"] == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert answer.get_json()["detail"] == f"This path supports only {answer.headers['Allow']}."


@pytest.mark.parametrize(
    "path", ["/", "/1", "/1/Subscription/", "/1//Subscription", "/1/subscription", "/2/Subscription"]
)
def test_unknown_addresses_are_not_found(client: FlaskClient, path: str) -> None:
    assert assert_shape(client.get(path))["status"] == 404


ID = "6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"

# method · path and query · field · reason
BAD_QUERIES: list[tuple[str, str, str, str]] = [
    ("GET", f"{PATH}?limit=0", "limit", 'is "0": write a whole number from 1 to 1000'),
    ("GET", f"{PATH}?limit=1001", "limit", 'is "1001": write a whole number from 1 to 1000'),
    ("GET", f"{PATH}?limit=x", "limit", 'is "x": write a whole number from 1 to 1000'),
    ("GET", f"{PATH}?limit=", "limit", 'is "": write a whole number from 1 to 1000'),
    ("GET", f"{PATH}?limit=1&limit=2", "limit", "is given 2 times: write it once"),
    ("GET", f"{PATH}?after=1", "after", "is not a UUID: write one such as 6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"),
    ("GET", f"{PATH}?limits=1", "limits", "is not a parameter of this path: write limit"),
    ("GET", f"{PATH}?page=1", "page", "is not a parameter of this path"),
    (
        "GET",
        f"{PATH}/{ID}/DeadLetter?after=a:1",
        "after",
        'is "a:1": write topic:partition:offset, such as orders:0:42',
    ),
    (
        "DELETE",
        f"{PATH}/{ID}/DeadLetter?older-than=x",
        "older-than",
        "is not a parameter of this path: write older_than",
    ),
    (
        "DELETE",
        f"{PATH}/{ID}/DeadLetter?older_than=2026-01-01T00:00:00",
        "older_than",
        "has no time zone: write 2026-01-01T00:00:00Z",
    ),
    (
        "DELETE",
        f"{PATH}/{ID}/DeadLetter?older_than=2026-01-01T00:00:00+01:00",
        "older_than",
        "is not a time: write a time with its time zone, such as 2026-11-28T20:00:00Z (in a URL, + is written %2B)",
    ),
]


@pytest.mark.parametrize(("method", "path", "field", "reason"), BAD_QUERIES)
def test_bad_parameters_are_named_with_their_reason(
    client: FlaskClient, method: str, path: str, field: str, reason: str
) -> None:
    answer = assert_shape(client.open(path, method=method))
    assert (answer["status"], answer["errors"]) == (
        422,
        [{"field": field, "parameter": field, "reason": reason}],
    )


def test_every_route_refuses_unknown_parameters(client: FlaskClient) -> None:
    walked = 0
    for rule in client.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            path = rule.rule.replace("<uuid:subscription_id>", ID)
            answer = client.open(f"{path}?no_such=1", method=method, json=document())
            assert assert_shape(answer)["errors"][0]["field"] == "no_such", f"{method} {path}"
            walked += 1
    assert walked >= 13
    assert client.head("/health?no_such=1").status_code == 422


def test_what_nobody_thought_of_is_hidden(settings: Settings, database: Database) -> None:
    class Broken(MemoryKafkaAdmin):
        def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
            raise ZeroDivisionError(f"internals of {topics} within {timeout_s}")

    app = create_app(settings, database=database, kafka_offsets=Broken(), notifier=ChangeNotifier(parse("memory://")))
    answer = app.test_client().post(PATH, json=document())
    body = assert_shape(answer)
    assert (body["status"], body["code"]) == (500, "internal")
    assert "internals" not in answer.text
