"""Every operation of the API as every kind of caller: who is let in, and with which status.

OPERATIONS lists every route with each of its methods; a route that is missing there fails the test. To add one, say who
may call it and what the answer is. Real: Flask, the routes, SQLite. In memory: Kafka.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from api.application import create_app
from api.extensions.authorization import OPEN_ENDPOINTS, operations
from tests.harness.api_callers import OTHER_TENANT, TENANT, As, Callers, made_key
from tests.harness.dead_letters import dead_letter
from tests.harness.policies import OPERATOR, policy
from tests.harness.subscriptions import ID, OTHER_ID, document, signed_destination, subscription
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.flow.access.caller import Role
from webhookd.flow.destination import Verification
from webhookd.settings import Settings
from webhookd.store import dead_letters, policies, subscriptions
from webhookd.store.database import Database
from webhookd.store.key_changes import NewKey
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

WITHOUT_VALID_KEY = (As.EXPIRED, As.REVOKED, As.UNKNOWN, As.WRONG, As.RUBBISH, As.NOBODY)

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What each caller gets. `other` is the status for a client of another tenant, None where it has its own rows."""

    admin: int
    client: int
    viewer: int
    other: int
    nobody: int = 401
    body: object = None


def for_admins(status: int, body: object = None) -> Operation:
    return Operation(admin=status, client=403, viewer=403, other=403, body=body)


def reads_one() -> Operation:
    return Operation(admin=200, client=200, viewer=200, other=404)


def changes_one(status: int, body: object = None) -> Operation:
    return Operation(admin=status, client=status, viewer=403, other=404, body=body)


def is_open(status: int) -> Operation:
    return Operation(admin=status, client=status, viewer=status, other=status, nobody=status)


ONE = "/1/Subscription/<uuid:subscription_id>"
KEY = "/1/Key/<string:key_id>"
POLICY = "/1/Policy/<uuid:policy_id>"
LITERAL = {"url": "https://8.8.8.8/hook"}
ALLOW = {"topic": "orders", "effect": "allow"}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/1/Subscription"): Operation(admin=200, client=200, viewer=200, other=200),
    ("POST", "/1/Subscription"): Operation(admin=201, client=201, viewer=403, other=201, body=document()),
    ("POST", "/1/Subscription/EndpointCheck"): Operation(admin=200, client=200, viewer=403, other=200, body=LITERAL),
    ("GET", ONE): reads_one(),
    ("PUT", ONE): changes_one(200, document()),
    ("PATCH", ONE): changes_one(200, {"description": "for invoices"}),
    ("DELETE", ONE): changes_one(204),
    ("GET", f"{ONE}/SigningSecret"): changes_one(200),
    ("POST", f"{ONE}/SigningSecret/Rotate"): changes_one(200, {}),
    ("POST", f"{ONE}/Verification"): changes_one(202),
    ("GET", f"{ONE}/Status"): reads_one(),
    ("GET", f"{ONE}/DeadLetter"): reads_one(),
    ("DELETE", f"{ONE}/DeadLetter"): changes_one(200),
    ("GET", "/1/EventNotificationAdmin"): for_admins(200),
    ("POST", "/1/EventNotificationAdmin"): for_admins(200, {"status": "online"}),
    ("GET", "/1/Key"): for_admins(200),
    ("POST", "/1/Key"): for_admins(201, {"name": "n", "role": "viewer", "tenant": TENANT}),
    ("GET", KEY): for_admins(200),
    ("DELETE", KEY): for_admins(204),
    ("POST", f"{KEY}/Rotate"): for_admins(201, {}),
    ("GET", "/1/AuditLog"): for_admins(200),
    ("GET", "/1/Policy"): for_admins(200),
    ("POST", "/1/Policy"): for_admins(201, ALLOW),
    ("GET", POLICY): for_admins(200),
    ("PUT", POLICY): for_admins(200, ALLOW),
    ("DELETE", POLICY): for_admins(204),
    ("GET", f"{POLICY}/Version"): for_admins(200),
    ("GET", "/1/Policy/Confirmation"): for_admins(200),
    ("POST", "/1/Policy/DryRun"): for_admins(200, {"topic": "orders", "records": [{"value": 1}]}),
    ("GET", "/health"): is_open(200),
    ("GET", "/ready"): is_open(200),
    ("GET", "/openapi.json"): is_open(200),
    ("GET", "/docs"): is_open(200),
    ("GET", "/docs/<name>"): is_open(200),
    ("GET", "/problems/<code>"): is_open(200),
}
FILES = {"<name>": "start.js", "<code>": "not_found"}
"""Values of the variables of routes that are about nothing in the database."""

