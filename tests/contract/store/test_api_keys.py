"""API keys and the audit log of their changes, on both databases."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from webhookd.errors import LastAdminKey, NotFound, UnusableKey
from webhookd.flow.access.api_key import ApiKey, KeyState
from webhookd.flow.access.caller import Caller, Role
from webhookd.store import api_keys, key_changes
from webhookd.store.access_tables import ApiKeyRow, AuditLogRow
from webhookd.store.database import Database
from webhookd.store.key_changes import MadeKey, NewKey

NOW = 1_800_000_000.0
OPERATOR = Caller(role=Role.ADMIN, key_id="0" * 20, name="operations", address="127.0.0.1")
ACME = NewKey(name="acme", role=Role.CLIENT, tenant="acme", expires_at=NOW + 100)
ADMIN = NewKey(name="operations", role=Role.ADMIN)
PATIENCE_S = 20.0


def made(database: Database, wanted: NewKey = ACME) -> MadeKey:
    with database.transaction() as session:
        return key_changes.create(session, OPERATOR, wanted, NOW)


def stored(database: Database, id_: str) -> ApiKey | None:
    with database.transaction() as session:
        return api_keys.known(session, id_)


def rotate(database: Database, id_: str, expires_at: float | None = None) -> MadeKey:
    with database.transaction() as session:
        return key_changes.rotate(session, OPERATOR, id_, overlap_s=10, expires_at=expires_at, now=NOW + 50)


def revoke(database: Database, id_: str, *, even_the_last: bool = False) -> ApiKey:
    with database.transaction() as session:
        return key_changes.revoke(session, OPERATOR, id_, now=NOW + 50, even_the_last=even_the_last)


def audit(database: Database) -> list[AuditLogRow]:
    with database.transaction() as session:
        return list(session.scalars(select(AuditLogRow).order_by(AuditLogRow.id)))


def test_a_new_key_is_stored_without_its_secret(database: Database) -> None:
    key, token = (one := made(database)).key, one.token
    assert stored(database, key.id) == key
    assert (key.id, key.secret_hash, key.expires_at) == (token.public, token.secret_hash, NOW + 100)
    with database.transaction() as session:
        row = session.execute(select(*ApiKeyRow.__table__.columns)).one()
    assert token.secret not in repr(tuple(row))


def test_two_keys_differ(database: Database) -> None:
    one, other = made(database), made(database)
    assert one.token.public != other.token.public
    assert one.token.secret != other.token.secret


@pytest.mark.parametrize("id_", ["f" * 20, "", "\x00", "\ud800", "f" * 100_000])
def test_an_unknown_key_is_none(database: Database, id_: str) -> None:
    assert stored(database, id_) is None
    with pytest.raises(NotFound):
        rotate(database, id_)
    with pytest.raises(NotFound):
        revoke(database, id_)


@pytest.mark.parametrize("values", [{"role": "owner"}, {"role": "admin"}, {"tenant": None}])
def test_a_row_that_nobody_could_have_made_is_no_key(database: Database, values: dict[str, str | None]) -> None:
    key = made(database).key
    with database.transaction() as session:
        session.execute(update(ApiKeyRow).values(**values))
    assert stored(database, key.id) is None


def test_a_rotation_makes_a_successor_and_ends_the_key(database: Database) -> None:
    old = made(database).key
    new = rotate(database, old.id).key
    assert stored(database, old.id) == replace(old, expires_at=NOW + 60, successor_id=new.id)
    assert (new.name, new.role, new.tenant, new.expires_at) == ("acme", Role.CLIENT, "acme", NOW + 150)
    with pytest.raises(UnusableKey):
        rotate(database, old.id)


def test_a_successor_gets_the_lifetime_that_is_asked_for(database: Database) -> None:
    assert rotate(database, made(database).key.id, expires_at=NOW + 9000).key.expires_at == NOW + 9000


def test_a_revoked_key_stays_revoked_from_the_first_time(database: Database) -> None:
    key = made(database).key
    first = revoke(database, key.id)
    assert revoke(database, key.id) == first == stored(database, key.id)
    assert first.state(NOW + 50) is KeyState.REVOKED


def test_the_last_admin_key_is_not_revoked_by_accident(database: Database) -> None:
    one, other = made(database, ADMIN).key, made(database, ADMIN).key
    made(database, replace(ADMIN, expires_at=NOW + 10))  # it has expired by then
    revoke(database, one.id)
    with pytest.raises(LastAdminKey):
        revoke(database, other.id)
    assert revoke(database, one.id).revoked_at is not None
    assert revoke(database, other.id, even_the_last=True).revoked_at == NOW + 50


def test_pages_are_in_the_order_of_the_ids(database: Database) -> None:
    keys = sorted(made(database, replace(ACME, tenant=tenant)).key.id for tenant in ("acme", "acme", "beta"))
    with database.transaction() as session:
        first = api_keys.page(session, limit=2)
        rest = api_keys.page(session, after=first[-1].id, limit=2)
        acme = api_keys.page(session, limit=9, tenant="acme")
    assert [key.id for key in (*first, *rest)] == keys
    assert [key.tenant for key in acme] == ["acme", "acme"]


def test_the_last_use_only_moves_forwards(database: Database) -> None:
    key = made(database).key
    for at in (NOW + 5, NOW + 3):
        with database.transaction() as session:
            api_keys.store_last_use(session, key.id, at)
    found = stored(database, key.id)
    assert found is not None
    assert found.last_used_at == NOW + 5


def test_each_change_has_its_row_in_the_audit_log_without_secrets(database: Database) -> None:
    one = made(database)
    two = rotate(database, one.key.id)
    revoke(database, two.key.id)
    revoke(database, two.key.id)
    rows = audit(database)
    assert [(row.action, row.subject_kind, row.subject_id, row.tenant) for row in rows] == [
        ("create", "Key", one.key.id, "acme"),
        ("rotate", "Key", one.key.id, "acme"),
        ("create", "Key", two.key.id, "acme"),
        ("revoke", "Key", two.key.id, "acme"),
    ]
    assert {(row.key_id, row.key_name, row.role, row.address) for row in rows} == {
        ("0" * 20, "operations", "admin", "127.0.0.1")
    }
    assert [(document or {})["successor_id"] for document in (rows[1].before, rows[1].after)] == [None, two.key.id]
    shown = repr([(row.before, row.after) for row in rows])
    assert not [
        part for made_key in (one, two) for part in (made_key.token.secret, made_key.key.secret_hash) if part in shown
    ]


def test_a_change_that_fails_leaves_no_row(database: Database) -> None:
    key = made(database, ADMIN).key
    with pytest.raises(LastAdminKey):
        revoke(database, key.id)
    assert [row.action for row in audit(database)] == ["create"]


@pytest.mark.parametrize("change", [rotate, revoke])
def test_of_two_at_once_one_wins(database: Database, change: Callable[[Database, str], object]) -> None:
    """The same key is rotated twice, and the last two admin keys revoke each other."""
    one, other = made(database, ADMIN).key.id, made(database, ADMIN).key.id
    ids = [one, one] if change is rotate else [one, other]
    start, errors = threading.Barrier(2), list[str]()

    def run(id_: str) -> None:
        start.wait(PATIENCE_S)
        try:
            change(database, id_)
        except (UnusableKey, LastAdminKey) as error:
            errors.append(error.code)

    threads = [threading.Thread(target=run, args=[id_]) for id_ in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert errors == ["unusable_key" if change is rotate else "last_admin_key"]


def first_expiry(database: Database, now: float = NOW) -> float | None:
    with database.transaction() as session:
        return api_keys.first_expiry(session, now)


def test_the_key_that_expires_first_counts(database: Database) -> None:
    assert first_expiry(database) is None
    made(database, ADMIN)
    assert first_expiry(database) is None, "it does not expire"
    made(database, replace(ACME, expires_at=NOW + 200))
    made(database)
    assert (first_expiry(database), first_expiry(database, NOW + 150)) == (NOW + 100, NOW + 200)


def test_replaced_and_revoked_keys_do_not_count(database: Database) -> None:
    rotate(database, made(database).key.id, expires_at=NOW + 300)
    assert first_expiry(database) == NOW + 300
    revoke(database, made(database).key.id)
    assert first_expiry(database) == NOW + 300
