"""The reference in docs/reference says what the code does: nothing is missing there, and nothing is left over.

Oracle: the generators in `reference`, which read settings, commands and the OpenAPI document from the code itself;
Python's own parser over every call that logs; the classes of errors. Each failure names what is missing where.
"""

import ast
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from importlib import import_module
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.exceptions import ImATeapot

from api.extensions.error_responses import KNOWN, STATUS, from_http_error, from_unexpected
from api.extensions.problem_types import API_ERRORS, HTTP_ERRORS, PROBLEM_TYPES, status_of
from documentation.reference.api_page import described, document
from documentation.reference.codes_page import LOG_ERRORS, RECORD_CAUSES
from documentation.reference.commands_page import contexts, options
from documentation.reference.log_events import logged
from documentation.reference.pages import FOLDER, PAGES
from tests.closure.findings import told
from webhookd.errors import (
    FilterFault,
    IngestFull,
    InvalidFilter,
    MailUnavailable,
    MailUndeliverable,
    NoTemporaryDirectory,
    NoWorkers,
    QueueStalled,
    QueueUnavailable,
    RowsRefused,
    Unavailable,
    UndecodableRecord,
    UnusableDestination,
    UpkeepDelayed,
    WebhookdError,
    WorkersLackKeys,
    WorkersLackStore,
)
from webhookd.flow.alerting.system_fault_text import MEANING
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST
from webhookd.flow.status.reason_codes import EXCHANGE_CODES, WEBHOOKD_CODES
from webhookd.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

NEVER_ANSWERED: Mapping[type[WebhookdError], str] = {
    InvalidFilter: "the schema answers it as invalid_input, with the field",
    Unavailable: "the base of the others",
    QueueUnavailable: "a notification that fails does not fail the request",
    MailUnavailable: "only ingest sends mails",
    MailUndeliverable: "only ingest sends mails",
    RowsRefused: "only ingest writes rows again and again",
    UpkeepDelayed: "only ingest renews offsets",
    IngestFull: "only ingest runs subscriptions",
    NoWorkers: "only ingest watches the queues",
    UnusableDestination: "only workers find it; its code is a reason in the status",
    WorkersLackKeys: "only ingest reads the heartbeats of workers",
    WorkersLackStore: "only ingest reads the heartbeats of workers",
    QueueStalled: "only ingest watches the queues",
}
"""Errors that have an HTTP status by their base class, and that no request raises; each with the reason."""

NEVER_SHOWN = {WebhookdError, UndecodableRecord, FilterFault, InvalidFilter, Unavailable, NoTemporaryDirectory}
"""Errors whose own code nobody sees: bases of others, UndecodableRecord, which shows its cause, and
NoTemporaryDirectory, whose text is the only line of a process that does not start."""


NAMED_CAUSES = {"unreadable", WORKER_LOST}
"""Of records whose reading raises another error, and of batches that nobody reported on."""


def kinds_of(base: type[WebhookdError]) -> Iterator[type[WebhookdError]]:
    """An error class of the product, and all below it."""
    if base.__module__.startswith(("webhookd.", "api.")):
        yield base
    for kind in base.__subclasses__():
        yield from kinds_of(kind)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_code_says(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    changes = list(unified_diff(committed, PAGES[name]().splitlines(), lineterm="", n=0))
    assert changes == [], told(f"docs/reference/{name} is out of date: run `make reference` and commit it", changes)


def test_each_setting_says_what_it_is_for() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == [], told("settings without a description in webhookd/settings.py", silent)


def test_each_setting_belongs_to_a_subject() -> None:
    grouped = [name for subject in Settings.subjects() for name in subject.model_fields]
    assert sorted(grouped) == sorted(Settings.model_fields)


def test_each_command_and_option_says_what_it_does() -> None:
    silent = [context.command_path for context in contexts() if not context.command.help]
    silent += [f"{c.command_path} {option.opts[0]}" for c in contexts() for option in options(c) if not option.help]
    assert silent == [], told("commands and options without help", silent)


def test_each_field_of_the_api_is_described() -> None:
    schemas = document()["components"]["schemas"]
    silent = [
        f"{owner}.{name}"
        for owner, schema in schemas.items()
        for name, field in schema["properties"].items()
        if owner != "PaginationMetadata" and not described(field, schemas)  # flask-smorest's own, which nothing uses
    ]
    assert silent == [], told("fields without a description in api/resources/*/schemas.py", silent)


def test_each_parameter_of_the_api_is_described() -> None:
    silent = [
        f"{path} {parameter['name']}"
        for path, item in document()["paths"].items()
        for operation in item.values()
        for parameter in (operation if isinstance(operation, list) else operation.get("parameters", []))
        if "description" not in parameter
    ]
    assert silent == [], told("parameters without a description in api/resources/*/{schemas,routes}.py", silent)


def test_each_code_in_the_log_is_explained() -> None:
    known = {*explained_codes(), *MEANING}
    unknown = [f"{c.place}: {c.code}" for c in logged(ROOT) if c.code and c.code not in {c.event, *known}]
    assert unknown == [], told("codes that neither docs/reference/codes.md nor statuses.md explains", unknown)


def test_each_error_is_explained() -> None:
    known = {*explained_codes(), *MEANING, *WEBHOOKD_CODES}
    missing = [kind.__name__ for kind in kinds_of(WebhookdError) if kind.code not in known and kind not in NEVER_SHOWN]
    assert missing == [], told("errors whose code no page explains (reference/codes_page.py)", missing)


def explained_codes() -> set[str]:
    """The codes that docs/reference/codes.md has."""
    return PROBLEM_TYPES.keys() | LOG_ERRORS.keys() | RECORD_CAUSES.keys() | EXCHANGE_CODES.keys() | set(FailureCode)


def test_each_error_that_the_api_answers_is_listed_and_no_other() -> None:
    answered = {kind for base, _ in STATUS for kind in kinds_of(base) if kind not in NEVER_ANSWERED}
    listed = {kind.code: status_of(kind) for kind in API_ERRORS}
    assert listed == {kind.code: status_of(kind) for kind in answered}, "api/extensions/problem_types.py: API_ERRORS"


def test_each_http_error_that_the_api_answers_is_listed_and_no_other() -> None:
    with Flask("closure").test_request_context("/"):
        unforeseen = from_unexpected(ValueError("nobody thought of this"))
    codes = {name for name, _ in KNOWN.values()} | {from_http_error(ImATeapot()).code, unforeseen.code}
    assert HTTP_ERRORS.keys() | {"not_found", "error"} == codes, "api/extensions/problem_types.py: HTTP_ERRORS"
    assert {(status, code) for status, (code, _) in KNOWN.items()} - {(404, "not_found")} == {
        (status, code) for code, (status, *_) in HTTP_ERRORS.items() if code != unforeseen.code
    }


def test_each_code_of_the_api_has_a_page_and_no_other() -> None:
    pages = {path.stem for path in (FOLDER / "problems").glob("*.md")}
    assert pages == set(PROBLEM_TYPES), "run `make reference`, and delete pages of codes that are gone"


def test_each_cause_of_a_dead_letter_is_listed_and_no_other() -> None:
    causes = {*undecodable_causes(), *(kind.code for kind in FilterFault.__subclasses__()), *NAMED_CAUSES}
    assert RECORD_CAUSES.keys() == causes, "reference/codes_page.py: RECORD_CAUSES"


def undecodable_causes() -> Iterator[str]:
    """The cause of each UndecodableRecord that a module makes."""
    for path in sorted((ROOT / "webhookd").rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func) == "UndecodableRecord":
                module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                yield getattr(module, ast.unparse(call.args[0]))