NEED_NO_DATABASE = ("/health", "/openapi.json", "/docs", "/docs/<name>", "/problems/<code>")

IMPLIED = {"HEAD", "OPTIONS"}
"""Methods that Flask adds: HEAD is as GET, OPTIONS is open."""

OF_ONE_TENANT = [place for place, operation in OPERATIONS.items() if operation.other == 404]


@pytest.fixture
def path_of(database: Database) -> "Paths":
    return Paths(database)


class Paths:
    """The path of a route, below a subscription, a key and a policy that exist anew for each request.

    The policy allows every tenant to read the topic of the subscription.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, rule: str) -> str:
        """Make what the route is about, and return its path."""
        key = made_key(self._database, NewKey(name="n", role=Role.CLIENT, tenant=TENANT)).key
        with self._database.transaction() as session:
            if ID not in subscriptions.versions(session):
                asked = replace(signed_destination(), verification=Verification.ECHO)
                subscriptions.insert(session, subscription(tenant=TENANT, destination=asked))
            if not policies.read(session).policies:
                allows = policy(str(uuid.uuid4()), topic="*", projection=None)
                policies.create(session, allows, OPERATOR, limit=10)
            session.execute(update(SubscriptionRow).values(changed_at=0.0))  # else its endpoint is being asked
            policy_id = policies.read(session).policies[0].id
            dead_letters.append(session, [dead_letter(ID, 7)] if not dead_letters.count(session, ID) else [])
        ids = {"<uuid:subscription_id>": ID, "<string:key_id>": key.id, "<uuid:policy_id>": policy_id, **FILES}
        return reduce(lambda path, name: path.replace(name, ids[name]), ids, rule)


def expected(operation: Operation) -> dict[As, int]:
    """The status for each caller; a client of another tenant is another test's where the row is not its own."""
    found = {As.ADMIN: operation.admin, As.CLIENT: operation.client, As.VIEWER: operation.viewer}
    if operation.other != 404:
        found[As.OTHER] = operation.other
    return found | dict.fromkeys(WITHOUT_VALID_KEY, operation.nobody)


def test_every_route_is_in_the_table(keyed_app: Flask) -> None:
    routes = {(method, str(rule)) for rule, method in operations(keyed_app) if method not in IMPLIED}
    assert routes == set(OPERATIONS)


@pytest.mark.parametrize("place", OPERATIONS, ids=" ".join)
def test_each_caller_gets_its_status(asked: Callers, path_of: Paths, place: tuple[str, str]) -> None:
    method, rule = place
    operation = OPERATIONS[place]
    got = {who: asked.ask(who, method, path_of(rule), operation.body) for who in expected(operation)}
    assert {who: answer.status_code for who, answer in got.items()} == expected(operation)
    for who, answer in got.items():
        assert_is_an_answer_of_ours(who, answer.status_code, answer.headers.get("WWW-Authenticate"))


def assert_is_an_answer_of_ours(who: As, status: int, challenge: str | None) -> None:
    if status != 401:
        assert challenge is None
    elif who is As.NOBODY:
        assert challenge == 'Bearer realm="webhookd"'
    else:
        assert challenge == 'Bearer realm="webhookd", error="invalid_token"'


