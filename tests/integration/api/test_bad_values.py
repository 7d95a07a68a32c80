"""Each bad value of a subscription is named by its field, with what is wrong and what to write instead."""

import re
from collections.abc import Sequence

import pytest
from flask.testing import FlaskClient

from tests.harness.error_responses import assert_shape
from tests.harness.subscriptions import document

PATH = "/1/Subscription"

HEADERS = "destination.webhook.headers"
CODES = "destination.webhook.success_codes"
BATCHING = "configuration.batching"
RETRY = "configuration.retry"
ALERTING = "configuration.alerting"
FILTERING = "configuration.filtering"

# path set in a valid document · value · field named in the answer · words of the reason
BAD_VALUES: list[tuple[str, object, str, str]] = [
    ("name", None, "name", "is null: write a string"),
    ("name", 7, "name", 'is a number: write "7"'),
    ("name", "", "name", "is empty: write 1 to 200 characters"),
    ("name", "   ", "name", "blank"),
    ("name", "x" * 201, "name", "has 201 characters: write 1 to 200 characters"),
    ("name", "two\nlines", "name", "line breaks"),
    ("name", "nul\x00", "name", "NUL"),
    ("name", "half \ud800", "name", "surrogate"),
    ("name", ["a"], "name", "is a list: write a string"),
    ("active", True, "active", 'is true: write "yes"'),
    ("active", "YES", "active", 'is "YES": write "yes"'),
    ("active", "", "active", 'is "": write "yes" or "no"'),
    ("kind", "Other", "kind", 'is "Other": write "Webhook"'),
    ("id", "1", "id", "is not a UUID: write one such as 6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b11"),
    ("version", 3, "version", "is not a field"),
    ("nul\x00", 3, "nul\x00", "NUL"),
    ("destination", None, "destination", "is null: write an object with webhook"),
    ("destination", "https://example.com", "destination", "is a string: write an object with webhook, in { }"),
    ("destination", {}, "destination.webhook", "is missing: write an object with url"),
    ("destination.kind", "email", "destination.kind", 'is "email": write "webhook"'),
    ("destination.other", 1, "destination.other", "is not a field"),
    ("destination.webhook", [], "destination.webhook", "is a list: write an object with url, in { }"),
    (
        "destination.webhook.url",
        None,
        "destination.webhook.url",
        "is null: write a URL, such as https://example.com/hook",
    ),
    (
        "destination.webhook.url",
        7,
        "destination.webhook.url",
        "is a number: write a URL, such as https://example.com/hook",
    ),
    (
        "destination.webhook.url",
        "",
        "destination.webhook.url",
        "is empty: write a URL, such as https://example.com/hook",
    ),
    ("destination.webhook.url", "example.com", "destination.webhook.url", "has no scheme: write https://example.com"),
    (
        "destination.webhook.url",
        "ftp://example.com",
        "destination.webhook.url",
        "has the scheme ftp: write http or https",
    ),
    ("destination.webhook.url", "https://", "destination.webhook.url", "has no host: write one after https://"),
    ("destination.webhook.url", "https:///path", "destination.webhook.url", "has no host: write one after https://"),
    (
        "destination.webhook.url",
        "https://exa mple.com",
        "destination.webhook.url",
        "has a space, a control character or a backslash",
    ),
    (
        "destination.webhook.url",
        "https://example.com/\r\nHost: x",
        "destination.webhook.url",
        "has a space, a control character or a backslash",
    ),
    (
        "destination.webhook.url",
        "https://example.com:99999",
        "destination.webhook.url",
        "has a port that is not between 1 and 65535",
    ),
    (
        "destination.webhook.url",
        "https://example.com:port",
        "destination.webhook.url",
        "has a port that is not between 1 and 65535",
    ),
    (
        "destination.webhook.url",
        "https://[::1",
        "destination.webhook.url",
        "is not a URL: write one such as https://example.com/hook",
    ),
    (
        "destination.webhook.url",
        "https://user:pass@example.com",
        "destination.webhook.url",
        "has a user or a password: send it in a header",
    ),
    (
        "destination.webhook.url",
        "https://example.com/" + "x" * 2048,
        "destination.webhook.url",
        "has 2068 characters: write at most 2048 characters",
    ),
    (HEADERS, "X-Api-Key: a", HEADERS, "is a string: write a list of strings, in [ ]"),
    (HEADERS, {"X-Api-Key": "a"}, HEADERS, "is an object: write a list of strings, in [ ]"),
    (HEADERS, None, HEADERS, "is null: write a list of strings, or leave it out"),
    (HEADERS, [7], f"{HEADERS}[0]", 'is a number: write "Name: value"'),
    (HEADERS, [None], f"{HEADERS}[0]", 'is null: write "Name: value", or leave it out'),
    (HEADERS, ["X-Ok: a", "no colon"], f"{HEADERS}[1]", "Name: value"),
    (HEADERS, ["X Y: a"], f"{HEADERS}[0]", "token"),
    (HEADERS, ["X-Y: a\r\nHost: b"], f"{HEADERS}[0]", "line breaks"),
    (HEADERS, ["Host: a"], f"{HEADERS}[0]", "webhookd sets it"),
    (HEADERS, ["webhook-id: a"], f"{HEADERS}[0]", "webhookd sets it"),
    (HEADERS, ["proxy-x: a"], f"{HEADERS}[0]", "webhookd sets it"),
    (HEADERS, ["X-A: 1", "x-a: 2"], f"{HEADERS}[1]", "repeats"),
    (HEADERS, ["X-A: ****"], f"{HEADERS}[0]", "masked"),
    (HEADERS, ["X-A: " + "a" * 9000], f"{HEADERS}[0]", "longer than"),
    (HEADERS, [f"X-{number}: a" for number in range(51)], HEADERS, "has 51 entries: write at most 50 entries"),
    ("source", None, "source", "is null: write a list of objects"),
    ("source", [], "source", "has no entries: write 1 to 20 entries"),
    ("source", {"topic": "a"}, "source", "is an object: write a list of objects, in [ ]"),
    ("source", ["orders"], "source[0]", "is a string: write an object with topic, in { }"),
    ("source", [{"topic": f"t{number}"} for number in range(21)], "source", "has 21 entries: write 1 to 20 entries"),
    ("source", [{"topic": "a"}, {"topic": "b"}, {"topic": "a"}], "source[2].topic", "repeats"),
    ("source.0", {}, "source[0].topic", "is missing: write a string"),
    ("source.0.topic", "", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", ".", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "..", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "a/b", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "a\n", "source[0].topic", "Kafka topic name"),
    ("source.0.topic", "x" * 250, "source[0].topic", "Kafka topic name"),
    ("source.0.topic", 7, "source[0].topic", 'is a number: write "7"'),
    ("source.0.start", "middle", "source[0].start", 'is "middle": write "latest" or "earliest"'),
    ("source.0.start", 0, "source[0].start", 'is 0: write "latest" or "earliest"'),
    ("source.0.partition", 0, "source[0].partition", "is not a field"),
    ("source.0.jmes_filters", "a", "source[0].jmes_filters", "is a string: write a list of strings, in [ ]"),
    ("source.0.jmes_filters", [7], "source[0].jmes_filters[0]", "is a number: write a JMESPath expression"),
    ("source.0.jmes_filters", ["a", "b =="], "source[0].jmes_filters[1]", "position"),
    ("source.0.jmes_filters", ["no_such(a)"], "source[0].jmes_filters[0]", "no_such"),
    (
        "source.0.jmes_filters",
        [""],
        "source[0].jmes_filters[0]",
        "is not a usable filter at position 0: the expression is empty",
    ),
    (
        "source.0.jmes_filters",
        ["a" * 5000],
        "source[0].jmes_filters[0]",
        "is not a usable filter at position 4096: the expression is longer than 4096 bytes",
    ),
    (
        "source.0.jmes_filters",
        ["[" * 3000],
        "source[0].jmes_filters[0]",
        "is not a usable filter at position 32: the expression nests deeper than 32 levels",
    ),
    (
        "source.0.jmes_filters",
        ["(" * 3000],
        "source[0].jmes_filters[0]",
        "is not a usable filter at position 32: the expression nests deeper than 32 levels",
    ),
    ("source.0.jmes_filters", ["a"] * 21, "source[0].jmes_filters", "has 21 entries: write at most 20 entries"),
    ("configuration", None, "configuration", "is null: write an object, or leave it out"),
    ("configuration", [], "configuration", "is a list: write an object, in { }"),
    ("configuration.other", {}, "configuration.other", "is not a field"),
    (FILTERING, None, FILTERING, "is null: write an object, or leave it out"),
    (
        f"{FILTERING}.on_filter_error",
        "ignore",
        f"{FILTERING}.on_filter_error",
        'is "ignore": write "dead_letter" or "drop"',
    ),
    (
        f"{FILTERING}.on_filter_error",
        None,
        f"{FILTERING}.on_filter_error",
        'is null: write "dead_letter" or "drop", or leave it out',
    ),
    (f"{FILTERING}.other", 1, f"{FILTERING}.other", "is not a field"),
    ("active", False, "active", 'is false: write "no"'),
    ("active", "true", "active", 'is "true": write "yes" or "no"'),
    ("source.0.start", "Earliest", "source[0].start", 'write "earliest"'),
    (f"{RETRY}.on_exhausted", "dead-letter", f"{RETRY}.on_exhausted", 'write "dead_letter"'),
    ("nam", "x", "nam", "is not a field: write name"),
    ("topic", "orders", "topic", "is not a field here: write it as source[].topic"),
    ("batching", {}, "batching", "is not a field here: write it as configuration.batching"),
    ("maxBatchSize", 3, "maxBatchSize", "write it as configuration.batching.max_batch_size"),
    ("destination.url", "x", "destination.url", "is not a field here: write it as webhook.url"),
    ("source.0.filters", [], "source[0].filters", "is not a field: write jmes_filters"),
    (f"{BATCHING}.max_batch_bytes", 999, f"{BATCHING}.max_batch_bytes", "write a whole number from 1000 to 268435456"),
    (f"{BATCHING}.max_batch_bytes", 1 << 29, f"{BATCHING}.max_batch_bytes", "write a whole number from 1000 to"),
    (f"{RETRY}.on_rejected", "halve", f"{RETRY}.on_rejected", 'write "whole" or "split"'),
    ("destination.webhook.method", "GET", "destination.webhook.method", 'is "GET": write "POST", "PUT" or "PATCH"'),
    ("destination.webhook.method", "put", "destination.webhook.method", 'is "put": write "PUT"'),
    (CODES, [], CODES, "has no entries: write 1 to 20 entries"),
    (CODES, ["200"] * 21, CODES, "has 21 entries: write 1 to 20 entries"),
    (CODES, "2xx", CODES, "is a string: write a list of strings"),
    (CODES, [200], f"{CODES}[0]", 'is a number: write a status such as "201", or a class such as "2xx"'),
    (CODES, ["2xx", "1xx"], f"{CODES}[1]", 'is "1xx": write a status from 200 to 599, or one of "2xx" to "5xx"'),
    (CODES, ["199"], f"{CODES}[0]", 'is "199": write a status from 200 to 599'),
    (CODES, ["600"], f"{CODES}[0]", 'is "600": write a status from 200 to 599'),
    (CODES, ["2XX"], f"{CODES}[0]", 'is "2XX": write a status from 200 to 599'),
    (CODES, ["200\n"], f"{CODES}[0]", "write a status from 200 to 599"),
    (CODES, ["\u0662\u0660\u0660"], f"{CODES}[0]", "write a status from 200 to 599"),
    (f"{BATCHING}.max_batch_size", "100", f"{BATCHING}.max_batch_size", "is a string: write 100"),
    (f"{BATCHING}.max_batch_size", "1001", f"{BATCHING}.max_batch_size", "is a string: write a whole number from 1 to"),
    (f"{BATCHING}.max_batch_size", 1.5, f"{BATCHING}.max_batch_size", "is 1.5: write a whole number"),
    (f"{BATCHING}.max_batch_size", [1], f"{BATCHING}.max_batch_size", "is a list: write a whole number"),
    ("destination.webhook.url", "example.com/hook", "destination.webhook.url", "write https://example.com/hook"),
    ("destination.webhook.url", "//example.com/a", "destination.webhook.url", "write https://example.com/a"),
    ("destination.webhook.url", "localhost:9000/a", "destination.webhook.url", "write https://localhost:9000/a"),
    ("destination.webhook.url", "u:p@example.com", "destination.webhook.url", "begins with https:// or http://"),
    ("destination.webhook.url", {}, "destination.webhook.url", "is an object: write a URL, such as https://exam"),
    ("source.0.topic", "__consumer_offsets", "source[0].topic", "is internal to Kafka"),
    ("source.0.topic", "__transaction_state", "source[0].topic", "is internal to Kafka"),
    ("source.0.topic", "^orders.*", "source[0].topic", "is not a Kafka topic name"),
    (f"{RETRY}.dead_letter_topic", "__dead", f"{RETRY}.dead_letter_topic", "is internal to Kafka"),
    (f"{RETRY}.dead_letter_topic", "orders", f"{RETRY}.dead_letter_topic", "is a topic of this subscription"),
    ("source.0.jmes_filters", ["total >= 100"], "source[0].jmes_filters[0]", "in backquotes: write `100`"),
    (BATCHING, None, BATCHING, "is null: write an object, or leave it out"),
    (f"{BATCHING}.max_batch_size", 0, f"{BATCHING}.max_batch_size", "is 0: write a whole number from 1 to 1000"),
    (f"{BATCHING}.max_batch_size", 1001, f"{BATCHING}.max_batch_size", "is 1001: write a whole number from 1 to 1000"),
    (
        f"{BATCHING}.max_batch_size",
        10**40,
        f"{BATCHING}.max_batch_size",
        "is a number with too many digits: write a whole number from 1 to 1000",
    ),
    (f"{BATCHING}.max_batch_size", "1", f"{BATCHING}.max_batch_size", "is a string: write 1"),
    (f"{BATCHING}.max_batch_size", True, f"{BATCHING}.max_batch_size", "is true: write a whole number from 1 to 1000"),
    (f"{BATCHING}.max_batch_size", 1.0, f"{BATCHING}.max_batch_size", "is 1.0: write 1"),
    (
        f"{BATCHING}.max_batch_size",
        None,
        f"{BATCHING}.max_batch_size",
        "is null: write a whole number from 1 to 1000, or leave it out",
    ),
    (
        f"{BATCHING}.max_batch_interval_seconds",
        0,
        f"{BATCHING}.max_batch_interval_seconds",
        "is 0: write a whole number from 1 to 300",
    ),
    (
        f"{BATCHING}.max_batch_interval_seconds",
        301,
        f"{BATCHING}.max_batch_interval_seconds",
        "is 301: write a whole number from 1 to 300",
    ),
    (f"{RETRY}.max_retries", -1, f"{RETRY}.max_retries", "is -1: write a whole number from 0 to 10"),
    (f"{RETRY}.max_retries", 11, f"{RETRY}.max_retries", "is 11: write a whole number from 0 to 10"),
    (
        f"{RETRY}.retry_algorithm",
        "linear",
        f"{RETRY}.retry_algorithm",
        'is "linear": write "exponential_backoff" or "fixed_time"',
    ),
    (f"{ALERTING}.alert_channel", "sms", f"{ALERTING}.alert_channel", 'is "sms": write "email"'),
    (
        f"{ALERTING}.alert_emails",
        "ops@example.com",
        f"{ALERTING}.alert_emails",
        "is a string: write a list of strings, in [ ]",
    ),
    (f"{ALERTING}.alert_emails", ["a@x.example", "b@-.example"], f"{ALERTING}.alert_emails[1]", "the domain cannot be"),
    (f"{ALERTING}.alert_emails", ["ops"], f"{ALERTING}.alert_emails[0]", "is not an e-mail address"),
    (f"{ALERTING}.alert_emails", ["ops@example.com\n"], f"{ALERTING}.alert_emails[0]", "is not an e-mail address"),
    (f"{ALERTING}.alert_emails", ["a@b.c\r\nBcc: x@y.z"], f"{ALERTING}.alert_emails[0]", "is not an e-mail address"),
    (f"{ALERTING}.alert_emails", ["x" * 250 + "@example.com"], f"{ALERTING}.alert_emails[0]", "254"),
    (
        f"{ALERTING}.alert_emails",
        ["ops@example.com"] * 21,
        f"{ALERTING}.alert_emails",
        "has 21 entries: write at most 20 entries",
    ),
]


def assert_style(reasons: Sequence[str]) -> None:
    """The subject is the field: lower case, no full stop, and none of the sentences of marshmallow."""
    for reason in reasons:
        assert reason[0].islower(), reason
        assert not reason.endswith("."), reason
        assert not re.search(
            "Not a valid|Missing data|Unknown field|Invalid|Must be|Longer than|Shorter than", reason
        ), reason


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
    assert_style(reasons)
