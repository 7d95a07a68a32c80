"""Generated requests as an admin and as a client: no 5xx, nothing outside the document, no other tenant's data.

Oracle: the OpenAPI document, and a marker in everything that belongs to another tenant. `make fuzz` runs this for
longer, with other requests each time.
"""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.api_callers import As, callers
from tests.harness.api_fuzzing import Findings, Run, fuzz
from tests.harness.subscriptions import document
from webhookd.settings import Settings
from webhookd.store.database import Database

MARKER = "belongs-to-beta"

ALWAYS_SUCCEEDS = {
    "GET /1/Subscription",
    "POST /1/Subscription",
    "GET /1/Subscription/{subscription_id}",
    "GET /health",
}


@pytest.fixture
def settings() -> Settings:
    """The defaults, with API keys; without limits of requests and addresses, and with topics that need no policy."""
    return Settings(
        redis_url="memory://",
        topics_without_policy="open",
        api_key_requests_per_minute=0,
        api_address_requests_per_minute=0,
        egress_allow=("0.0.0.0/0", "::/0"),
    )


@pytest.mark.parametrize("who", [As.ADMIN, As.CLIENT])
def test_generated_requests_get_documented_answers(
    app: Flask,
    client: FlaskClient,
    database: Database,
    who: As,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds: int = pytestconfig.getoption("--fuzz")
    known = callers(client, database)
    planted = known.ask(As.OTHER, "POST", "/1/Subscription", document("name", MARKER))
    assert planted.status_code == 201
    run = Run(
        headers=known.headers(who),
        own_key=known.keys[who].split("_")[1],
        secret="" if who is As.ADMIN else MARKER,
        max_examples=100_000 if seconds else 4,
        coverage=bool(seconds),
        seconds=seconds // 2 or None,
        seed=pytestconfig.getoption("--seed") if seconds else 1,
    )
    found = fuzz(app, run)
    if seconds:
        with capsys.disabled():  # for whoever ran `make fuzz`
            print(f"{sum(found.statuses.values())} requests as {who.name.lower()}, seed {run.seed}")  # noqa: T201
    assert found.faults == {}, told(found)
    assert found.successes() >= ALWAYS_SUCCEEDS, told(found)


def told(found: Findings) -> str:
    lines = [f"{count} × {operation}: {status}" for (operation, status), count in sorted(found.statuses.items())]
    return "\n".join([*lines, *(f"{fault}\n    {sample}" for fault, sample in found.faults.items())])
