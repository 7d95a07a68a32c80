"""A tenant does not see the content of dead letters that were stored under earlier policies; operators do."""

from typing import Any

import pytest
from sqlalchemy import update

from tests.harness.api_callers import TENANT, As, Callers
from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import ID, subscription
from webhookd import clock
from webhookd.store import dead_letters, subscriptions
from webhookd.store.access_tables import PolicyVersionRow
from webhookd.store.database import Database
from webhookd.store.tables import DeadLetterRow

PATH = f"/1/Subscription/{ID}/DeadLetter"
ALLOW = {"topic": "order*", "effect": "allow"}
HOUR_S = 3600.0


@pytest.fixture
def stored(asked: Callers, database: Database) -> Database:
    """A subscription with a dead letter that was stored an hour after the last change of the policies."""
    assert asked.ask(As.ADMIN, "POST", "/1/Policy", ALLOW).status_code in {201, 202}
    with database.transaction() as session:
        subscriptions.insert(session, subscription(ID, tenant=TENANT))
        dead_letters.append(session, [dead_letter(ID, 7)], tenant=TENANT)
        session.execute(update(DeadLetterRow).values(stored_at=clock.wall_clock() + HOUR_S))
    return database


def shown(asked: Callers, who: As) -> dict[str, Any]:
    (item,) = asked.ask(who, "GET", PATH).get_json()
    return {name: item[name] for name in ("hidden", "key", "headers", "value")}


def test_content_of_the_present_policies_is_shown(asked: Callers, stored: Database) -> None:
    del stored
    assert not shown(asked, As.CLIENT)["hidden"]
    assert shown(asked, As.CLIENT) == shown(asked, As.ADMIN)
    assert shown(asked, As.CLIENT)["value"] is not None


@pytest.mark.parametrize("who", [As.CLIENT, As.VIEWER])
def test_content_from_before_a_change_is_hidden_from_the_tenant(asked: Callers, stored: Database, who: As) -> None:
    with stored.transaction() as session:
        session.execute(update(DeadLetterRow).values(stored_at=clock.wall_clock() - HOUR_S))
    asked.ask(As.ADMIN, "POST", "/1/Policy", {**ALLOW, "projection": {"exclude": ["email"]}, "priority": 1})
    assert shown(asked, who) == {"hidden": True, "key": None, "headers": [], "value": None}
    assert not shown(asked, As.ADMIN)["hidden"]
    assert shown(asked, As.ADMIN)["value"] is not None


def test_change_of_a_description_hides_nothing(asked: Callers, stored: Database) -> None:
    with stored.transaction() as session:
        session.execute(update(PolicyVersionRow).values(changed_at=clock.wall_clock() - 2 * HOUR_S))
        session.execute(update(DeadLetterRow).values(stored_at=clock.wall_clock() - HOUR_S))
    (policy,) = asked.ask(As.ADMIN, "GET", "/1/Policy").get_json()
    asked.ask(As.ADMIN, "PUT", f"/1/Policy/{policy['id']}", {**ALLOW, "description": "all orders"})
    assert not shown(asked, As.CLIENT)["hidden"]
    asked.ask(As.ADMIN, "PUT", f"/1/Policy/{policy['id']}", {**ALLOW, "condition": "total > `1`"})
    assert shown(asked, As.CLIENT)["hidden"]


def test_content_of_a_topic_that_is_denied_is_hidden(asked: Callers, stored: Database) -> None:
    del stored
    (policy,) = asked.ask(As.ADMIN, "GET", "/1/Policy").get_json()
    asked.ask(As.ADMIN, "DELETE", f"/1/Policy/{policy['id']}")
    assert shown(asked, As.CLIENT)["hidden"]
