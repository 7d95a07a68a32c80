"""Property tests: what a projection lets through is exactly what was in the record.

The oracle (documents.py) is Python's `json`, which hands over the text of each number and the members in their order.
"""

import json
from random import Random

import pytest

from tests.harness.topic_policies import allow, built, exclude, governed, include
from tests.unit.authorization.documents import NAMES, Documents, Exact, Members, exact
from webhookd.errors import ProjectionFailed, UndecodableRecord
from webhookd.flow.authorization.authorizer import TopicAuthorizer
from webhookd.flow.authorization.json_values import DECODED, RAW, read_json
from webhookd.flow.authorization.seen_record import PlainRecord
from webhookd.flow.policy.policy import Projection

CASES = 700
NOTHING = object()
Steps = tuple[str, ...]
"""A path: names, and "[]" for each element. No name is "[]"."""


def random_path(random: Random) -> Steps:
    return tuple(random.choice((*NAMES, "[]")) for _ in range(random.randint(1, 3)))


def text_of(path: Steps) -> str:
    return "@value" + "".join("[]" if step == "[]" else f".{json.dumps(step)}" for step in path)


def kept(value: Exact, paths: set[Steps]) -> object:
    """The oracle of `include`."""
    if () in paths:
        return value
    if isinstance(value, Members) and any(path[0] != "[]" for path in paths):
        parts = [(name, kept(part, _below(paths, name))) for name, part in value.pairs if _below(paths, name)]
        return Members([(name, part) for name, part in parts if part is not NOTHING])  # type: ignore[misc]  # no NOTHING is left
    if isinstance(value, list) and _below(paths, "[]"):
        return [part for element in value if (part := kept(element, _below(paths, "[]"))) is not NOTHING]
    return NOTHING


def remaining(value: Exact, paths: set[Steps]) -> Exact:
    """The oracle of `exclude`; raises ValueError where a path goes through another type."""
    if isinstance(value, Members) and any(path[0] != "[]" for path in paths):
        left = [(name, part) for name, part in value.pairs if () not in _below(paths, name)]
        return Members([(n, remaining(p, _below(paths, n)) if _below(paths, n) else p) for n, p in left])
    if isinstance(value, list) and _below(paths, "[]"):
        below = _below(paths, "[]")
        return [] if () in below else [remaining(element, below) for element in value]
    if value is None:
        return None
    raise ValueError("another type")


def _below(paths: set[Steps], step: str) -> set[Steps]:
    return {path[1:] for path in paths if path and path[0] == step}


def seen(projection: Projection, value: bytes) -> bytes | None:
    """What is seen of a value; None if the projection fails."""
    try:
        return TopicAuthorizer(governed(allow("", projection))).see(PlainRecord(value)).value
    except ProjectionFailed:
        return None


@pytest.mark.parametrize("seed", range(2))
def test_include_and_exclude_change_nothing_else(seed: int) -> None:
    documents, random = Documents(seed), Random(seed)  # noqa: S311 - test data
    failures = 0
    for _ in range(CASES):
        value = documents.next()
        whole = exact(value)
        paths = {random_path(random) for _ in range(random.randint(1, 4))}
        texts = [text_of(path) for path in paths]
        wanted = kept(whole, paths)
        if wanted is NOTHING:
            wanted = Members([]) if isinstance(whole, Members) else whole if whole is None else NOTHING
        included = seen(include(*texts), value)
        assert (NOTHING if included is None else exact(included)) == wanted, (value, texts)
        excluded = seen(exclude(*texts), value)
        try:
            left: object = remaining(whole, paths)
        except ValueError:
            left = NOTHING
            failures += 1
        assert (NOTHING if excluded is None else exact(excluded)) == left, (value, texts)
    assert 0 < failures < CASES / 2


@pytest.mark.parametrize("seed", range(2))
def test_expressions_hand_on_values_unchanged(seed: int) -> None:
    documents, random = Documents(seed + 100), Random(seed)  # noqa: S311 - test data
    for _ in range(CASES):
        value = documents.next()
        whole = exact(value)
        first, second = random.sample(NAMES[:5], 2)
        one, other = json.dumps(first), json.dumps(second)
        result = seen(built(f"{{x: {one}, y: {other}, z: @, l: [{one}.{other}, {one}]}}"), value)
        assert result is not None
        if whole is None:
            assert exact(result) is None
            continue
        assert exact(result) == Members(
            [
                ("x", get(whole, first)),
                ("y", get(whole, second)),
                ("z", whole),
                ("l", [get(get(whole, first), second), get(whole, first)]),
            ]
        ), value


def get(value: Exact, name: str) -> Exact:
    return value.get(name) if isinstance(value, Members) else None


def test_duplicate_names_are_found_and_nothing_else_is_refused() -> None:
    documents = Documents(7, duplicates=0.15)
    forms = {DECODED: 0, RAW: 0}
    refused = 0
    for _ in range(2 * CASES):
        value = documents.next()
        try:
            exact(value)
        except ValueError:
            refused += 1
            with pytest.raises(UndecodableRecord):
                read_json(value)
        else:
            read = read_json(value)
            forms[read.form] += 1
            assert exact(read.form.written(read.root)) == exact(value)
    assert min(refused, *forms.values()) > CASES / 10


def test_numbers_that_a_function_computes_are_written_in_their_shortest_form() -> None:
    value = b'{"a":[1.10,2.20],"n":-0,"big":123456789012345678901234567890.50}'
    result = seen(built("{sum: sum(a), max: max(a), n: n, big: big, text: to_string(a[0])}"), value)
    assert (
        result == b'{"sum":3.3000000000000003,"max":2.20,"n":-0,"big":123456789012345678901234567890.50,"text":"1.1"}'
    )


def test_a_computed_number_that_json_cannot_represent_fails() -> None:
    assert seen(built("{sum: sum(a)}"), b'{"a":[1e400,1]}') is None
    assert seen(built("a"), b'{"a":[1e400,1]}') == b"[1e400,1]"


def test_an_expression_as_a_value_fails() -> None:
    assert seen(built("{a: &b}"), b'{"b":1}') is None


def test_a_result_that_shares_its_parts_is_charged_for_each_copy() -> None:
    doubled = " | ".join(["[@, @]"] * 12)
    assert seen(built(doubled), b'{"a":"' + b"x" * 1000 + b'"}') is None
