"""When replaced signing secrets cease to sign, on both databases."""

from sqlalchemy import update

from tests.harness.subscriptions import ID, OTHER_ID, SECRET, signed_destination, subscription
from webhookd.flow.destination import SigningSecret
from webhookd.store import signing_secrets, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow

NOW = 1_800_000_000.0
CURRENT = SigningSecret(secret=SECRET)


def replaced(*expires_at: float) -> tuple[SigningSecret, ...]:
    """A current secret and those that it has replaced."""
    return (CURRENT, *(SigningSecret(secret=SECRET, expires_at=at) for at in expires_at))


def insert(database: Database, id_: str, *secrets: SigningSecret) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription(id_, destination=signed_destination(*secrets)))


def first_expiry(database: Database, now: float = NOW) -> float | None:
    with database.transaction() as session:
        return signing_secrets.first_expiry(session, now)


def test_current_secrets_do_not_expire(database: Database) -> None:
    insert(database, ID, CURRENT)
    with database.transaction() as session:
        subscriptions.insert(session, subscription(OTHER_ID))
    assert first_expiry(database) is None


def test_the_secret_that_expires_first_counts(database: Database) -> None:
    insert(database, ID, *replaced(NOW + 200))
    insert(database, OTHER_ID, *replaced(NOW + 300, NOW + 100))
    assert [first_expiry(database, NOW + after_s) for after_s in (0, 100, 200, 300)] == [
        NOW + 100,
        NOW + 200,
        NOW + 300,
        None,
    ]


def test_damaged_destination_has_none(database: Database) -> None:
    insert(database, ID, *replaced(NOW + 200))
    insert(database, OTHER_ID, *replaced(NOW + 100))
    with database.transaction() as session:
        damaged: list[object] = [{"signing": [1, {"expires_at": "soon"}]}, {"signing": "x"}, [], {"signing": {"1": 2}}]
        for document in damaged:
            session.execute(update(SubscriptionRow).where(SubscriptionRow.id == OTHER_ID).values(destination=document))
            assert signing_secrets.first_expiry(session, NOW) == NOW + 200
