"""api/description/examples.json: the example requests, and what the API answers to them.

The requests go to the application itself, over SQLite and a Kafka in memory. Ids, keys and times, which differ each
time, are written as fixed ones.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from flask.testing import FlaskClient
from sqlalchemy import update

from api.application import create_app
from documentation.reference.example_requests import STEPS, Step
from webhookd import clock
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.flow.access.caller import Caller, Role
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.settings import Settings
from webhookd.store import dead_letters, key_changes, migrating
from webhookd.store.database import Database
from webhookd.store.key_changes import NewKey
from webhookd.store.secret_keys import SecretKeys, generate
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

FILE: Final = Path(__file__).resolve().parents[2] / "api" / "description" / "examples.json"

TIME: Final = "2026-11-28T20:00:00.000Z"

_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_SECRET: Final = re.compile(r"(?<=_)[0-9a-f]{64}\b")
_SIGNING: Final = re.compile(r"(?<=whsec_)[A-Za-z0-9+/]{43}=")
_PUBLIC: Final = re.compile(r"(?<![0-9a-f-])[0-9a-f]{20}(?![0-9a-f])")


def examples_page() -> str:
    """The whole file."""
    return json.dumps(run(), indent=2, ensure_ascii=False) + "\n"


def run() -> dict[str, Any]:
    """Send every request, and return requests and answers by operation. Raises LookupError for an error answer."""
    with _application() as (database, client):
        remembered: dict[str, str] = {}
        found = {step.operation: _sent(database, client, step, remembered) for step in STEPS}
    known: Mapping[str, Any] = json.loads(_fixed(json.dumps(found)))
    return dict(known)


def _sent(database: Database, client: FlaskClient, step: Step, remembered: dict[str, str]) -> dict[str, Any]:
    path = step.path.format(**remembered)
    if step.operation == "requestVerification":
        _let_changes_age(database)
    answer = client.open(path, method=step.method, json=step.body, headers=dict(step.headers))
    if answer.status_code >= 400:
        raise LookupError(f"{step.method} {path}: {answer.status_code} {answer.text}")
    if step.remembers:
        remembered[step.remembers] = answer.get_json()["id"]
    if step.operation == "createSubscription":
        _store_dead_letter(database, answer.get_json()["id"])
    return {
        **({"request": step.body} if step.body is not None else {}),
        "status": answer.status_code,
        **({"response": answer.get_json()} if answer.data else {}),
    }


@contextmanager
def _application() -> Iterator[tuple[Database, FlaskClient]]:
    """An empty application, and a client of it with the key of an admin."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'examples.db')}"
        migrating.upgrade(url)
        with closing(Database(url, secret_keys=SecretKeys([generate()]))) as database:
            app = create_app(
                Settings.model_construct(redis_url="memory://", smtp_host="mail.example.com"),
                database=database,
                kafka_offsets=MemoryKafkaAdmin({"orders": {0: 5, 1: 7}}),
                notifier=ChangeNotifier(parse("memory://")),
                resolver=lambda _host, _port: ["8.8.8.8"],
            )
            client = app.test_client()
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {_admin_key(database)}"
            yield database, client


def _admin_key(database: Database) -> str:
    with database.transaction() as session:
        wanted = NewKey(name="operator", role=Role.ADMIN)
        return key_changes.create(session, Caller(role=Role.ADMIN), wanted, clock.wall_clock()).token.text


def _let_changes_age(database: Database) -> None:
    """The endpoint of a subscription that was changed a moment ago is being asked, and not to be asked again."""
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(changed_at=0.0))


def _store_dead_letter(database: Database, id_: str) -> None:
    letter = DeadLetter(
        subscription_id=id_,
        partition=Partition("orders", 0),
        offset=4,
        timestamp_ms=1795487371000,
        key=b"customer-2",
        value=b'{"order": 5, "customer": "customer-2", "total": 250}',
        headers=(("source", b"shop"),),
        cause="http_422",
        detail="422: unknown customer",
        status=422,
        attempts=1,
    )
    with database.transaction() as session:
        dead_letters.append(session, [letter])


def _fixed(text: str) -> str:
    text = _SIGNING.sub(f"{43 * 'A'}=", _SECRET.sub(64 * "0", _TIME.sub(TIME, text)))
    return _numbered(_numbered(text, _UUID, "6f1c2a7e-52b0-4a6f-9d38-0f4f5a1f8b"), _PUBLIC, "3f9a04c1d2e85b7766")


def _numbered(text: str, pattern: re.Pattern[str], start: str) -> str:
    """Replace each value, which may be there several times, by one that ends with its number."""
    for number, value in enumerate(dict.fromkeys(pattern.findall(text))):
        text = text.replace(value, f"{start}{number:02x}")
    return text
