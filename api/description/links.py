"""Links between operations: the id in an answer is the parameter of others (OpenAPI's link objects)."""

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]


def connect(paths: Spec) -> None:
    """Link each operation that creates or lists documents to the operations on one of them."""
    for path, item in paths.items():
        for method, operation in _operations(item):
            pointer = {"post": "#/id", "get": "#/0/id"}.get(method)
            answer = operation["responses"].get("201" if method == "post" else "200", {})
            links = dict(_links(paths, path, f"$response.body{pointer}")) if _has_ids(answer, method) else {}
            if links:
                answer["links"] = links


def _links(paths: Spec, path: str, expression: str) -> Iterator[tuple[str, Spec]]:
    for other, item in paths.items():
        rest = other.removeprefix(f"{path}/{{")
        name, closed, _below = rest.partition("}")
        if rest == other or not closed:
            continue
        for _method, operation in _operations(item):
            yield operation["operationId"], {"operationId": operation["operationId"], "parameters": {name: expression}}


def _has_ids(answer: Spec, method: str) -> bool:
    schemas = [content["schema"] for content in answer.get("content", {}).values()]
    return any(method == "post" or schema.get("type") == "array" for schema in schemas)


def _operations(item: Spec) -> Iterator[tuple[str, Spec]]:
    return ((method, one) for method, one in item.items() if isinstance(one, dict))
