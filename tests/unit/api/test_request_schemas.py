"""Every field of every request is of a class whose errors say what to write."""

from collections.abc import Iterator

import pytest
from marshmallow import Schema, fields

from api.description.objects import REQUEST
from api.extensions.request_fields import Moment, RequestField, kind_of, shown
from api.extensions.request_schema import RequestSchema, known_fields, unknown_name
from api.resources.administration.schemas import OverviewSchema, SwitchSchema
from api.resources.audit_log.schemas import AuditQuerySchema
from api.resources.dead_letter.schemas import DeadLetterPageSchema, OlderThanSchema
from api.resources.endpoint_check.schemas import EndpointCheckSchema
from api.resources.key.schemas import KeyPageSchema, NewKeySchema, RotationSchema
from api.resources.policy.dry_run_schemas import DryRunSchema
from api.resources.policy.schemas import PolicyPageSchema, PolicySchema, VersionPageSchema
from api.resources.subscription.list_parameters import ListSchema
from api.resources.subscription.schemas import SubscriptionSchema
from api.resources.subscription.signing_schemas import SigningRotationSchema
from documentation.reference.api_page import document

REQUESTS: list[type[Schema]] = [
    AuditQuerySchema,
    SubscriptionSchema,
    ListSchema,
    OverviewSchema,
    SwitchSchema,
    DeadLetterPageSchema,
    OlderThanSchema,
    NewKeySchema,
    RotationSchema,
    SigningRotationSchema,
    KeyPageSchema,
    PolicySchema,
    PolicyPageSchema,
    VersionPageSchema,
    DryRunSchema,
    EndpointCheckSchema,
]


def parts(schema: Schema) -> Iterator[tuple[Schema, str, fields.Field[object]]]:
    for name, field in schema.fields.items():
        if field.dump_only:
            continue
        inner = field.inner if isinstance(field, fields.List) else field
        for one in {field, inner}:
            yield schema, name, one
        if isinstance(inner, fields.Nested):
            yield from parts(inner.schema)


@pytest.mark.parametrize("request_schema", REQUESTS)
def test_all_fields_say_what_to_write(request_schema: type[Schema]) -> None:
    for schema, name, field in parts(request_schema()):
        assert isinstance(schema, RequestSchema), type(schema)
        assert isinstance(field, RequestField), f"{type(schema).__name__}.{name}"


def test_list_of_request_schemas_is_complete() -> None:
    spec = document()
    operations = [
        operation for item in spec["paths"].values() for operation in item.values() if isinstance(operation, dict)
    ]
    bodies = {
        content["schema"]["$ref"].rpartition("/")[2].removesuffix(REQUEST) + "Schema"
        for operation in operations
        for media_type, content in operation.get("requestBody", {"content": {}})["content"].items()
        if media_type == "application/json"
    }
    queries = {
        parameter["name"]
        for operation in operations
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    listed = {schema.__name__ for schema in REQUESTS}
    assert bodies <= listed
    assert queries <= {name for schema in REQUESTS if schema.__name__ not in bodies for name in schema().fields}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nmae", "is not a field: write name"),
        ("Name", "is not a field: write name"),
        ("maxRetries", "is not a field here: write it as configuration.retry.max_retries"),
        ("jmes-filters", "is not a field here: write it as source[].jmes_filters"),
        ("warning", "is not a field"),
        ("zzz", "is not a field"),
        ("name" * 100, "is not a field"),
    ],
)
def test_unknown_field_is_compared_with_the_known_ones(name: str, reason: str) -> None:
    assert unknown_name(name, known_fields(SubscriptionSchema()), "field") == reason


def test_what_responses_have_may_be_sent_back() -> None:
    sent = {"name": "a", "destination": {"webhook": {"url": "https://example.com/"}}, "source": [{"topic": "a"}]}
    loaded = SubscriptionSchema().load(sent | {"warnings": [{"field": "x"}]})
    assert "warnings" not in loaded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (10**400, "a number with too many digits"),
        ("x" * 50, '"' + "x" * 40 + '…"'),
        ("half \ud800", '"half ?"'),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_values_are_shown_short(value: object, text: str) -> None:
    assert shown(value) == text


def test_kinds_are_named() -> None:
    assert [kind_of(value) for value in (7, "a", False)] == ["a number", "a string", "false"]


def test_moment_needs_a_time_zone() -> None:
    assert Moment().mistake("2026-11-28T20:00:00+01:00") is None
    assert Moment().mistake("2026-11-28") == "has no time zone: write 2026-11-28T00:00:00Z"
    assert "is not a time" in str(Moment().mistake("yesterday"))
