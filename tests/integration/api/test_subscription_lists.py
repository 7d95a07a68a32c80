"""Pages, orders and filters of the lists of subscriptions over HTTP. Real: Flask, the routes, SQLite.

Oracle: the created subscriptions, filtered and sorted in Python.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, update

from tests.harness.subscriptions import document, subscription
from webhookd.flow.control.administration import Availability
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Source, Subscription
from webhookd.store import administration, subscription_statuses, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow

PATH = "/1/Subscription"
ADMIN = "/1/EventNotificationAdmin"
COUNT = 12


def id_of(number: int) -> str:
    """Ids whose order is not that of the numbers."""
    return f"{(number * 7) % COUNT:08x}-0000-4000-8000-{number:012x}"


def number(n: int) -> Subscription:
    """Every third is inactive, every second reads `refunds`; two have each name."""
    topics = ("orders", "refunds") if n % 2 else ("orders",)
    return subscription(
        id_of(n),
        name=f"name {n // 2:02}",
        active=n % 3 > 0,
        sources=tuple(Source(topic=topic) for topic in topics),
        tenant=f"tenant-{n % 2}",
    )


@pytest.fixture
def filled(database: Database) -> Database:
    """COUNT subscriptions; every fourth is unhealthy, the first has no status yet."""
    with database.transaction() as session:
        for n in range(COUNT):
            subscriptions.insert(session, number(n))
            own = {"created_at": 100.0 + n, "updated_at": 500.5 - n, "external_id": f"ext-{n}"}
            labels = {"team": f"team:{n % 4}"}
            this = update(SubscriptionRow).where(SubscriptionRow.id == id_of(n))
            session.execute(this.values(**own, labels=labels))
            status = SubscriptionStatus(
                subscription_id=id_of(n),
                health=Health.HEALTHY if n % 4 else Health.UNHEALTHY,
                reason="" if n % 4 else "http_500",
                lag=n,
            )
            if n:
                subscription_statuses.write(session, [status])
    return database


def pages(client: FlaskClient, path: str) -> Iterator[list[dict[str, Any]]]:
    """Every page, by the links."""
    following: str | None = path
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        body = answer.get_json()
        yield body["webhooks"] if isinstance(body, dict) else body
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        following = link.group(1) if link else None


def shown(client: FlaskClient, path: str) -> list[int]:
    """The numbers of the subscriptions of all pages."""
    return [int(one["id"][-12:], 16) for page in pages(client, path) for one in page]


ORDERS: dict[str, Callable[[int], Any]] = {
    "id": id_of,
    "name": lambda n: (f"name {n // 2:02}", id_of(n)),
    "created_at": lambda n: n,
    "updated_at": lambda n: -n,
}


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("column", ORDERS)
@pytest.mark.usefixtures("filled")
def test_pages_of_every_order_have_each_once(client: FlaskClient, column: str, sign: str) -> None:
    expected = sorted(range(COUNT), key=ORDERS[column], reverse=bool(sign))
    assert shown(client, f"{PATH}?sort={sign}{column}&limit=5") == expected


FILTERS: dict[str, Callable[[int], bool]] = {
    "name=name 02": lambda n: n // 2 == 2,
    "name=name": lambda _: False,
    "topic=refunds": lambda n: n % 2 == 1,
    "topic=orders": lambda _: True,
    "topic=order": lambda _: False,
    "status=inactive": lambda n: n % 3 == 0,
    "status=unhealthy": lambda n: n % 3 > 0 and n % 4 == 0,
    "status=healthy": lambda n: n % 3 > 0 and n % 4 > 0,
    "active=yes": lambda n: n % 3 > 0,
    "active=no": lambda n: n % 3 == 0,
    "tenant=tenant-1": lambda n: n % 2 == 1,
    "external_id=ext-7": lambda n: n == 7,
    "label=team:team:3": lambda n: n % 4 == 3,
    "label=team:team": lambda _: False,
    "label=name:team:3": lambda _: False,
    "topic=refunds&active=yes&tenant=tenant-1&status=healthy": lambda n: n % 2 == 1 and n % 3 > 0,
}


@pytest.mark.parametrize("query", FILTERS)
@pytest.mark.usefixtures("filled")
def test_filters_choose_what_they_say(client: FlaskClient, query: str) -> None:
    expected = sorted((n for n in range(COUNT) if FILTERS[query](n)), key=id_of)
    assert shown(client, f"{PATH}?{query}&limit=2") == expected


@pytest.mark.parametrize(
    "text", ["a\u00a0b", "\u200bzero width", "soft\u00adhyphen", "\U0001f468\u200d\U0001f4bb", "\ue000", " a "]
)
def test_every_name_that_a_registration_accepts_can_be_found(client: FlaskClient, text: str) -> None:
    sent = document() | {"name": text, "external_id": text, "labels": {"team": text, "none": ""}}
    created = client.post(PATH, json=sent).get_json()["id"]
    for wanted in ({"name": text}, {"external_id": text}, {"label": f"team:{text}"}, {"label": "none:"}):
        found = client.get(PATH, query_string=wanted)
        assert [one["id"] for one in found.get_json()] == [created], wanted


@pytest.mark.usefixtures("filled")
def test_rows_show_health_reason_and_lag(client: FlaskClient) -> None:
    rows = {int(one["id"][-12:], 16): one for page in pages(client, PATH) for one in page}
    assert [(rows[n]["health"], rows[n]["reason"], rows[n]["lag"]) for n in (0, 1, 3, 4)] == [
        ("inactive", "", None),
        ("healthy", "", 1),
        ("inactive", "", None),
        ("unhealthy", "http_500", 4),
    ]


def test_while_offline_all_are_inactive(client: FlaskClient, filled: Database) -> None:
    with filled.transaction() as session:
        administration.switch(session, Availability.OFFLINE, "moving house")
    counts = [len(shown(client, f"{PATH}?status={status}")) for status in ("inactive", "healthy", "unhealthy")]
    [first, *_] = client.get(PATH).get_json()
    assert (counts, first["health"], first["reason"], first["lag"]) == ([COUNT, 0, 0], "inactive", "offline", None)


def test_cursor_stays_valid_when_rows_come_and_go(client: FlaskClient, filled: Database) -> None:
    read = pages(client, f"{PATH}?sort=created_at&limit=4")
    first = [int(one["id"][-12:], 16) for one in next(read)]
    with filled.transaction() as session:
        subscriptions.delete(session, id_of(3))  # the one in the cursor
        subscriptions.delete(session, id_of(5))
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == id_of(11)).values(created_at=1.0))
    rest = [int(one["id"][-12:], 16) for page in read for one in page]
    assert (first, rest) == ([0, 1, 2, 3], [4, 6, 7, 8, 9, 10])


def cursor_of(client: FlaskClient, query: str) -> str:
    link = client.get(f"{PATH}?{query}&limit=2").headers["Link"]
    found = re.search(r"cursor=([^&>]+)", link)
    assert found, link
    return found.group(1)


@pytest.mark.parametrize(
    "query",
    ["sort=name", "sort=-created_at", "sort=created_at&active=yes", "sort=created_at&topic=orders&status=healthy"],
)
@pytest.mark.usefixtures("filled")
def test_cursor_of_another_list_is_refused(client: FlaskClient, query: str) -> None:
    cursor = cursor_of(client, "sort=created_at")
    answer = client.get(f"{PATH}?{query}&cursor={cursor}")
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "cursor")
    assert client.get(f"{PATH}?sort=created_at&limit=7&cursor={cursor}").status_code == 200


RUBBISH = [
    "x",
    "ä",
    "%00",
    "A" * 5000,
    *(
        urlsafe_b64encode(text).decode()
        for text in (b"", b"\xff", b"[]", b"[" * 900, b'["a", "b", "c"]', b'["a", null, "00000000-0000-4000-8000-00"]')
    ),
]


@pytest.mark.parametrize("path", [PATH, ADMIN])
@pytest.mark.parametrize("cursor", RUBBISH)
def test_rubbish_is_no_cursor(client: FlaskClient, path: str, cursor: str) -> None:
    answer = client.get(f"{path}?cursor={cursor}")
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize("value", ['"text"', "1e999", "NaN", "true", "1" + "0" * 400])
@pytest.mark.usefixtures("filled")
def test_forged_cursor_with_another_kind_of_value_is_refused(client: FlaskClient, value: str) -> None:
    of = cursor_of(client, "sort=created_at")
    digest = text_of(of).split('"')[1]
    forged = urlsafe_b64encode(f'["{digest}", {value}, "{id_of(1)}"]'.encode()).decode()
    assert client.get(f"{PATH}?sort=created_at&cursor={forged}").status_code == 422


def text_of(cursor: str) -> str:
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=color", "sort"),
        ("sort=--name", "sort"),
        ("name=", "name"),
        ("name=a%00b", "name"),
        ("topic=a/b", "topic"),
        ("status=ill", "status"),
        ("active=true", "active"),
        ("tenant=Acme", "tenant"),
        ("external_id=%0A", "external_id"),
        ("label=team", "label"),
        ("label=:team", "label"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        (f"after={id_of(1)}&sort=name", "after"),
        ("colour=red", "colour"),
    ],
)
def test_wrong_parameter_is_named(client: FlaskClient, query: str, field: str) -> None:
    answer = client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, field)


@pytest.mark.usefixtures("filled")
def test_after_and_cursor_exclude_each_other(client: FlaskClient) -> None:
    cursor = cursor_of(client, "active=yes")
    answer = client.get(f"{PATH}?active=yes&cursor={cursor}&after={id_of(1)}")
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "after")


@pytest.mark.usefixtures("filled")
def test_overview_comes_in_pages(client: FlaskClient) -> None:
    assert shown(client, f"{ADMIN}?limit=5") == shown(client, ADMIN) == sorted(range(COUNT), key=id_of)
    assert client.get(f"{ADMIN}?limit=1001").status_code == 422


@pytest.mark.parametrize("path", [f"{PATH}?limit=", f"{PATH}?sort=name&status=healthy&limit=", f"{ADMIN}?limit="])
def test_number_of_statements_does_not_depend_on_the_page(client: FlaskClient, filled: Database, path: str) -> None:
    sent: list[str] = []
    engine = filled._engine  # what it sends is the oracle
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, sql, *_: sent.append(sql))
    counts = []
    for limit in (1, COUNT):
        sent.clear()
        assert client.get(f"{path}{limit}").status_code == 200
        counts.append(len([sql for sql in sent if sql.startswith("SELECT")]))
    assert counts == [3, 3]


def test_created_subscription_is_in_the_list(client: FlaskClient) -> None:
    created = client.post(PATH, json=document()).get_json()
    assert [one["id"] for one in client.get(f"{PATH}?topic=orders&sort=-created_at").get_json()] == [created["id"]]


@pytest.mark.parametrize("value", ['"\\ud800"', '"\\u0000"', "1"])
@pytest.mark.parametrize("sort", ["id", "name"])
@pytest.mark.usefixtures("filled")
def test_forged_cursor_with_text_that_no_database_compares_is_refused(
    client: FlaskClient, sort: str, value: str
) -> None:
    digest = text_of(cursor_of(client, f"sort={sort}&active=yes")).split('"')[1]
    forged = urlsafe_b64encode(f'["{digest}", {value}, "{id_of(1)}"]'.encode()).decode()
    assert client.get(f"{PATH}?sort={sort}&active=yes&cursor={forged}").status_code == 422
