"""No change of a valid document, and no damage to its bytes, gets a 500."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.subscriptions import document

PATH = "/1/Subscription"
JSON = "application/json"

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
