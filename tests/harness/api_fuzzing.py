"""Sends generated requests to the API, from its OpenAPI document, and compares each answer with it (Schemathesis).

    examples     the requests of the document
    coverage     boundaries of every parameter and field, and what lies outside of them (only in long runs)
    fuzzing      random documents, valid and not
    stateful     chains of requests along the links of the document

Checked in each answer: no 5xx, the statuses, media types, headers and bodies that the document has, no success for what
the document excludes, no refusal of what it allows, and a deleted document is gone.
"""

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import schemathesis
from flask import Flask
from hypothesis import strategies
from schemathesis import Case, HookContext, Response, hooks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import UseAfterFree
from schemathesis.schemas import BaseSchema

from api.resources.subscription.authentication_schemas import ALLOWED, BASIC, OAUTH2

FILTERS: Final = ("total >= `100`", "customer == 'a' && !test", "items[?price > `1`].name | [0]", "starts_with(a, 'b')")

NOT_GENERATED: Final = frozenset(
    {"dead_letter_topic", "expires_at", "id", "secret", "start", "text", "tls", "version", "warnings"}
)
"""Fields left out of valid bodies, because their rules are not in the schema: a topic must exist, a time lies in the
next ten years, a start cannot change, a masked secret has to be stored, a record has one value, certificates have to be
real, a version is the current one, and some fields belong to responses."""

PATHS: Final = frozenset({"include", "exclude"})
"""Fields with paths, whose rules are not in the schema either."""

WHOLE_AUTHENTICATION: Final = {
    **dict.fromkeys(ALLOWED[OAUTH2]),
    "kind": BASIC,
    "username": "shop",
    "password": "secret",
}
"""An authentication that replaces whichever is stored."""

PRECONDITIONS: Final = frozenset({"If-Match", "If-None-Match"})

NOT_ASKED: Final = frozenset({"cursor", "external_id", "label", "name"})
"""Query parameters left out of valid requests: a cursor comes from an answer, and the others have to be printable."""

STAYING: Final = frozenset(
    {
        "DELETE /1/Subscription/{subscription_id}/DeadLetter",
        "DELETE /1/Key/{key_id}",
        "DELETE /1/Policy/{policy_id}",
    }
)
"""Deletions after which something still exists: an empty list, the revoked key, the history of the policy."""

REFUSALS: Final = ("400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429")
"""How a request that the document excludes is refused. Schemathesis does not expect 412 and 413: a wrong body may also
be too large, or come with a precondition that does not hold."""

schemathesis.openapi.format("jmespath", strategies.sampled_from(FILTERS))
# From the pattern alone it takes half a minute to find 50 headers that differ.
schemathesis.openapi.format("http-header", strategies.from_regex(r"\AX-[A-Za-z0-9]{1,12}: [!-~]{0,12}\Z"))


@dataclass(slots=True)
class Findings:
    """What a run has found, and how often each operation answered with each status."""

    faults: dict[str, str] = field(default_factory=dict)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    def successes(self) -> set[str]:
        """The operations that have answered with a success."""
        return {operation for operation, status in self.statuses if status < 300}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long a run is; `own_key` is the public part of the caller's key, which must not be revoked meanwhile."""

    headers: Mapping[str, str]
    own_key: str = ""
    secret: str = ""
    max_examples: int = 5
    coverage: bool = False
    seconds: int | None = None
    seed: int = 1


def fuzz(app: Flask, run: Run) -> Findings:
    """Do a run. `secret` is a text that no answer may contain: it belongs to another tenant."""
    found = Findings()
    prepare = schemathesis.hook(_prepare(run.own_key))
    try:
        _execute(_schema(app, run), run, found)
    finally:
        hooks.unregister(prepare)
    return found


def _execute(schema: BaseSchema, run: Run, found: Findings) -> None:
    for event in from_schema(schema).execute():
        match event:
            case events.NonFatalError():
                found.faults[f"{event.label}: {event.value}"] = ""
            case events.FatalError():
                raise event.exception
            case events.ScenarioFinished():
                _note(found, event, run.secret)
            case _:
                pass


def _schema(app: Flask, run: Run) -> BaseSchema:
    config = SchemathesisConfig(seed=run.seed, max_time=run.seconds)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)
    project = schema.config
    project.headers = dict(run.headers)
    project.generation.max_examples = run.max_examples
    project.generation.deterministic = run.seconds is None
    project.generation.no_shrink = run.seconds is None
    # It sends requests again in a way that fails for an application in the same process (Schemathesis 4.32).
    # tests/integration/api/test_every_operation.py walks every operation without a key.
    project.checks.ignored_auth.enabled = False
    project.checks.negative_data_rejection.expected_statuses = list(REFUSALS)
    project.phases.coverage.enabled = run.coverage
    return schema


