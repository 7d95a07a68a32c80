"""Whatever is sent, the answer is one of ours: a status, one JSON shape, the field and the reason. Never a 500."""

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.application import create_app
from tests.harness.subscriptions import document
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
JSON = "application/json"

HEADERS = "destination.webhook.headers"
BATCHING = "configuration.batching"
RETRY = "configuration.retry"
ALERTING = "configuration.alerting"
FILTERING = "configuration.filtering"

# path set in a valid document · value · field named in the answer · words of the reason
BAD_VALUES: list[tuple[str, object, str, str]] = [
    ("name", None, "name", "may not be null"),
    ("name", 7, "name", "Not a valid string"),
    ("name", "", "name", "between 1 and 200"),
    ("name", "   ", "name", "blank"),
    ("name", "x" * 201, "name", "between 1 and 200"),
    ("name", "two\nlines", "name", "line breaks"),
    ("name", "nul\x00", "name", "NUL"),
    ("name", "half \ud800", "name", "surrogate"),
    ("name", ["a"], "name", "Not a valid string"),
    ("active", True, "active", "Not a valid string"),
    ("active", "YES", "active", "one of: yes, no"),
    ("active", "", "active", "one of: yes, no"),
    ("kind", "Other", "kind", "one of: Webhook"),
    ("id", "1", "id", "Not a valid UUID"),
    ("version", 3, "version", "Unknown field"),
    ("nul\x00", 3, "nul\x00", "NUL"),
    ("destination", None, "destination", "may not be null"),
    ("destination", "https://example.com", "destination", "Invalid"),
    ("destination", {}, "destination.webhook", "Missing data"),
    ("destination.kind", "email", "destination.kind", "one of: webhook"),
    ("destination.other", 1, "destination.other", "Unknown field"),
    ("destination.webhook", [], "destination.webhook", "Invalid"),
    ("destination.webhook.url", None, "destination.webhook.url", "may not be null"),
    ("destination.webhook.url", 7, "destination.webhook.url", "Not a valid string"),
    ("destination.webhook.url", "", "destination.webhook.url", ""),
    ("destination.webhook.url", "example.com", "destination.webhook.url", ""),
    ("destination.webhook.url", "ftp://example.com", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://", "destination.webhook.url", ""),
    ("destination.webhook.url", "https:///path", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://exa mple.com", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://example.com/\r\nHost: x", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://example.com:99999", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://example.com:port", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://[::1", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://user:pass@example.com", "destination.webhook.url", ""),
    ("destination.webhook.url", "https://example.com/" + "x" * 2048, "destination.webhook.url", ""),
    (HEADERS, "X-Api-Key: a", HEADERS, "Not a valid list"),
    (HEADERS, {"X-Api-Key": "a"}, HEADERS, "Not a valid list"),
    (HEADERS, None, HEADERS, "may not be null"),
    (HEADERS, [7], f"{HEADERS}[0]", "Not a valid string"),
    (HEADERS, [None], f"{HEADERS}[0]", "may not be null"),
    (HEADERS, ["X-Ok: a", "no colon"], f"{HEADERS}[1]", "Name: value"),
    (HEADERS, ["X Y: a"], f"{HEADERS}[0]", "token"),
    (HEADERS, ["X-Y: a\r\nHost: b"], f"{HEADERS}[0]", "line breaks"),
    (HEADERS, ["Host: a"], f"{HEADERS}[0]", "webhookd sets it"),
    (HEADERS, ["webhook-id: a"], f"{HEADERS}[0]", "webhookd sets it"),
    (HEADERS, ["proxy-x: a"], f"{HEADERS}[0]", "webhookd sets it"),
    (HEADERS, ["X-A: 1", "x-a: 2"], f"{HEADERS}[1]", "repeats"),
    (HEADERS, ["X-A: ****"], f"{HEADERS}[0]", "masked"),
    (HEADERS, ["X-A: " + "a" * 9000], f"{HEADERS}[0]", "longer than"),
    (HEADERS, [f"X-{number}: a" for number in range(51)], HEADERS, "maximum length 50"),
    ("source", None, "source", "may not be null"),
    ("source", [], "source", "between 1 and 20"),
    ("source", {"topic": "a"}, "source", "Not a valid list"),
    ("source", ["orders"], "source[0]", "Invalid"),
    ("source", [{"topic": f"t{number}"} for number in range(21)], "source", "between 1 and 20"),
    ("source", [{"topic": "a"}, {"topic": "b"}, {"topic": "a"}], "source[2].topic", "repeats"),
    ("source.0", {}, "source[0].topic", "Missing data"),
    ("source.0.topic", "", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", ".", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "..", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "a/b", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "a\n", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "x" * 250, "source[0].topic", "Kafka topic name"),
    ("source.0.topic", 7, "source[0].topic", "Not a valid string"),
    ("source.0.start", "middle", "source[0].start", "one of: latest, earliest"),
    ("source.0.start", 0, "source[0].start", "Not a valid string"),
    ("source.0.partition", 0, "source[0].partition", "Unknown field"),
    ("source.0.jmes_filters", "a", "source[0].jmes_filters", "Not a valid list"),
    ("source.0.jmes_filters", [7], "source[0].jmes_filters[0]", "Not a valid string"),
    ("source.0.jmes_filters", ["a", "b =="], "source[0].jmes_filters[1]", "position"),
    ("source.0.jmes_filters", ["no_such(a)"], "source[0].jmes_filters[0]", "no_such"),
    ("source.0.jmes_filters", [""], "source[0].jmes_filters[0]", ""),
    ("source.0.jmes_filters", ["a" * 5000], "source[0].jmes_filters[0]", ""),
    ("source.0.jmes_filters", ["[" * 3000], "source[0].jmes_filters[0]", ""),
    ("source.0.jmes_filters", ["(" * 3000], "source[0].jmes_filters[0]", ""),
    ("source.0.jmes_filters", ["a"] * 21, "source[0].jmes_filters", "maximum length 20"),
    ("configuration", None, "configuration", "may not be null"),
    ("configuration", [], "configuration", "Invalid"),
    ("configuration.other", {}, "configuration.other", "Unknown field"),
    (FILTERING, None, FILTERING, "may not be null"),
    (f"{FILTERING}.on_filter_error", "ignore", f"{FILTERING}.on_filter_error", "one of: dead_letter, drop"),
    (f"{FILTERING}.on_filter_error", None, f"{FILTERING}.on_filter_error", "may not be null"),
    (f"{FILTERING}.other", 1, f"{FILTERING}.other", "Unknown field"),
    (BATCHING, None, BATCHING, "may not be null"),
    (f"{BATCHING}.max_batch_size", 0, f"{BATCHING}.max_batch_size", "equal to 1 "),
    (f"{BATCHING}.max_batch_size", 1001, f"{BATCHING}.max_batch_size", "equal to 1000"),
    (f"{BATCHING}.max_batch_size", 10**40, f"{BATCHING}.max_batch_size", "equal to 1000"),
    (f"{BATCHING}.max_batch_size", "1", f"{BATCHING}.max_batch_size", "Not a valid integer"),
    (f"{BATCHING}.max_batch_size", True, f"{BATCHING}.max_batch_size", "Not a valid integer"),
    (f"{BATCHING}.max_batch_size", 1.0, f"{BATCHING}.max_batch_size", "Not a valid integer"),
    (f"{BATCHING}.max_batch_size", None, f"{BATCHING}.max_batch_size", "may not be null"),
    (f"{BATCHING}.max_batch_interval_seconds", 0, f"{BATCHING}.max_batch_interval_seconds", "equal to 1 "),
    (f"{BATCHING}.max_batch_interval_seconds", 301, f"{BATCHING}.max_batch_interval_seconds", "equal to 300"),
    (f"{RETRY}.max_retries", -1, f"{RETRY}.max_retries", "equal to 0 "),
    (f"{RETRY}.max_retries", 11, f"{RETRY}.max_retries", "equal to 10"),
    (f"{RETRY}.retry_algorithm", "linear", f"{RETRY}.retry_algorithm", "one of: exponential_backoff, fixed_time"),
    (f"{ALERTING}.alert_channel", "sms", f"{ALERTING}.alert_channel", "one of: email"),
    (f"{ALERTING}.alert_emails", "ops@example.com", f"{ALERTING}.alert_emails", "Not a valid list"),
    (f"{ALERTING}.alert_emails", ["a@x.example", "b@-.example"], f"{ALERTING}.alert_emails[1]", "the domain cannot be"),
    (f"{ALERTING}.alert_emails", ["ops"], f"{ALERTING}.alert_emails[0]", "is not an e-mail address"),
    (f"{ALERTING}.alert_emails", ["ops@example.com\n"], f"{ALERTING}.alert_emails[0]", "is not an e-mail address"),
    (f"{ALERTING}.alert_emails", ["a@b.c\r\nBcc: x@y.z"], f"{ALERTING}.alert_emails[0]", "is not an e-mail address"),
    (f"{ALERTING}.alert_emails", ["x" * 250 + "@example.com"], f"{ALERTING}.alert_emails[0]", "254"),
    (f"{ALERTING}.alert_emails", ["ops@example.com"] * 21, f"{ALERTING}.alert_emails", "maximum length 20"),
]

# body · content type · status · code
BAD_BODIES: list[tuple[bytes, str | None, int, str]] = [
    (b"", JSON, 400, "not_json"),
    (b"{", JSON, 400, "not_json"),
    (b'{"name": NaN}', JSON, 400, "not_json"),
    (b'{"name": 1, "name": 2}', JSON, 400, "not_json"),
    (b'{"name": "\xff"}', JSON, 400, "not_json"),
    ('{"name": "utf-16"}'.encode("utf-16"), JSON, 400, "not_json"),
    (b"[" * 19_000, JSON, 400, "not_json"),
    (b"null", JSON, 422, "invalid_input"),
    (b"[]", JSON, 422, "invalid_input"),
    (b"7", JSON, 422, "invalid_input"),
    (b'"words"', JSON, 422, "invalid_input"),
    (b"[" * 900 + b"]" * 900, JSON, 422, "invalid_input"),
    (b"{}", JSON, 422, "invalid_input"),
    (b'{"' + b"x" * 19_000 + b'": 1}', JSON, 422, "invalid_input"),
    (b"[" + b"0," * 9_000 + b"0]", JSON, 422, "invalid_input"),
    (b" " * 20_001, JSON, 413, "too_large"),
    (b"{}", None, 415, "unsupported_media_type"),
    (b"{}", "text/plain", 415, "unsupported_media_type"),
    (b"{}", "application/xml", 415, "unsupported_media_type"),
    (b"{}", "application/json; charset=utf-16", 415, "unsupported_media_type"),
    (b"a=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
]


def assert_shape(answer: TestResponse) -> dict[str, Any]:
    assert answer.mimetype == JSON
    body: dict[str, Any] = answer.get_json()
    assert set(body) == {"code", "status", "message", "errors"}
    assert body["status"] == answer.status_code
    assert body["message"]
    assert all(set(error) == {"field", "reason"} for error in body["errors"])
    assert "Traceback" not in answer.text
    return body


@pytest.mark.parametrize(("path", "value", "field", "reason"), BAD_VALUES)
def test_a_bad_value_is_named_with_its_reason(
    client: FlaskClient, path: str, value: object, field: str, reason: str
) -> None:
    answer = client.post(PATH, json=document(path, value))
    body = assert_shape(answer)
    assert (body["status"], body["code"]) == (422, "invalid_input"), answer.text
    reasons = [error["reason"] for error in body["errors"] if error["field"] == field]
    assert reasons, answer.text
    assert reason in " ".join(reasons)


@pytest.mark.parametrize("field", ["name", "destination", "source"])
def test_what_has_no_default_is_required(client: FlaskClient, field: str) -> None:
    body = document()
    del body[field]
    answer = assert_shape(client.post(PATH, json=body))
    assert answer["errors"] == [{"field": field, "reason": "Missing data for required field."}]


def test_all_mistakes_are_named_at_once(client: FlaskClient) -> None:
    body = document("name", 7) | {"active": 7, "source": []}
    answer = assert_shape(client.post(PATH, json=body))
    assert {error["field"] for error in answer["errors"]} == {"name", "active", "source"}


@pytest.mark.parametrize(("body", "content_type", "status", "code"), BAD_BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_cannot_be_taken_is_answered_in_one_shape(
    client: FlaskClient, method: str, body: bytes, content_type: str | None, status: int, code: str
) -> None:
    path = PATH if method == "POST" else f"{PATH}/6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"
    answer = assert_shape(client.open(path, method=method, data=body, content_type=content_type))
    assert (answer["status"], answer["code"]) == (status, code)


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


@pytest.mark.parametrize(
    "path", ["/", "/1", "/1/Subscription/", "/1//Subscription", "/1/subscription", "/2/Subscription"]
)
def test_unknown_addresses_are_not_found(client: FlaskClient, path: str) -> None:
    assert assert_shape(client.get(path))["status"] == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=", "after=x", "after=1"])
def test_bad_pages_are_refused(client: FlaskClient, query: str) -> None:
    assert assert_shape(client.get(f"{PATH}?{query}"))["status"] == 422


def test_what_nobody_thought_of_is_hidden(settings: Settings, database: Database) -> None:
    class Broken(MemoryKafkaAdmin):
        def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
            raise ZeroDivisionError(f"internals of {topics} within {timeout_s}")

    app = create_app(settings, database=database, kafka_offsets=Broken(), notifier=ChangeNotifier(parse("memory://")))
    answer = app.test_client().post(PATH, json=document())
    body = assert_shape(answer)
    assert (body["status"], body["code"]) == (500, "internal")
    assert "internals" not in answer.text


SEEDS = range(400)
JUNK: list[object] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**400,
    1e308,
    "",
    "\x00",
    "\ud83d",
    "\u2028",
    "a" * 3000,
    "X: \udcff",
    "https://[",
    "@",
    "`",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"\ud800": {}},
    [{}] * 30,
    # Values that are right in one place or another, so that some mutations reach the store.
    "orders",
    "no",
    "earliest",
    "a.b[?c].d | [0]",
    "https://b\u00fccher.example/\u00fc?q=\u00fc",
    ["X-Api-Key: ****"],
    7,
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  # any JSON there is
    """The path of every value in a document."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def mutated(seed: int) -> Any:  # noqa: ANN401  # any JSON there is
    """A valid document with one to three values replaced, doubled or renamed."""
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    body = {"whole": copy.deepcopy(document("configuration.batching.max_batch_size", 5))}
    for _ in range(chance.randint(1, 3)):
        *parents, last = ("whole", *chance.choice(list(places(body["whole"]))))
        parent: Any = body
        for part in parents:
            parent = parent[part]
        if isinstance(parent, dict) and last != "whole" and chance.random() < 0.2:
            parent[str(chance.choice(JUNK))] = parent.pop(last)
        else:
            parent[last] = copy.deepcopy(chance.choice(JUNK))
    return body["whole"]


@pytest.mark.parametrize("block", range(4))
def test_no_mutation_of_a_document_breaks_the_api(client: FlaskClient, block: int) -> None:
    created = client.post(PATH, json=document()).get_json()
    seen = set()
    for seed in SEEDS[block * 100 : (block + 1) * 100]:
        body = json.dumps(mutated(seed))
        for method, path in (("POST", PATH), ("PUT", f"{PATH}/{created['id']}")):
            answer = client.open(path, method=method, data=body, content_type=JSON)
            assert answer.status_code in {200, 201, 400, 413, 422}, f"seed {seed}: {answer.text}"
            seen.add(answer.status_code)
    assert {200, 201, 422} & seen


@pytest.mark.parametrize("seed", range(50))
def test_no_damage_to_the_bytes_breaks_the_api(client: FlaskClient, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    body = bytearray(json.dumps(document()).encode())
    for _ in range(chance.randint(1, 5)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    answer = client.post(PATH, data=bytes(body), content_type=JSON)
    assert answer.status_code in {201, 400, 422}, answer.text
