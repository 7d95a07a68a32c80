"""What clients of two tenants see of each other over HTTP, and what limits refuse. Real: Flask, routes, SQLite."""

from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import event

from api.application import create_app
from tests.harness.dead_letters import dead_letter
from tests.harness.subscriptions import OTHER_ID, document
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.flow.access.caller import Caller, Role
from webhookd.settings import Settings
from webhookd.store import dead_letters
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"


@pytest.fixture
def settings() -> Settings:
    """Small limits. No keys: the fixture below says who asks."""
    return Settings(redis_url="memory://", api_auth="none", tenant_subscriptions=2, tenant_topics_per_subscription=2)


class As:
    """Sends requests as a client of a tenant, or as an operator (None)."""

    def __init__(self, app: Flask) -> None:
        self.caller = Caller(role=Role.ADMIN)
        app.before_request(self._enter)
        self._client: FlaskClient = app.test_client()

    def __call__(self, tenant: str | None, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401  # a response
        role = Role.CLIENT if tenant else Role.ADMIN
        self.caller = Caller(role=role, tenant=tenant, key_id=tenant or "operator")
        return self._client.open(path, method=method, **options)

    def creates(self, tenant: str | None, /, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # of the document
        answer = self(tenant, "POST", PATH, json=document() | fields)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.get_json()
        return created

    def _enter(self) -> None:
        g.caller = self.caller


@pytest.fixture
def ask(app: Flask) -> As:
    """What sends the requests."""
    return As(app)


def error(answer: Any) -> tuple[int, str, list[dict[str, str]]]:  # noqa: ANN401  # a response
    body = answer.get_json()
    return answer.status_code, body["code"], body["errors"]


def test_client_creates_for_its_own_tenant(ask: As) -> None:
    assert [ask.creates("acme")["tenant"], ask.creates("acme", tenant="acme")["tenant"]] == ["acme", "acme"]


def test_client_cannot_create_for_another_tenant(ask: As) -> None:
    status, code, [wrong] = error(ask("acme", "POST", PATH, json=document() | {"tenant": "globex"}))
    assert (status, code, wrong["field"]) == (422, "invalid_input", "tenant")


def test_operator_creates_for_any_tenant(ask: As) -> None:
    assert [ask.creates(None)["tenant"], ask.creates(None, tenant="globex")["tenant"]] == ["default", "globex"]


def with_dead_letter_topic(name: str) -> dict[str, Any]:
    return document("configuration.retry.dead_letter_topic", name)


def test_client_may_not_write_into_topics_of_others(ask: As) -> None:
    status, _, [wrong] = error(ask("acme", "POST", PATH, json=with_dead_letter_topic("orders.dead")))
    assert (status, wrong["field"]) == (422, "configuration.retry.dead_letter_topic")
    # Also one that does not exist: the answer does not tell.
    absent = ask("acme", "POST", PATH, json=with_dead_letter_topic("nowhere"))
    assert absent.get_json()["errors"] == [wrong]


def test_client_keeps_the_dead_letter_topic_that_an_operator_has_set(ask: As) -> None:
    created = ask(None, "POST", PATH, json=with_dead_letter_topic("orders.dead") | {"tenant": "acme"}).get_json()
    path = f"{PATH}/{created['id']}"
    assert ask("acme", "PUT", path, json=with_dead_letter_topic("orders.dead")).status_code == 200
    assert ask("acme", "PUT", path, json=document()).status_code == 200
    assert ask("acme", "PUT", path, json=with_dead_letter_topic("orders.dead")).status_code == 422


class TestDeadLetterTopics:
    """Clients may name the topics of a pattern."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(redis_url="memory://", api_auth="none", tenant_dead_letter_topics="{tenant}.dead*")

    def test_topics_of_the_pattern_are_accepted(self, ask: As) -> None:
        assert ask("orders", "POST", PATH, json=with_dead_letter_topic("orders.dead")).status_code == 201
        status, _, [wrong] = error(ask("acme", "POST", PATH, json=with_dead_letter_topic("orders.dead")))
        assert (status, wrong["reason"]) == (422, "may be acme.dead* for this tenant")


@pytest.mark.parametrize("name", ["Acme", "-acme", "", "a" * 65, "a b", "ä"])
def test_names_of_tenants_are_checked(ask: As, name: str) -> None:
    status, _, [wrong] = error(ask(None, "POST", PATH, json=document() | {"tenant": name}))
    assert (status, wrong["field"]) == (422, "tenant")


def test_tenant_cannot_be_changed(ask: As) -> None:
    created = ask.creates(None, tenant="acme")
    path = f"{PATH}/{created['id']}"
    assert ask(None, "PUT", path, json=document()).get_json()["tenant"] == "acme"
    status, _, [wrong] = error(ask(None, "PUT", path, json=document() | {"tenant": "globex"}))
    assert (status, wrong["field"]) == (422, "tenant")


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("GET", "", None),
        ("PUT", "", document()),
        ("DELETE", "", None),
        ("GET", "/Status", None),
        ("GET", "/DeadLetter", None),
        ("DELETE", "/DeadLetter", None),
    ],
)
def test_another_tenants_id_is_answered_like_one_that_does_not_exist(
    ask: As, database: Database, method: str, suffix: str, body: object
) -> None:
    id_ = ask.creates("acme")["id"]
    with database.transaction() as session:
        dead_letters.append(session, [dead_letter(id_)], "acme")
    sent: list[str] = []
    engine = database._engine  # what it sends is the oracle
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, sql, *_: sent.append(sql))
    answers, statements = [], []
    for asked in (id_, OTHER_ID):
        sent.clear()
        answer = ask("globex", method, f"{PATH}/{asked}{suffix}", json=body)
        answers.append((answer.status_code, answer.text.replace(asked, "")))
        statements.append(sent.copy())
    assert answers[0] == answers[1]
    assert (answers[0][0], statements[0]) == (404, statements[1])
    assert len(ask("acme", "GET", f"{PATH}/{id_}/DeadLetter").get_json()) == 1


def test_list_shows_a_client_its_own_tenant_only(ask: As) -> None:
    ours, theirs = ask.creates("acme")["id"], ask.creates("globex")["id"]
    lists = [ask("acme", "GET", PATH), ask("acme", "GET", f"{PATH}?tenant=globex"), ask(None, "GET", PATH)]
    shown = [[one["id"] for one in answer.get_json()] for answer in lists]
    assert shown == [[ours], [], sorted([ours, theirs])]


def test_limit_of_subscriptions_is_each_tenants_own(ask: As, kafka: MemoryKafkaAdmin) -> None:
    for _ in range(2):
        ask.creates("acme")
    groups = len(kafka.committed)
    answer = ask("acme", "POST", PATH, json=document())
    assert error(answer)[:2] == (409, "limit_reached")
    assert "2 subscriptions" in answer.text
    assert "WEBHOOKD_TENANT_SUBSCRIPTIONS" in answer.text
    assert len(kafka.committed) == groups
    ask.creates("globex")


def test_limit_of_topics_names_the_field(ask: As) -> None:
    topics = [{"topic": f"orders-{number}"} for number in range(3)]
    status, _, [wrong] = error(ask("acme", "POST", PATH, json=document() | {"source": topics}))
    assert (status, wrong["field"]) == (422, "source")
    assert "WEBHOOKD_TENANT_TOPICS_PER_SUBSCRIPTION" in wrong["reason"]


def test_subscription_from_before_a_lower_limit_keeps_its_topics(
    ask: As, settings: Settings, database: Database, kafka: MemoryKafkaAdmin
) -> None:
    topics = [{"topic": f"orders-{number}"} for number in range(2)]
    id_ = ask.creates("acme", source=topics)["id"]
    lower = settings.model_copy(update={"tenant_topics_per_subscription": 1})
    later = As(create_app(lower, database=database, kafka_offsets=kafka, notifier=ChangeNotifier(parse("memory://"))))
    changes = [document() | {"source": topics, "name": "other"}, document() | {"source": [*topics, {"topic": "more"}]}]
    assert [later("acme", "PUT", f"{PATH}/{id_}", json=change).status_code for change in changes] == [200, 422]
