"""Secrets of subscriptions are written nowhere in clear; and a worker without their key sends nothing for them.

Oracle: a value of its own is planted in every kind of secret, and looked for in all that is written: logs at level
debug, every command that Redis got, every row of the database, mails, Flower, and the answers of the API. Real: all
processes, Kafka, Redis, Postgres. The endpoint repeats each request in its response.
"""

import base64
import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

from redis import Redis
from redis.exceptions import RedisError

from stack.free_ports import free_ports
from tests.acceptance.conftest import Starts
from tests.harness import generated_rows
from tests.harness.mail_server import MailServer
from tests.harness.pipeline import PATIENCE_S, Pipeline, subscription_body, until
from tests.harness.receiver import Receiver, Request
from tests.harness.secret_keys import OTHER_KEY, SECRET_KEYS
from webhookd.flow.destination import Basic, ClientCredentials, Destination, SigningSecret, Tls
from webhookd.settings import Settings
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.testing.http_endpoint import Answer
from workers.celery_app import build_celery
from workers.task_names import DELIVER, QUEUES

SENT = {"X-Api-Key": "canary-key-0001", "Authorization": "Bearer canary-token-0002"}
STORED = Destination(
    url="https://example.com/hook",
    headers=(("X-Api-Key", "canary-header-0003"),),
    signing=(SigningSecret(secret="whsec_" + base64.b64encode(b"canary-signing-0004-for-hmac-use").decode()),),
    authentication=Basic(username="shop", password="canary-password-0005"),
    tls=Tls(client_key="-----BEGIN PRIVATE KEY-----\ncanary-tls-0006\n-----END PRIVATE KEY-----\n"),
)
OAUTH = ClientCredentials(token_url="https://example.com/token", client_id="shop", client_secret="canary-client-0007")
HMAC = "whsec_" + base64.b64encode(b"canary-signing-0008-given-by-api").decode()
ED25519 = "whsk_" + base64.b64encode(b"canary-signing-0009-for-ed25519!").decode()
CANARIES = [
    *[secret.partition("_")[2] for secret in (HMAC, ED25519)],
    *[f"canary-signing-{number}" for number in ("0004", "0008", "0009")],
    *[f"canary-{name}" for name in ("key-0001", "token-0002", "header-0003", "password-0005", "tls-0006")],
    "canary-client-0007",
    STORED.signing[0].secret.removeprefix("whsec_"),
]


def test_no_secret_is_written_in_clear_and_none_is_sent_without_its_key(start_pipeline: Starts) -> None:
    with ExitStack() as exits:
        mails, receiver = exits.enter_context(MailServer()), exits.enter_context(Receiver())
        flower = free_ports(1)[0]
        pipeline = exits.enter_context(start_pipeline(**settings(mails), FLOWER_PORT=str(flower)))
        pipeline.start("flower")
        until(lambda: flower_is_up(flower), "Flower answers")
        commands = exits.enter_context(redis_commands(pipeline))
        topic = pipeline.topic(1)
        id_ = register(pipeline, receiver, topic)
        made = rotate_twice(pipeline, id_)
        fail(pipeline, receiver, id_, topic, made)
        mails.wait(lambda _: "http_500" in str(mails.subjects()))
        break_a_task(pipeline)
        shown = api_shows(pipeline, id_) + flower_shows(flower)
        send_without_the_key(pipeline, receiver, id_, topic)
        mails.wait(lambda _: "workers_lack_keys" in str(mails.subjects()))
        written = {
            "Redis": "\n".join(commands),
            "database": str(generated_rows.read(pipeline.database)),
            "mails": "\n".join(mail.text for mail in mails.received),
            "shown": shown,
            **{name: pipeline.log(name) for name in ("api", "ingest", "worker", "worker-2", "worker-3", "flower")},
        }
    assert [name for name, text in written.items() if not text] == []
    assert "****" in written["database"]
    assert "****" in written["mails"]
    assert {name: found for name, text in written.items() if (found := leaked(text, made))} == {}


def leaked(text: str, made: str) -> list[str]:
    """The planted values that are in the text, and the secret that webhookd made; in clear or in base64 again."""
    canaries = [*CANARIES, made.partition("_")[2]]
    return [canary for canary in canaries if any(form in text for form in (canary, *in_base64(canary)))]


def in_base64(text: str) -> Iterator[str]:
    for shift in range(3):
        encoded = base64.b64encode(b" " * shift + text.encode()).decode()
        yield encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]


def settings(mails: MailServer) -> dict[str, str]:
    return {
        "WEBHOOKD_LOG_LEVEL": "debug",
        "WEBHOOKD_SMTP_HOST": "127.0.0.1",
        "WEBHOOKD_SMTP_PORT": str(mails.port),
        "WEBHOOKD_SMTP_SECURITY": "none",
        "WEBHOOKD_MAIL_FROM": "webhookd@example.com",
        "WEBHOOKD_OPERATOR_EMAILS": "ops@example.com",
    }


@contextmanager
def redis_commands(pipeline: Pipeline) -> Iterator[list[str]]:
    """Every command that Redis gets meanwhile, in the order in which it gets them."""
    seen: list[str] = []
    with closing(Redis.from_url(pipeline.redis)) as client, client.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis-py has no type for it

        def read() -> None:
            with suppress(RedisError, OSError, ValueError):  # the connection is closed at the end
                seen.extend(str(command["command"]) for command in monitor.listen())

        threading.Thread(target=read, daemon=True).start()
        yield seen


def repeating(code: int, *known: str) -> Callable[[Request], Answer]:
    """Answers with everything that it was sent, in the head and in the body, and with what else it knows."""

    def answer(request: Request) -> Answer:
        body = json.dumps([request.headers, known]).encode()
        echoed = {f"x-echo-{name}": value for name, value in request.headers.items()}
        return Answer(status=code, headers=echoed, body=body)

    return answer


