"""JSON Merge Patch: the examples of RFC 7396, and what a patch of a subscription becomes.

Oracle: the table of the RFC's appendix A.
"""

import copy
import json
from typing import Any

import pytest

from api.extensions.error_responses import InvalidDocument
from api.resources.subscription.merge_patch import SubscriptionPatchSchema, apply, patched
from api.resources.subscription.schemas import SubscriptionSchema
from api.resources.subscription.wire import render
from documentation.reference.api_page import document as spec
from tests.harness.subscriptions import subscription

APPENDIX_A = """
{"a":"b"}             {"a":"c"}                           {"a":"c"}
{"a":"b"}             {"b":"c"}                           {"a":"b","b":"c"}
{"a":"b"}             {"a":null}                          {}
{"a":"b","b":"c"}     {"a":null}                          {"b":"c"}
{"a":["b"]}           {"a":"c"}                           {"a":"c"}
{"a":"c"}             {"a":["b"]}                         {"a":["b"]}
{"a":{"b":"c"}}       {"a":{"b":"d","c":null}}            {"a":{"b":"d"}}
{"a":[{"b":"c"}]}     {"a":[1]}                           {"a":[1]}
["a","b"]             ["c","d"]                           ["c","d"]
{"a":"b"}             ["c"]                               ["c"]
{"a":"foo"}           null                                null
{"a":"foo"}           "bar"                               "bar"
{"e":null}            {"a":1}                             {"e":null,"a":1}
[1,2]                 {"a":"b","c":null}                  {"a":"b"}
{}                    {"a":{"bb":{"ccc":null}}}           {"a":{"bb":{}}}
"""
"""The original, the patch and the result."""


@pytest.mark.parametrize("example", APPENDIX_A.strip().splitlines())
def test_examples_of_the_standard_hold(example: str) -> None:
    original, patch, result = map(json.loads, example.split())
    before = copy.deepcopy((original, patch))
    assert apply(original, patch) == result
    assert (original, patch) == before


def reasons(patch: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as refused:
        patched(render(subscription()), patch)
    return {error.field: error.reason for error in refused.value.errors}


def test_empty_patch_changes_nothing() -> None:
    shown = render(subscription())
    assert patched(shown, {}) == SubscriptionSchema().load(shown)


def test_patch_changes_what_it_names_only() -> None:
    before = patched(render(subscription()), {})
    after = patched(render(subscription()), {"configuration": {"retry": {"max_retries": 7}}})
    assert after["configuration"]["retry"]["max_retries"] == 7
    before["configuration"]["retry"]["max_retries"] = 7
    assert after == before


def test_null_gives_a_field_its_default() -> None:
    after = patched(render(subscription()), {"configuration": {"batching": None, "alerting": {"alert_emails": None}}})
    assert after["configuration"]["batching"] == {
        "max_batch_size": 1,
        "max_batch_interval_seconds": 1,
        "max_batch_bytes": None,
    }
    assert after["configuration"]["alerting"]["alert_emails"] == []


def test_null_of_a_required_field_is_refused() -> None:
    assert reasons({"name": None, "destination": {"webhook": {"url": None}}}) == {
        "name": "is missing: write a string",
        "destination.webhook.url": "is missing: write a URL, such as https://example.com/hook",
    }


def test_errors_name_the_fields_of_the_document() -> None:
    found = reasons({"active": "on", "source": [{"topic": "a b"}], "configuration": {"retry": {"max_retries": 11}}})
    assert set(found) == {"active", "source[0].topic", "configuration.retry.max_retries"}


@pytest.mark.parametrize("value", [None, "a", {"b": None}])
def test_unknown_names_are_refused_also_when_they_are_removed(value: object) -> None:
    assert reasons({"nmae": value, "configuration": {"retry": {"maxretries": value}}}) == {
        "nmae": "is not a field: write name",
        "configuration.retry.maxretries": "is not a field: write max_retries",
    }


def test_a_part_that_becomes_something_else_is_refused() -> None:
    assert reasons({"destination": "x", "configuration": [1]}) == {
        "destination": "is a string: write an object with webhook, in { }",
        "configuration": "is a list: write an object, in { }",
    }


def test_a_label_is_added_changed_and_removed_by_its_name() -> None:
    shown = render(subscription()) | {"labels": {"team": "billing", "stage": "test", "old": "1"}}
    after = patched(shown, {"labels": {"stage": "live", "old": None, "new": "2"}})
    assert after["labels"] == {"team": "billing", "stage": "live", "new": "2"}


def test_described_patch_has_every_field_and_requires_none() -> None:
    described = SubscriptionPatchSchema().fields
    document = {name: field for name, field in SubscriptionSchema().fields.items() if not field.dump_only}
    assert set(described) == set(document)
    assert not [name for name, field in described.items() if field.required]
    assert {name for name, field in described.items() if not field.allow_none} == {"name", "destination", "source"}


def test_described_patch_may_remove_labels() -> None:
    labels = spec()["components"]["schemas"]["SubscriptionPatch"]["properties"]["labels"]
    values = labels["additionalProperties"]
    assert (values["type"], values["maxLength"]) == (["string", "null"], 255)
