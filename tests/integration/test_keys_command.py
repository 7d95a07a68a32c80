"""`webhookd keys` on a database, without an API. Real: the command, SQLite."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import select

from command.main import main
from tests.harness.databases import new_database
from webhookd import clock
from webhookd.flow.access.api_key import ApiKey, KeyState, parse
from webhookd.flow.access.caller import Role
from webhookd.store import api_keys
from webhookd.store.access_tables import AuditLogRow
from webhookd.store.database import Database

DAY_S = 86_400.0


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated database, which the commands of this test use."""
    with new_database("sqlite", tmp_path, tables=True) as made:
        monkeypatch.setenv("WEBHOOKD_DATABASE_URL", made)
        yield made
        structlog.reset_defaults()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments])


def stored(database: Database, text: str) -> ApiKey:
    """The key of a command's output, as it is in the database."""
    token = parse(text)
    assert token is not None, text
    with database.transaction() as session:
        return api_keys.find(session, token.public)


def test_the_key_alone_is_on_stdout(database: Database) -> None:
    result = keys("create", "--role", "admin")
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    key = stored(database, result.stdout.strip())
    assert (key.role, key.tenant, key.name, key.expires_at) == (Role.ADMIN, None, "admin", None)
    assert result.stderr == f"made the admin key {key.id}; it is shown only this once\n"


def test_a_customers_key_has_its_tenant_and_its_end(database: Database) -> None:
    result = keys("create", "--role", "client", "--tenant", "acme", "--name", "acme, test", "--expires-in", "30d")
    key = stored(database, result.stdout.strip())
    assert (key.role, key.tenant, key.name) == (Role.CLIENT, "acme", "acme, test")
    assert key.expires_at == key.created_at + 30 * DAY_S


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--role", "owner"], "is not one of 'admin', 'client', 'viewer'"),
        (["--role", "client"], "a client belongs to a tenant: add --tenant"),
        (["--role", "admin", "--tenant", "acme"], "an admin has no tenant: leave --tenant out"),
        (["--role", "viewer", "--tenant", "a b"], "--tenant has 1 to 64 of"),
        (["--role", "admin", "--name", "\n"], "--name is one line of 1 to 200 characters"),
        (["--role", "admin", "--expires-in", "soon"], "'soon' is no time: write it like 90s, 30m, 12h or 365d"),
        (["--role", "admin", "--expires-in", "0s"], "'0s' is not from 1 s to 3650 d"),
        (["--role", "admin", "--expires-in", "3651d"], "'3651d' is not from 1 s to 3650 d"),
    ],
)
def test_options_that_do_not_fit_are_refused(url: str, arguments: list[str], said: str) -> None:
    del url
    result = keys("create", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_keys_are_listed_without_their_secrets(url: str) -> None:
    del url
    made = [
        keys("create", "--role", "admin"),
        keys("create", "--role", "viewer", "--tenant", "acme", "--expires-in", "9d"),
    ]
    result = keys("list")
    lines = result.stdout.splitlines()
    assert re.split(" {2,}", lines[0]) == ["id", "name", "role", "tenant", "state", "created", "expires", "last used"]
    assert [re.split(" +", line)[1:5] for line in lines[1:]] == [
        ["admin", "admin", "-", "active"],
        ["viewer", "viewer", "acme", "active"],
    ]
    assert not [one for one in made if one.stdout.strip().rpartition("_")[2] in result.stdout]


def test_a_rotation_prints_the_new_key(database: Database) -> None:
    old = keys("create", "--role", "admin").stdout.strip()
    result = keys("rotate", stored(database, old).id, "--overlap", "1h", "--expires-in", "2d")
    new, now = stored(database, result.stdout.strip()), clock.wall_clock()
    replaced = stored(database, old)
    assert replaced.successor_id == new.id
    assert new.expires_at is not None
    assert replaced.expires_at is not None
    assert now + DAY_S < new.expires_at <= now + 2 * DAY_S
    assert now < replaced.expires_at <= now + 3600
    again = keys("rotate", replaced.id)
    assert (again.exit_code, again.stderr) == (1, f"Error: the key was rotated already: {new.id} replaces it\n")


def test_even_the_last_admin_key_is_revoked_here(database: Database) -> None:
    text = keys("create", "--role", "admin").stdout.strip()
    id_ = stored(database, text).id
    result = keys("revoke", id_)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"revoked {id_}\nno admin key is left; make one: webhookd keys create --role admin\n"
    assert stored(database, text).state(clock.wall_clock()) is KeyState.REVOKED


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_key_that_does_not_exist_is_one_line(url: str, command: str) -> None:
    del url
    result = keys(command, "nothing")
    assert (result.exit_code, result.output) == (1, "Error: there is no such API key\n")


def test_the_audit_log_names_the_user_of_the_command_line(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    keys("create", "--role", "admin")
    with database.transaction() as session:
        row = session.scalars(select(AuditLogRow)).one()
    assert (row.action, row.key_id, row.key_name, row.role) == ("create", "", "command line: ada", "admin")


def test_a_database_without_tables_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    result = keys("create", "--role", "admin")
    structlog.reset_defaults()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("run: webhookd migrate\n")