def _prepare(own_key: str) -> Any:  # noqa: ANN401  # Schemathesis calls a hook by its name
    def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
        if own_key and own_key in str(case.path_parameters):
            case.path_parameters = {**case.path_parameters, "key_id": "0" * len(own_key)}
        if case.meta is not None and case.meta.generation.mode.is_positive:
            case.body = _acceptable(case.body)
            if case.operation.path.startswith("/1/Subscription") and isinstance(case.body, dict):
                case.body.pop("tenant", None)  # it has to be the caller's, and stays
            if case.operation.method.upper() == "PATCH":
                _with_whole_authentication(case.body)
            if case.operation.path == "/1/Policy/DryRun" and isinstance(case.body, dict):
                case.body["topic"] = "orders"  # it exists
            case.query = _acceptable_query(case.query)
            case.headers = _acceptable_headers(case.headers)

    return before_call


def _acceptable(part: Any) -> Any:  # noqa: ANN401  # any JSON there is
    """Return a valid body without what breaks the rules that JSON Schema has no words for."""
    if isinstance(part, list):
        return [_acceptable(one) for one in part]
    if isinstance(part, float) and part.is_integer():
        return int(part)  # JSON Schema counts 1.0 as an integer, webhookd does not
    if isinstance(part, str):
        return part.replace("****", "secret").replace("\0", "")  # a mask needs a stored value; no text has a NUL
    if not isinstance(part, dict):
        return part
    found = {name: _acceptable(value) for name, value in part.items() if name not in NOT_GENERATED}
    if found.keys() & PATHS:
        found |= {name: ["id", "items[].price"] for name in found.keys() & PATHS}
    if found.get("effect") == "deny":
        found.pop("projection", None)  # nothing is seen
    if found.get("headers"):
        found["headers"] = _with_different_names(found["headers"])
    if found.get("source"):
        for index, one in enumerate(found["source"]):
            one["topic"] = f"topic-{index}"
    return found


def _with_whole_authentication(patch: Any) -> None:  # noqa: ANN401  # any JSON there is
    """Complete a part of an authentication, which is valid only if the other fields of its kind are stored."""
    destination = patch.get("destination") if isinstance(patch, dict) else None
    webhook = destination.get("webhook") if isinstance(destination, dict) else None
    if isinstance(webhook, dict) and isinstance(webhook.get("authentication"), dict):
        webhook["authentication"] = dict(WHOLE_AUTHENTICATION)


def _with_different_names(headers: list[Any]) -> list[Any]:
    """Return the headers of a subscription without names that differ in upper and lower case only."""
    return list({str(one).partition(":")[0].lower(): one for one in headers}.values())


def _acceptable_headers(headers: Any) -> Any:  # noqa: ANN401  # what Schemathesis has for "no header" as well
    """Return valid headers without a version that is not the current one, and with a key that is not used again."""
    found = type(headers)({name: text for name, text in (headers or {}).items() if name not in PRECONDITIONS})
    if "Idempotency-Key" in found:
        found["Idempotency-Key"] = str(uuid.uuid4())
    return found


def _acceptable_query(query: Any) -> Any:  # noqa: ANN401  # what Schemathesis has for "no query" as well
    if not isinstance(query, dict):
        return query
    left_out = NOT_ASKED | ({"sort"} if "after" in query else set())
    return {name: value for name, value in query.items() if name not in left_out}


def _note(found: Findings, event: events.ScenarioFinished, secret: str) -> None:
    for id_, node in event.recorder.cases.items():
        interaction = event.recorder.interactions.get(id_)
        response = interaction.response if interaction else None
        if response is None:
            continue
        label = node.value.operation.label
        found.statuses[label, response.status_code] += 1
        if secret and secret in _everything(response):
            found.faults[f"{label}: shows what belongs to another tenant"] = _everything(response)
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is None:
                continue
            failure = check.failure_info.failure
            if not (isinstance(failure, UseAfterFree) and failure.operation in STAYING):
                key = f"{failure.operation}: {failure.title}: {failure.message[:300]}"
                found.faults.setdefault(key, check.failure_info.code_sample)


def _everything(response: Response) -> str:
    return json.dumps(dict(response.headers)) + response.text