@pytest.mark.parametrize("place", [place for place in OPERATIONS if place[0] == "GET"], ids=" ".join)
def test_head_is_for_those_who_may_get(asked: Callers, path_of: Paths, place: tuple[str, str]) -> None:
    statuses = {who: asked.ask(who, "HEAD", path_of(place[1])).status_code for who in expected(OPERATIONS[place])}
    assert statuses == expected(OPERATIONS[place])


@pytest.mark.parametrize("rule", sorted({rule for _, rule in OPERATIONS}))
def test_options_lists_the_methods_to_everybody(asked: Callers, path_of: Paths, rule: str) -> None:
    answer = asked.ask(As.NOBODY, "OPTIONS", path_of(rule))
    listed = set(answer.headers["Allow"].split(", ")) - IMPLIED
    assert (answer.status_code, answer.data) == (200, b"")
    assert listed == {method for method, other in OPERATIONS if other == rule}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PATCH", "/1/Key", 405)])
def test_what_does_not_exist_needs_no_key(asked: Callers, method: str, path: str, status: int) -> None:
    assert asked.ask(As.NOBODY, method, path).status_code == status


@pytest.mark.parametrize("place", OPERATIONS, ids=" ".join)
def test_no_operation_lets_anyone_in_while_the_database_is_down(
    keyed_settings: Settings, kafka: MemoryKafkaAdmin, asked: Callers, path_of: Paths, place: tuple[str, str]
) -> None:
    down = create_app(
        keyed_settings,
        database=Database("postgresql+psycopg2://u:p@127.0.0.1:1/d"),
        kafka_offsets=kafka,
        notifier=ChangeNotifier(parse("memory://")),
    )
    method, rule = place
    operation = OPERATIONS[place]
    answer = replace(asked, client=down.test_client()).ask(As.ADMIN, method, path_of(rule), operation.body)
    assert answer.status_code == (200 if rule in NEED_NO_DATABASE else 503)
    if rule == "/health":
        assert answer.get_json() == {"status": "degraded"}
    elif rule == "/ready":
        assert "store_unavailable" in answer.get_json()["details"]["database"]


@pytest.mark.parametrize("place", OF_ONE_TENANT, ids=" ".join)
def test_another_tenants_row_does_not_exist(asked: Callers, path_of: Paths, place: tuple[str, str]) -> None:
    method, rule = place
    body = OPERATIONS[place].body
    answer = asked.ask(As.OTHER, method, path_of(rule), body)
    absent = asked.ask(As.OTHER, method, rule.replace("<uuid:subscription_id>", UNKNOWN_ID), body)
    assert answer.status_code == absent.status_code == 404
    assert answer.text.replace(ID, "") == absent.text.replace(UNKNOWN_ID, "")


@pytest.mark.parametrize("who", [As.CLIENT, As.VIEWER, As.OTHER])
def test_lists_have_the_rows_of_the_own_tenant_alone(asked: Callers, database: Database, who: As) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription(ID, tenant=TENANT))
        subscriptions.insert(session, subscription(OTHER_ID, tenant=OTHER_TENANT))
    listed = asked.ask(who, "GET", "/1/Subscription").get_json()
    assert [item["id"] for item in listed] == [OTHER_ID if who is As.OTHER else ID]


def test_a_client_registers_for_its_own_tenant(asked: Callers, path_of: Paths, database: Database) -> None:
    path_of("/1/Policy")  # makes the one that allows every topic
    created: dict[str, Any] = asked.ask(As.CLIENT, "POST", "/1/Subscription", document()).get_json()
    with database.transaction() as session:
        assert subscriptions.find(session, created["id"]).tenant == TENANT


def test_the_open_endpoints_of_libraries_exist(keyed_app: Flask) -> None:
    assert keyed_app.view_functions.keys() >= OPEN_ENDPOINTS