def register(pipeline: Pipeline, receiver: Receiver, topic: str) -> str:
    """Register a subscription with secret headers over the API, and store inactive ones with all other secrets."""
    headers, signing = [f"{name}: {value}" for name, value in SENT.items()], {"signing": {"secret": HMAC}}
    body = subscription_body(receiver.url, topic, "earliest", headers=headers, retries=0, webhook=signing)
    body["configuration"]["retry"]["on_exhausted"] = "dead_letter"
    body["configuration"]["alerting"] = {"alert_channel": "email", "alert_emails": ["owner@example.com"]}
    id_ = str(pipeline.ask("POST", "/1/Subscription", body)["id"])
    with closing(Database(pipeline.database, secret_keys=SECRET_KEYS)) as database, database.transaction() as session:
        like = replace(subscriptions.find(session, id_), active=False)
        for authentication in (STORED.authentication, OAUTH):
            destination = replace(STORED, authentication=authentication)
            subscriptions.insert(session, replace(like, id=str(uuid.uuid4()), destination=destination))
    return id_


def rotate_twice(pipeline: Pipeline, id_: str) -> str:
    """Replace the signing secret by a given one, and that by one that webhookd makes, which is returned."""
    path = f"/1/Subscription/{id_}/SigningSecret"
    assert pipeline.ask("GET", path)["secret"] == HMAC
    assert pipeline.ask("POST", f"{path}/Rotate", {"kind": "ed25519", "secret": ED25519})["secret"] == ED25519
    made = str(pipeline.ask("POST", f"{path}/Rotate", {"kind": "hmac_sha256"})["secret"])
    assert pipeline.ask("GET", path)["secret"] == made
    return made


def fail(pipeline: Pipeline, receiver: Receiver, id_: str, topic: str, made: str) -> None:
    """Let a record become a dead letter, at an endpoint that repeats what it got and the secrets that verify it."""
    receiver.answer = repeating(500, HMAC, ED25519, made)
    pipeline.produce(topic, [b'{"order": 1}'], partitions=1)
    until(lambda: bool(pipeline.dead_letters(id_)), "the record is a dead letter")
    sent = receiver.requests[0].headers
    assert {name: sent[name.lower()] for name in SENT} == SENT
    assert [one.partition(",")[0] for one in sent["webhook-signature"].split()] == ["v1", "v1a", "v1"]


def break_a_task(pipeline: Pipeline) -> None:
    """Publish a task that fails with a traceback in the worker."""
    app = build_celery(Settings(redis_url=pipeline.redis, redis_key_prefix=pipeline.redis_prefix))
    with closing(app):
        app.send_task(DELIVER, args=[[{"no": "reference"}]], queue=QUEUES["first"])
    until(lambda: "Traceback" in pipeline.log("worker"), "a task has failed with a traceback")


def api_shows(pipeline: Pipeline, id_: str) -> str:
    """What the API answers about it, to broken documents with secrets too."""
    path = f"/1/Subscription/{id_}"
    masked = pipeline.ask("GET", path)
    assert masked["destination"]["webhook"]["headers"] == [f"{name}: ****" for name in SENT]
    shown = [masked, pipeline.ask("PUT", path, masked)]
    broken = {"url": "http://example.com", "headers": [f"not a name: {SENT['X-Api-Key']}"]}
    for document in ({**masked, "destination": {"webhook": broken}}, {**masked, "headers": list(SENT.values())}):
        try:
            shown.append(pipeline.ask("PUT", path, document))
        except urllib.error.HTTPError as refused:
            shown.append({"refused": str(refused)})
    assert ["refused" in answer for answer in shown] == [False, False, True, True]
    shown += [pipeline.ask("GET", f"{path}/{part}") for part in ("Status", "DeadLetter")]
    shown += [pipeline.ask("GET", other) for other in ("/1/Subscription", "/1/AuditLog", "/health")]
    return json.dumps(shown)


def flower_is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=PATIENCE_S):
            return True
    except OSError:  # URLError is an OSError
        return False


def flower_shows(port: int) -> str:
    """What Flower shows of tasks and workers."""
    found = []
    for path in ("/api/tasks", "/api/workers", "/tasks", "/workers", "/metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            found.append(answer.read().decode())
    return "\n".join(found)


def send_without_the_key(pipeline: Pipeline, receiver: Receiver, id_: str, topic: str) -> None:
    """A worker that has another key sends nothing for it, what has no secret goes on, and the right key ends that."""
    receiver.answer = repeating(200)
    other_topic = pipeline.topic(1)
    other = pipeline.subscribe(receiver.url, other_topic, webhook={"signing": {"kind": "none"}})
    pipeline.terminate("worker")
    pipeline.start("worker-2", WEBHOOKD_SECRET_KEYS=OTHER_KEY)
    before = len(receiver.requests)
    pipeline.produce(topic, [b'{"order": 2}'], partitions=1)
    pipeline.produce(other_topic, [b'{"order": 3}'], partitions=1)
    until(lambda: pipeline.status(id_)["reason"] == "secrets_unreadable", "the status has the reason")
    assert pipeline.status(id_)["status"] == "unhealthy"
    pipeline.wait_committed(other, other_topic)
    assert len(receiver.requests) == before + 1
    until(lambda: "workers_lack_keys" in str(pipeline.ask("GET", "/health")["faults"]), "operators are told")
    pipeline.terminate("worker-2")
    pipeline.start("worker-3")
    pipeline.wait_committed(id_, topic)
    assert len(receiver.requests) == before + 2
