"""The OpenAPI document holds what clients are generated from, for every route of the application.

Oracles: the routes of the application, the meta-schema of OpenAPI 3.1 as Schemathesis has it, and a JSON Schema
validator for the examples, which the application answers anew.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis

from api.application import build
from api.description import page
from api.description.document import examples
from api.description.operations import IDS
from api.extensions.authorization import operations
from documentation.reference import api_examples
from documentation.reference.api_page import document
from documentation.reference.example_requests import STEPS
from tests.closure.findings import told
from tests.harness.openapi_answers import strict_validator
from webhookd.settings import Settings

Spec = dict[str, Any]

UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/{name}"}
"""The document, and the page that shows it."""

JSON = "application/json"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return dict(document())


def described(spec: Spec) -> Iterator[tuple[str, Spec]]:
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict):
                yield f"{method.upper()} {path}", operation


def bodies(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """Every body of the document, of requests and responses, with its place."""
    for place, operation in described(spec):
        if "requestBody" in operation:
            [body] = operation["requestBody"]["content"].values()
            yield place, body
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                yield f"{place} {status}", content


def test_document_follows_openapi(spec: Spec) -> None:
    schemathesis.openapi.from_dict(spec).validate()
    assert spec["openapi"].startswith("3.1")


def test_each_route_is_described(spec: Spec) -> None:
    app = build(Settings.model_construct(redis_url="memory://"))
    routes = {
        f"{method} {path}"
        for rule, method in operations(app)
        if method not in {"HEAD", "OPTIONS"}
        and (path := re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)) not in UNDOCUMENTED
        and not path.startswith("/problems/")
    }
    assert {place for place, _ in described(spec)} == routes


def test_each_operation_has_its_name(spec: Spec) -> None:
    nameless = [place for place, _ in described(spec) if place not in IDS]
    assert nameless == [], told("operations without a name in api/description/operations.py", nameless)
    assert len(set(IDS.values())) == len(IDS)


def test_each_operation_says_what_it_does(spec: Spec) -> None:
    for place, operation in described(spec):
        assert operation["summary"].endswith("."), place
        assert operation["description"], place
        assert operation["security"] == [{"bearer": []}] or {} in operation["security"], place
        assert ("x-required-role" in operation) == ({} not in operation["security"]), place


def test_each_error_has_a_body_of_the_error_format(spec: Spec) -> None:
    for place, operation in described(spec):
        for status, response in operation["responses"].items():
            found = resolved(spec, response)
            if status == "default" or status >= "4":
                (content,) = found["content"].values()
                assert content["schema"]["$ref"].rpartition("/")[2] in {"Error", "Ready"}, f"{place} {status}"


def test_each_operation_has_an_example(spec: Spec) -> None:
    asked = {step.operation for step in STEPS}
    known = {operation["operationId"] for _, operation in described(spec)}
    assert asked == known, told(
        "operations without a request in documentation/reference/example_requests.py", known - asked
    )


def test_examples_are_what_the_api_answers() -> None:
    again = api_examples.run()
    assert again == examples(), "api/description/examples.json is out of date: run `make reference` and commit it"


def needs_example(place: str) -> bool:
    """Whether a body is one of a request or of a success.

    A 202 to a policy needs an ingest process that does not confirm; tests/integration/api/test_policies.py has some.
    """
    status = place[-3:]
    return not status.isdigit() or status in {"200", "201"} or (status == "202" and "/1/Policy" not in place)


def test_examples_are_valid(spec: Spec) -> None:
    found = []
    for place, content in bodies(spec):
        for example in content.get("examples", {}).values():
            strict_validator(spec, content["schema"]).validate(example["value"])
            found.append(place)
    wanted = [place for place, _ in bodies(spec) if needs_example(place)]
    assert found == wanted, told("bodies without an example", set(wanted) - set(found))


def test_links_lead_to_operations(spec: Spec) -> None:
    ids = {operation["operationId"]: place for place, operation in described(spec)}
    linked: set[str] = set()
    for _, operation in described(spec):
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                (parameter,) = link["parameters"]
                assert f"{{{parameter}}}" in ids[link["operationId"]]
                linked.add(link["operationId"])
    unlinked = [id_ for id_, place in ids.items() if "{" in place and id_ not in linked]
    assert unlinked == [], told("operations that no other one leads to", unlinked)


def test_requests_refuse_unknown_fields(spec: Spec) -> None:
    sent = [name for name in spec["components"]["schemas"] if name.endswith("Request")]
    assert sent
    for name in sent:
        assert spec["components"]["schemas"][name]["additionalProperties"] is False, name


def test_page_names_no_other_host() -> None:
    client = build(Settings.model_construct(redis_url="memory://")).test_client()
    html = client.get("/docs").text
    references = re.findall(r'(?:src|href|url)[=:] ?"([^"]+)"', html + page.START)
    assert len(references) == 6
    for reference in references:
        assert "//" not in reference
        with client.get(f"/{reference}") as answer:
            assert answer.status_code == 200, reference
            assert answer.data, reference
    assert "script-src 'self';" in client.get("/docs").headers["Content-Security-Policy"]
    assert "unsafe" not in page.POLICY
    assert client.get("/docs/swagger-ui-bundle.js.map").status_code == 404


def resolved(spec: Spec, response: Spec) -> Spec:
    name = str(response.get("$ref", "")).rpartition("/")[2]
    found: Spec = spec["components"]["responses"][name] if name else response
    return found
