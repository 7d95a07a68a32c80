"""`webhookd secrets` and `webhookd migrate` on stored secrets.

Oracle: exit codes, lines, and what the keys decrypt afterwards.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import update

from command.main import main
from tests.harness.databases import new_database
from tests.harness.secret_keys import KEY, OTHER_KEY
from tests.harness.subscriptions import subscription
from webhookd.store import secret_rotation, subscriptions
from webhookd.store.database import Database
from webhookd.store.secret_keys import SecretKeys, key_file
from webhookd.store.tables import SubscriptionRow

Secrets = Callable[..., Result]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A migrated database with two subscriptions, of which the second is as an earlier version has stored it."""
    with new_database("sqlite", tmp_path, tables=True) as made:
        database = Database(made, secret_keys=SecretKeys([KEY]))
        with database.transaction() as session:
            for id_ in ("s1", "s2"):
                subscriptions.insert(session, subscription(id_))
            old = {"headers": [["X-Api-Key", "secret"]], "secrets": ""}
            session.execute(update(SubscriptionRow).where(SubscriptionRow.id == "s2").values(**old))
        database.close()
        yield made
        structlog.reset_defaults()


def run(url: str, *arguments: str, keys: str = "") -> Result:
    environment = {"WEBHOOKD_DATABASE_URL": url, "WEBHOOKD_SECRET_KEYS": keys}
    return CliRunner().invoke(main, arguments, env=environment)


def test_made_key_is_one_that_can_be_used(url: str) -> None:
    made = run(url, "secrets", "generate-key").stdout.strip()
    assert run(url, "secrets", "rotate", keys=made).exit_code == 1  # it does not decrypt the first one
    assert SecretKeys([made])


def test_rotation_ends_in_a_check_that_passes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_rotation, "ROWS", 1)
    keys = f"{OTHER_KEY},{KEY}"
    before = run(url, "secrets", "check", keys=keys)
    assert (before.exit_code, "webhookd secrets rotate" in before.stderr) == (1, True)
    rotated = run(url, "secrets", "rotate", keys=keys)
    assert (rotated.exit_code, rotated.stdout) == (0, "encrypted the secrets of 2 subscriptions with the first key\n")
    after = run(url, "secrets", "check", keys=OTHER_KEY)
    assert (after.exit_code, "       2  encrypted with the first key\n" in after.stdout) == (0, True)


def test_lost_key_names_the_subscriptions_and_rotates_the_others(url: str) -> None:
    rotated = run(url, "secrets", "rotate", keys=OTHER_KEY)
    assert rotated.exit_code == 1
    assert rotated.stdout == "encrypted the secrets of 1 subscription with the first key\n"
    assert rotated.stderr.splitlines() == [
        "no key decrypts the secrets of subscription s1",
        "Error: 1 subscription cannot be decrypted: add the key that is missing, or save them again with their secrets",
    ]
    assert run(url, "secrets", "check", keys=f"{OTHER_KEY},{KEY}").stdout.count("       1  encrypted with") == 2


def test_rotation_without_a_key_says_which_setting(url: str) -> None:
    rotated = run(url, "secrets", "rotate")
    assert (rotated.exit_code, rotated.stderr) == (1, "Error: there is no key: set WEBHOOKD_SECRET_KEYS\n")


def test_database_that_is_absent_is_one_line(tmp_path: Path) -> None:
    rotated = run(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}", "secrets", "check", keys=KEY)
    assert rotated.exit_code == 1
    assert rotated.stderr.startswith("Error: the database in WEBHOOKD_DATABASE_URL cannot be used: ")


def test_migration_encrypts_what_is_not_encrypted_if_there_is_a_key(url: str) -> None:
    without = run(url, "migrate")
    assert "the secrets of 1 subscription are not encrypted: set WEBHOOKD_SECRET_KEYS" in without.stderr
    assert "encrypted the secrets of 1 subscription\n" in run(url, "migrate", keys=KEY).stdout
    assert run(url, "migrate", keys=KEY).stdout.count("\n") == 1
    assert run(url, "secrets", "check", keys=KEY).exit_code == 0


def test_migration_back_needs_the_key(url: str) -> None:
    back = ("migrate", "--to", "0005", "--delete-data")
    refused = run(url, *back)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: the headers of subscription s1 cannot be decrypted")
    assert run(url, *back, keys=KEY).exit_code == 0


def test_both_settings_of_keys_are_refused(url: str, tmp_path: Path) -> None:
    file = str(key_file(tmp_path))
    environment = {"WEBHOOKD_DATABASE_URL": url, "WEBHOOKD_SECRET_KEYS": KEY, "WEBHOOKD_SECRET_KEYS_FILE": file}
    refused = CliRunner().invoke(main, ["secrets", "check"], env=environment)
    assert refused.exit_code == 2
    assert "WEBHOOKD_SECRET_KEYS_FILE: is set, and WEBHOOKD_SECRET_KEYS too" in refused.stderr
    assert KEY not in refused.stderr
