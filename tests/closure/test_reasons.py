"""Every reason code has its meaning: in flow/status/reason_codes.py, in the mails and in the docs.

Oracle: Python's own parser over the modules that raise problems, and the tables of the docs, read by their pipes.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.resources.health.health_report import NO_INGEST, NOT_STARTED
from api.resources.subscription.registration_warnings import WarningCode
from webhookd.errors import ClusterMismatch, SecretKeysMissing, Unavailable, UnusableSubscription
from webhookd.flow.alerting.failure_advice import TO_DO
from webhookd.flow.alerting.problem_advice import BATCH_ADVICE, FIX_INSIDE, PROBLEM_ADVICE, advice
from webhookd.flow.alerting.system_fault_text import MEANING
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.monitoring import kafka_read_errors
from webhookd.flow.monitoring.subscription_stall import TOLERATED_S
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.reason_codes import EXCHANGE_CODES, WEBHOOKD_CODES, meaning, table_key
from webhookd.flow.subscription import OnExhausted
from workers.ingest.monitoring import kafka_outage_statuses

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "reference" / "statuses.md").read_text(encoding="utf-8")
REGISTER = (ROOT / "docs" / "how-to" / "register.md").read_text(encoding="utf-8")
RAISERS = {"begin_problem": 0, "_begin_or_end": 0, "unhealthy": 1, "Stall": 0, "Problem": -1}
"""Calls that name a reason, with the place of its code; -1: only as the keyword `code`."""

PASSED_ON = {
    "code",
    "error.code",
    "owner.health.last_code",
    "reachability.code",
    "report.failure.error if report.failure else ''",
}
"""Codes of exchanges and of Kafka's probe, and those that an earlier call has named."""

NAMED_ELSEWHERE = {UnusableSubscription.code, WORKER_LOST, *kafka_outage_statuses.CODES, *kafka_read_errors.CODES}
"""By the error that is caught, by the settlement of a lost delivery, by Kafka's probe, and by what Kafka refuses."""

NEVER_A_REASON = {FailureCode.SHUTDOWN}
"""webhookd's own stop is nobody's failure (workers/delivery/delivery_sender.py)."""


def named_codes(path: Path) -> Iterator[tuple[str, str]]:
    """Every code that a module names as a reason, and the place."""
    names = vars(importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        argument = _code_argument(node) if isinstance(node, ast.Call) else None
        if argument is not None and ast.unparse(argument) not in PASSED_ON:
            yield _value(argument, names), f"{path.relative_to(ROOT)}:{argument.lineno}"


def _code_argument(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if name not in RAISERS:
        return None
    place = RAISERS[name]
    by_name = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    by_place = call.args[place : place + 1] if place >= 0 else []
    return next(iter([*by_name, *by_place]), None)


def _value(argument: ast.expr, names: dict[str, Any]) -> str:
    found = eval(ast.unparse(argument), dict(names))  # noqa: S307 - our own source
    assert isinstance(found, str)
    return found


def table(heading: str) -> set[str]:
    """The codes in the first column of the table under a heading of docs/reference/statuses.md."""
    section = DOCS.split(f"## {heading}\n", 1)[1].split("\n#", 1)[0]
    first = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| `")]
    return {code.strip().strip("`") for cell in first for code in cell.split(",")}


def meanings(heading: str) -> dict[str, str]:
    """The second column of that table, by the code in the first one."""
    section = DOCS.split(f"## {heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[1].strip().strip("`"): row[2].strip() for row in rows}


@cache
def raised() -> list[tuple[str, str]]:
    """Each reason that is raised, and the place; not read at import, which each process of pytest does."""
    paths = [path for package in ("workers", "webhookd") for path in (ROOT / package).rglob("*.py")]
    return [found for path in paths for found in named_codes(path)]


def test_each_reason_raised_is_explained() -> None:
    assert [(code, place) for code, place in raised() if code not in WEBHOOKD_CODES] == []


def test_each_reason_explained_is_raised() -> None:
    assert WEBHOOKD_CODES.keys() - {code for code, _ in raised()} - NAMED_ELSEWHERE == set()


def test_each_own_reason_has_its_advice() -> None:
    assert WEBHOOKD_CODES.keys() == PROBLEM_ADVICE.keys() | BATCH_ADVICE.keys()


def test_each_failure_of_an_exchange_is_explained_and_has_its_advice() -> None:
    codes = {str(code) for code in FailureCode if code not in NEVER_A_REASON}
    assert (codes - EXCHANGE_CODES.keys(), EXCHANGE_CODES.keys() ^ TO_DO.keys()) == (set(), set())


@pytest.mark.parametrize("status", [100, 302, 400, 401, 410, 418, 429, 500, 503, 599, 600, 999])
def test_each_http_status_is_explained_and_has_its_advice(status: int) -> None:
    code = f"http_{status}"
    assert meaning(code)
    assert advice(code, OnExhausted.PAUSE)[1] == TO_DO[table_key(code)] != FIX_INSIDE


def test_each_stall_is_a_reason() -> None:
    assert TOLERATED_S.keys() <= WEBHOOKD_CODES.keys()


def test_docs_list_each_reason_and_no_other() -> None:
    assert table("Reasons of a subscription") == WEBHOOKD_CODES.keys() | EXCHANGE_CODES.keys()


def test_docs_give_each_reason_and_fault_the_meaning_that_webhookd_shows() -> None:
    shown = {**WEBHOOKD_CODES, **EXCHANGE_CODES}
    faults = {code: text for code, (text, _) in MEANING.items()}
    assert meanings("Reasons of a subscription") == shown
    assert {code: text for code, text in meanings("Faults of the system").items() if code in faults} == faults


def test_docs_list_each_state_of_deliveries_and_no_other() -> None:
    assert table("What the deliveries do") == {str(state) for state in DeliveryState}


def test_docs_list_each_fault_of_the_system_and_no_other() -> None:
    assert table("Faults of the system") == MEANING.keys() | {NO_INGEST, NOT_STARTED}


def test_each_part_that_can_be_at_fault_has_its_mail() -> None:
    codes = {error.code for error in Unavailable.__subclasses__()} - {
        ClusterMismatch.code,  # it ends the process
        SecretKeysMissing.code,  # it refuses a request
    }
    assert codes - MEANING.keys() == set()


def test_each_warning_has_its_row_in_the_docs() -> None:
    table = REGISTER.split("\n## Warnings\n", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(WarningCode)
