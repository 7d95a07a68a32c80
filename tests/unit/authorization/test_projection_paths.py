"""What a path names, and which paths are refused."""

import pytest

from tests.harness.topic_policies import allow, exclude, governed, include
from webhookd.errors import InvalidInput, ProjectionFailed
from webhookd.flow.authorization.authorizer import TopicAuthorizer
from webhookd.flow.authorization.projection_paths import PATH_CHARACTERS, PATHS, STEPS, parse_paths
from webhookd.flow.authorization.seen_record import PlainRecord, SeenRecord
from webhookd.flow.policy.policy import Projection

VALUE = b'{"id":7,"customer":{"name":"A","e-mail":"a@b"},"items":[{"sku":"x","price":1.10},3,null],"@key":"own"}'
HEADERS = [("trace-id", b"1"), ("auth", b"s"), ("trace-id", b"2"), ("a b", None)]


def seen(projection: Projection, value: bytes | None = VALUE) -> SeenRecord:
    return TopicAuthorizer(governed(allow("", projection))).see(PlainRecord(value, b"k", HEADERS))


@pytest.mark.parametrize(
    ("paths", "value"),
    [
        (["id"], b'{"id":7}'),
        (["customer.e-mail"], b'{"customer":{"e-mail":"a@b"}}'),
        (["items[].price"], b'{"items":[{"price":1.10}]}'),
        (["items[]"], b'{"items":[{"sku":"x","price":1.10},3,null]}'),
        (["customer", "customer.name"], b'{"customer":{"name":"A","e-mail":"a@b"}}'),
        (["id.x", "items.sku", "missing"], b"{}"),
        (['@value."@key"', "@value.id"], b'{"id":7,"@key":"own"}'),
        (["@value"], VALUE),
        (["[].id", "id"], b'{"id":7}'),
    ],
)
def test_include_keeps_what_paths_name(paths: list[str], value: bytes) -> None:
    assert seen(include(*paths)) == SeenRecord(value=value)


@pytest.mark.parametrize(
    ("paths", "value"),
    [
        (["items", '"customer"."e-mail"'], b'{"id":7,"customer":{"name":"A"},"@key":"own"}'),
        (["customer", "customer.name", "items[]"], b'{"id":7,"items":[],"@key":"own"}'),
        (["@key", "@headers", "@headers.auth"], VALUE),
        (["@value"], b"{}"),
        (["missing.x", "items[][].x", "id", "customer"], None),
    ],
)
def test_exclude_leaves_out_what_paths_name_and_key_and_headers(paths: list[str], value: bytes | None) -> None:
    if value is None:
        with pytest.raises(ProjectionFailed):
            seen(exclude(*paths))
        return
    assert seen(exclude(*paths)) == SeenRecord(value=value)


def test_key_and_headers_are_seen_when_they_are_included() -> None:
    assert seen(include("id", "@key")) == SeenRecord(value=b'{"id":7}', key=b"k")
    assert seen(include("@headers")) == SeenRecord(value=b"{}", headers=tuple(HEADERS))
    two = (HEADERS[0], HEADERS[2], HEADERS[3])
    assert seen(include("@headers.trace-id", '@headers."a b"', "@headers.none")).headers == two
    assert seen(include('"@key"'), None) == SeenRecord(key=b"k")


@pytest.mark.parametrize("value", [b"7", b'"text"', b"true", b"[1]"])
def test_paths_of_an_object_fail_on_another_value(value: bytes) -> None:
    for projection in (include("id"), exclude("id"), include("@key")):
        with pytest.raises(ProjectionFailed):
            seen(projection, value)


def test_paths_that_begin_with_elements_are_for_arrays() -> None:
    value = b'[{"a":1,"b":2},null,{"b":3}]'
    assert seen(include("[].a"), value).value == b'[{"a":1},{}]'
    assert seen(exclude("[].a"), value).value == b'[{"b":2},null,{"b":3}]'


def test_null_stays_null() -> None:
    assert seen(include("a"), b" null ").value == b"null"
    assert seen(exclude("a"), b" null ").value == b"null"
    assert seen(exclude("a.b.c"), b'{"a":null}').value == b'{"a":null}'


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "is empty"),
        ("a..b", "cannot be read at character 1"),
        (".a", "cannot be read at character 0"),
        ("a.", "cannot be read at character 1"),
        ("a b", "cannot be read at character 1"),
        ("items[0]", "has a bracket at character 5"),
        ("items[*].x", "has a bracket at character 5"),
        ("a.*", "has a * at character 1"),
        ('"a', "cannot be read at character 0"),
        ('"\\q"', "which is not a JSON string"),
        ("@key.a", "goes into the key"),
        ("@headers.a.b", "goes into the key or into a header"),
        ("@headers[]", "has [] after @headers"),
        ("a" * (PATH_CHARACTERS + 1), "is longer than"),
        (".".join("a" * (STEPS + 1)), "has more than"),
    ],
)
def test_paths_that_cannot_be_used_are_refused(path: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_paths(["fine", path])
    assert reason in error.value.detail
    assert error.value.field == "[1]"


def test_the_number_of_paths_is_bounded() -> None:
    parse_paths([f"a{number}" for number in range(PATHS)])
    for paths in ([], [f"a{number}" for number in range(PATHS + 1)]):
        with pytest.raises(InvalidInput):
            parse_paths(paths)
