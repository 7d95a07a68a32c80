"""API keys over the API. Real: Flask, the routes, SQLite."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from tests.harness.api_callers import DAY_S, As, Callers
from webhookd import clock
from webhookd.store.access_tables import AuditLogRow
from webhookd.store.database import Database

PATH = "/1/Key"
SUBSCRIPTIONS = "/1/Subscription"
ACME = {"name": "acme, production", "role": "client", "tenant": "acme"}


def make(asked: Callers, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # any field
    answer = asked.ask(As.ADMIN, "POST", PATH, ACME | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def works(asked: Callers, key: str) -> bool:
    return asked.client.get(SUBSCRIPTIONS, headers={"Authorization": f"Bearer {key}"}).status_code == 200


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_key_is_shown_once_and_works(asked: Callers) -> None:
    answer = asked.ask(As.ADMIN, "POST", PATH, ACME)
    made = answer.get_json()
    key = made.pop("key")
    assert works(asked, key)
    assert answer.headers["Location"] == f"{PATH}/{made['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    shown = asked.ask(As.ADMIN, "GET", f"{PATH}/{made['id']}")
    assert {**shown.get_json(), "last_used_at": None} == made | {"kind": "Key", "state": "active"} | ACME
    secret = key.rpartition("_")[2]
    assert secret not in shown.text
    assert secret not in asked.ask(As.ADMIN, "GET", PATH).text


@pytest.mark.parametrize(
    "sent",
    [
        {"expires_in_seconds": 3600},
        {"expires_at": datetime.fromtimestamp(clock.wall_clock() + 3600, UTC).isoformat()},
    ],
)
def test_a_key_gets_its_end(asked: Callers, sent: dict[str, object]) -> None:
    made = make(asked, **sent)
    assert abs(at(made["expires_at"]) - clock.wall_clock() - 3600) < DAY_S / 24


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"role": "owner"}, "role"),
        ({"role": "admin"}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": 65 * "a"}, "tenant"),
        ({"name": " "}, "name"),
        ({"name": 201 * "n"}, "name"),
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00Z", "expires_in_seconds": 9}, "expires_in_seconds"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_field_that_is_wrong_is_named(asked: Callers, changes: dict[str, object], field: str) -> None:
    answer = asked.ask(As.ADMIN, "POST", PATH, ACME | changes)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_keys_are_listed_by_page_and_by_tenant(asked: Callers) -> None:
    ids = {make(asked, tenant="gamma")["id"] for _ in range(3)}
    found, path = list[str](), f"{PATH}?limit=2&tenant=gamma"
    while path:
        answer = asked.ask(As.ADMIN, "GET", path)
        found += [key["id"] for key in answer.get_json()]
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert found == sorted(ids)
    states = {key["state"] for key in asked.ask(As.ADMIN, "GET", PATH).get_json()}
    assert states == {"active", "expired", "revoked"}


def test_a_rotated_key_works_until_the_overlap_ends(asked: Callers) -> None:
    old = make(asked)
    kept = asked.ask(As.ADMIN, "POST", f"{PATH}/{old['id']}/Rotate", {"overlap_seconds": 3600}).get_json()
    assert works(asked, old["key"])
    assert works(asked, kept["key"])
    shown = asked.ask(As.ADMIN, "GET", f"{PATH}/{old['id']}").get_json()
    assert (shown["successor_id"], shown["state"]) == (kept["id"], "active")
    assert 0 < at(shown["expires_at"]) - clock.wall_clock() <= 3600
    cut = asked.ask(As.ADMIN, "POST", f"{PATH}/{kept['id']}/Rotate", {"overlap_seconds": 0}).get_json()
    assert not works(asked, kept["key"])
    assert works(asked, cut["key"])
    assert {name: cut[name] for name in ACME} == ACME


def test_a_key_is_not_rotated_twice(asked: Callers) -> None:
    id_ = make(asked)["id"]
    answers = [asked.ask(As.ADMIN, "POST", f"{PATH}/{id_}/Rotate", {}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert answers[1].get_json()["code"] == "unusable_key"


def test_a_revoked_key_stops_at_once_and_stays_listed(asked: Callers) -> None:
    made = make(asked)
    assert works(asked, made["key"])
    assert [asked.ask(As.ADMIN, "DELETE", f"{PATH}/{made['id']}").status_code for _ in range(2)] == [204, 204]
    assert not works(asked, made["key"])
    assert asked.ask(As.ADMIN, "GET", f"{PATH}/{made['id']}").get_json()["state"] == "revoked"


def test_the_last_admin_key_stays(asked: Callers) -> None:
    listed = asked.ask(As.ADMIN, "GET", PATH).get_json()
    own = asked.keys[As.ADMIN].split("_")[1]
    for key in listed:
        if key["role"] == "admin" and key["id"] != own:
            assert asked.ask(As.ADMIN, "DELETE", f"{PATH}/{key['id']}").status_code == 204
    answer = asked.ask(As.ADMIN, "DELETE", f"{PATH}/{own}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "last_admin_key")
    assert works(asked, asked.keys[As.ADMIN])


@pytest.mark.parametrize("after", ["x", "%00", 20 * "F", 33 * "f"])
def test_a_page_begins_after_an_id(asked: Callers, after: str) -> None:
    answer = asked.ask(As.ADMIN, "GET", f"{PATH}?after={after}")
    assert [error["field"] for error in answer.get_json()["errors"]] == ["after"]


@pytest.mark.parametrize("path", [f"{PATH}/{20 * 'f'}", f"{PATH}/{500 * 'f'}", f"{PATH}/%00"])
def test_a_key_that_does_not_exist_is_not_found(asked: Callers, path: str) -> None:
    answers = [asked.ask(As.ADMIN, method, path) for method in ("GET", "DELETE")]
    answers.append(asked.ask(As.ADMIN, "POST", f"{path}/Rotate", {}))
    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_changes_are_audited_with_who_made_them(asked: Callers, database: Database) -> None:
    id_ = make(asked)["id"]
    with database.transaction() as session:
        row = session.scalars(select(AuditLogRow).where(AuditLogRow.subject_id == id_)).one()
    assert (row.action, row.key_id, row.key_name, row.role, row.address) == (
        "create",
        asked.keys[As.ADMIN].split("_")[1],
        "operations",
        "admin",
        "127.0.0.1",
    )
