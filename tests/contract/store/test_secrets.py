"""Secrets in the database: encrypted, carried over unread, rotated, and decrypted on the way back.

Oracle: a dump of the row, in which no planted value may be.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.pool import NullPool

from tests.harness.databases import create_tables, new_database
from tests.harness.secret_keys import KEY, OTHER_KEY, SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.errors import SecretKeysMissing, SecretsUnreadable
from webhookd.flow.destination import Basic, ClientCredentials, Destination, SigningSecret, Tls, secrets_of
from webhookd.flow.subscription import Subscription
from webhookd.store import migrating, secret_rotation, subscriptions
from webhookd.store.database import Database
from webhookd.store.secret_keys import NONE, SecretKeys
from webhookd.store.secret_rotation import State
from webhookd.store.tables import SubscriptionRow

FULL = Destination(
    url="https://example.com/hook",
    headers=(("X-Api-Key", "canary-header"), ("X-Empty", "")),
    signing=(
        SigningSecret(secret="canary-signing-1", public_key="whpk_1"),
        SigningSecret(secret="canary-signing-2", expires_at=5.0),
    ),
    authentication=Basic(username="shop", password="canary-password"),
    tls=Tls(client_certificate="certificate", client_key="canary-key"),
)
OAUTH = ClientCredentials(token_url="https://example.com/token", client_id="shop", client_secret="canary-client")

Opened = Callable[[SecretKeys], Database]


@pytest.fixture
def opened(database: Database, database_url: str) -> Iterator[Opened]:
    """Opens the empty database with other keys."""
    assert database is not None
    made: list[Database] = []

    def opened(keys: SecretKeys) -> Database:
        made.append(Database(database_url, secret_keys=keys))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def store(database: Database, *stored: Subscription) -> None:
    with database.transaction() as session:
        for one in stored:
            subscriptions.insert(session, one)


def dump(database: Database) -> str:
    with database.transaction() as session:
        return "\n".join(str(row) for row in session.execute(select(*subscriptions.ALL_COLUMNS)).all())


def found(database: Database, id_: str = ID) -> Subscription:
    with database.transaction() as session:
        return subscriptions.opened(session, subscriptions.find(session, id_))


@pytest.mark.parametrize("destination", [FULL, replace(FULL, authentication=OAUTH)])
def test_every_secret_is_encrypted_and_comes_back(database: Database, destination: Destination) -> None:
    store(database, subscription(destination=destination))
    assert "canary" not in dump(database)
    assert found(database).destination == destination
    assert len(secrets_of(destination)) == 5


def test_loading_decrypts_nothing(database: Database, opened: Opened) -> None:
    store(database, subscription(destination=FULL))
    keyless = opened(NONE)
    with keyless.transaction() as session:
        loaded = subscriptions.find(session, ID)
        assert "canary" not in "".join(secrets_of(loaded.destination))
        assert [one.public_key for one in loaded.destination.signing] == ["whpk_1", ""]
        unreadable = subscriptions.load_opened(session, [ID])[ID]
    assert isinstance(unreadable, SecretsUnreadable)


def test_without_a_key_only_new_secrets_are_refused(database: Database, opened: Opened) -> None:
    store(database, subscription(destination=FULL))
    keyless = opened(NONE)
    with keyless.transaction() as session:
        kept = replace(subscriptions.find(session, ID), version=2, active=False)
        subscriptions.replace(session, subscriptions.sealed(session, kept, kept))
    store(keyless, subscription(OTHER_ID, destination=Destination(url="https://example.com")))
    assert found(database) == subscription(destination=FULL, version=2, active=False)
    with keyless.transaction() as session, pytest.raises(SecretKeysMissing):
        subscriptions.replace(session, subscription(version=3))


def test_secret_that_is_sent_again_is_no_change(database: Database) -> None:
    store(database, subscription(destination=FULL))
    with database.transaction() as session:
        stored = subscriptions.find(session, ID)
        assert subscriptions.sealed(session, subscription(destination=FULL), stored) == stored
        twice = replace(FULL, headers=(("A", "equal"), ("B", "equal")))
        subscriptions.insert(session, subscription(OTHER_ID, destination=twice))
        stored = subscriptions.find(session, OTHER_ID)
        assert len({value for _, value in stored.destination.headers}) == 2, "each value has its own encrypted text"
        assert subscriptions.sealed(session, subscription(OTHER_ID, destination=twice), stored) == stored
        other = replace(FULL, tls=replace(FULL.tls, client_key="another key"))
        assert subscriptions.sealed(session, subscription(destination=other), stored) != stored


def states(database: Database) -> dict[str, State]:
    with database.transaction() as session:
        return secret_rotation.count(session, "").states


def test_rotation_brings_every_row_to_the_first_key(database: Database, opened: Opened) -> None:
    bare = Destination(url="https://example.com")
    store(database, subscription("a", destination=FULL), subscription("b", destination=bare), subscription("c"))
    unencrypted(database, "c")
    store(opened(SecretKeys([OTHER_KEY])), subscription("d"))
    both = opened(SecretKeys([OTHER_KEY, KEY]))
    before = {"a": State.OTHER_KEY, "b": State.NONE, "c": State.UNENCRYPTED, "d": State.FIRST_KEY}
    assert states(both) == before
    with both.transaction() as session:
        assert secret_rotation.rotate(session, "").states == before
    assert states(both) == {"a": State.FIRST_KEY, "b": State.NONE, "c": State.FIRST_KEY, "d": State.FIRST_KEY}
    alone = opened(SecretKeys([OTHER_KEY]))
    assert found(alone, "a").destination == FULL
    assert found(alone, "c") == subscription("c")


def unencrypted(database: Database, id_: str) -> None:
    """Make a row as version 0005 stored it."""
    with database.transaction() as session:
        values = {"headers": [["X-Api-Key", "secret"]], "secrets": "", "destination": {}}
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == id_).values(**values))


def test_rotation_names_what_no_key_decrypts_and_goes_on(database: Database, opened: Opened) -> None:
    store(opened(SecretKeys([OTHER_KEY])), subscription("a"))
    store(database, subscription("b"), subscription("c"))
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == "b").values(secrets="{"))
    unencrypted(database, "c")
    with database.transaction() as session:
        secret_rotation.rotate(session, "")
    assert states(database) == {"a": State.UNREADABLE, "b": State.UNREADABLE, "c": State.FIRST_KEY}


def test_change_that_was_read_before_a_rotation_does_not_bring_the_old_key_back(
    database: Database, opened: Opened
) -> None:
    store(database, subscription())
    both = opened(SecretKeys([OTHER_KEY, KEY]))
    with both.transaction() as session:
        read_before = subscriptions.find(session, ID)
    with both.transaction() as session:
        secret_rotation.rotate(session, "")
    with both.transaction() as session:
        subscriptions.replace(session, replace(read_before, version=2))
    assert states(both) == {ID: State.FIRST_KEY}


def test_old_row_is_read_and_encrypted_by_the_next_write(database: Database, opened: Opened) -> None:
    store(database, subscription())
    unencrypted(database, ID)
    keyless = opened(NONE)
    assert found(keyless) == subscription()
    with keyless.transaction() as session:
        subscriptions.replace(session, replace(subscriptions.find(session, ID), version=2))
    assert found(keyless) == subscription(version=2)
    with database.transaction() as session:
        subscriptions.replace(session, replace(subscriptions.find(session, ID), version=3))
    assert states(database) == {ID: State.FIRST_KEY}
    assert found(database) == subscription(version=3)


def test_way_back_decrypts_header_values(kind: str, tmp_path: Path) -> None:
    with new_database(kind, tmp_path) as url:
        create_tables(url)
        database = Database(url, secret_keys=SECRET_KEYS)
        store(database, subscription(destination=FULL))
        database.close()
        with pytest.raises(SecretsUnreadable, match=f"subscription {ID} cannot be decrypted"):
            migrating.downgrade(url, "0005")
        migrating.downgrade(url, "0005", SECRET_KEYS)
        with create_engine(url, poolclass=NullPool).begin() as connection:
            headers = connection.execute(text("SELECT headers FROM subscriptions")).scalar_one()
    stored = json.loads(headers) if isinstance(headers, str) else headers
    assert stored == [["X-Api-Key", "canary-header"], ["X-Empty", ""]]
