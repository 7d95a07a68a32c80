"""Kafka with login, TLS and an authorizer: every client, what is refused, the rights that are needed, and processes.

Real: a broker with a listener for each kind of login, its authorizer, certificates of an authority of the test's own,
an OIDC token endpoint. Oracles: what the clients return, /health, exit codes, output; the rights are read in the docs.

What needs time begins with the module and is checked at its end: a fault counts after 5 s, a token expires after 4 s.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.harness.clusters import Member
from tests.harness.command_process import CommandProcess
from tests.harness.embedded import Embedded
from tests.harness.kafka_clients import RECORDS, USES, new_group
from tests.harness.kafka_logins import REFUSED, logins, refusals
from tests.harness.kafka_rights import REFUSED_WITHOUT, rights_in_docs
from tests.harness.mail_server import MailServer
from tests.harness.pipeline import until
from tests.harness.receiver import Receiver
from tests.harness.secure_kafka import LATE, LIMITED, PASSWORD, USER, SecureKafka, secure_kafka
from tests.harness.token_endpoint import LIFETIME_S
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.errors import KafkaUnavailable
from webhookd.store.migrating import upgrade

pytestmark = pytest.mark.kafka

ASK_S = 3.0


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("certificates")) as running:
        yield running


@pytest.fixture(scope="module")
def topic(kafka: SecureKafka) -> str:
    """A topic with records, and a topic `…-dead` beside it."""
    made = kafka.create()
    kafka.create_named(f"{made}-dead")
    kafka.produce(made, RECORDS)
    KafkaAdmin(kafka.connection).commit(new_group(), {made: {0: 0}}, 30.0)  # the brokers' topic of offsets exists now
    return made


@pytest.fixture(scope="module")
def operators() -> Iterator[MailServer]:
    """The mail server of the operators."""
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def refused_service(
    kafka: SecureKafka, operators: MailServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Embedded]:
    """A service with a password that the broker does not know yet."""
    kafka.set_scram_password(LATE, "another password")
    running = Embedded(
        kafka.connect(kafka.login("SCRAM-SHA-512", user=LATE)),
        tmp_path_factory.mktemp("refused"),
        smtp_host="127.0.0.1",
        smtp_port=operators.port,
        smtp_security="none",
        mail_from="webhookd@example.com",
        operator_emails=("ops@example.com",),
    )
    yield running
    running.close()


class TokenClients:
    """Clients that logged in with a token which has long expired when they are used again."""

    def __init__(self, kafka: SecureKafka) -> None:
        connection = kafka.connect(kafka.oidc())
        self._admin, self._probe = KafkaAdmin(connection), KafkaProbe(connection)
        self.first = self.ask()
        self.expires_at = time.monotonic() + LIFETIME_S

    def ask(self) -> tuple[str, str]:
        """The cluster's id, from clients that nothing polls between two calls."""
        return self._admin.cluster_id(30.0), self._probe.cluster_id(30.0)


@pytest.fixture(scope="module")
def token_clients(kafka: SecureKafka) -> TokenClients:
    return TokenClients(kafka)


@pytest.fixture(scope="module", autouse=True)
def begun(refused_service: Embedded, token_clients: TokenClients) -> None:
    """Begin what needs time before the first test."""
    del refused_service, token_clients


LOGINS = (
    "SASL_PLAINTEXT, PLAIN",
    "SASL_PLAINTEXT, SCRAM-SHA-256",
    "SASL_PLAINTEXT, SCRAM-SHA-512",
    "SASL_SSL, PLAIN",
    "SASL_SSL, SCRAM-SHA-512",
    "SSL, client certificate",
    "OAUTHBEARER, oidc",
)


@pytest.mark.parametrize("login", LOGINS)
def test_every_client_works_with_every_login(kafka: SecureKafka, topic: str, login: str) -> None:
    connection = kafka.connect(logins(kafka)[login])
    with ThreadPoolExecutor(len(USES)) as pool:
        found = {client: pool.submit(use, connection, topic) for client, (use, _) in USES.items()}
        expected = {client: returns(topic) for client, (_, returns) in USES.items()}
        # The dead-letter topic gets records of other clients meanwhile, the topic that is read does not.
        assert {client: answer.result() for client, answer in found.items()} == expected


def test_refusal_has_its_code_and_its_reason(kafka: SecureKafka) -> None:
    table = refusals(kafka)

    def asked(name: str, client: KafkaProbe | KafkaAdmin) -> KafkaUnavailable:
        """Return the error; on a busy machine the broker's refusal may come after the first request has timed out."""
        ends_at = time.monotonic() + 60.0
        while True:
            with pytest.raises(KafkaUnavailable) as raised:
                client.cluster_id(ASK_S)
            if explained(name, raised.value) or time.monotonic() > ends_at:
                return raised.value

    def explained(name: str, error: KafkaUnavailable) -> bool:
        _, code, text = table[name]
        return error.code == code and text in error.detail and PASSWORD not in error.detail

    with ThreadPoolExecutor(2 * len(table)) as pool:
        answers = [
            (name, pool.submit(asked, name, kind(connection)))
            for name, (connection, _, _) in table.items()
            for kind in (KafkaProbe, KafkaAdmin)
        ]
        found = [(name, answer.result()) for name, answer in answers]
    assert [(name, error.code, error.detail) for name, error in found if not explained(name, error)] == []


def subscription(topic: str, url: str, dead: str) -> dict[str, object]:
    return {
        "name": "limited",
        "source": [{"topic": topic, "start": "earliest"}],
        "destination": {"webhook": {"url": url}},
        "configuration": {"retry": {"max_retries": 0, "on_exhausted": "dead_letter", "dead_letter_topic": dead}},
    }


def test_rights_in_the_docs_are_enough_and_each_is_needed(kafka: SecureKafka, tmp_path: Path) -> None:
    topic = kafka.create()
    dead = f"{topic}-dead"
    kafka.create_named(dead)
    rights = rights_in_docs(topic, dead)
    kafka.grant(rights)
    kafka.produce(topic, RECORDS)
    limited = kafka.connect(kafka.login("PLAIN", user=LIMITED))
    inside = KafkaAdmin(kafka.connection)
    with ExitStack() as exits, Receiver() as receiver:
        service = Embedded(limited, tmp_path, retry_time_scale=0.02, commit_interval_s=0.1)
        exits.callback(service.close)
        created = service.api.register(subscription(topic, receiver.url, dead))
        id_ = created["id"]
        receiver.wait_for_records(RECORDS)
        group = f"webhooks-{id_}"
        until(lambda: _committed(inside, group, topic) == RECORDS, "the offsets are committed")
        until(lambda: service.api.status(id_)["lag"] == 0, "the status has the lag")
        service.api.change(id_, subscription(topic, "http://127.0.0.1:1/", dead))
        kafka.produce(topic, 1)
        until(lambda: inside.end_offsets([dead], 30.0)[dead] == {0: 1}, "the dead letter is in its topic")
        until(lambda: _committed(inside, group, topic) == RECORDS + 1, "the dead letter's offset is committed")
        assert service.ask(f"/1/Subscription/{id_}", "DELETE").status_code == 204
        until(lambda: _committed(inside, group, topic) is None, "the group is deleted")
        for right in rights:
            kafka.revoke(right)
            refused = REFUSED_WITHOUT[right.restype, right.operation]
            until(lambda: refused(limited, topic), f"{right} is needed")  # noqa: B023  # called at once
            kafka.grant([right])


def _committed(admin: KafkaAdmin, group: str, topic: str) -> int | None:
    found = admin.commits(group, [topic], 30.0)
    return next((place.offset for place in found.values()), None)


def write_properties(path: Path, properties: Mapping[str, str]) -> Path:
    path.write_text("# a test\n" + "".join(f"{name}={value}\n" for name, value in properties.items()))
    return path


def webhookd(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command with its output as one text."""
    return subprocess.Popen(
        [sys.executable, "-m", "command.main", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_run_delivers_over_tls_what_topic_has_produced(kafka: SecureKafka, tmp_path: Path) -> None:
    file = write_properties(tmp_path / "kafka.properties", kafka.tls_login("SCRAM-SHA-512"))
    topic, where = f"{USER}-{tmp_path.name}", kafka.addresses["sasl_tls"]
    variables = {"WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": where, "WEBHOOKD_KAFKA_CONFIG_FILE": str(file)}
    kafka.create_named(topic)
    with Receiver() as receiver:
        command = ("run", "--bootstrap-servers", where, "--kafka-config-file", str(file), "--topic", topic)
        options = ("--kafka-config", "client.id=acceptance", "--url", receiver.url, "--allow", "127.0.0.0/8")
        state = ("--state", str(tmp_path / "state"), "--from", "earliest")
        with CommandProcess(*command, *options, *state) as run:
            run.wait_for("status:")
            produce = webhookd("topic", "produce", topic, **variables)
            assert produce.communicate("1\n2\n", timeout=60)[0] == f"produced 2 records to {topic}\n"
            receiver.wait_for_records(2)
            assert run.interrupt() == 0
            assert PASSWORD not in run.output
            assert "CONFWARN" not in run.output


def test_commands_say_in_one_line_that_the_login_is_refused(kafka: SecureKafka, tmp_path: Path) -> None:
    file = write_properties(tmp_path / "kafka.properties", kafka.login("PLAIN", password="not this one"))
    database = f"sqlite:///{tmp_path / 'webhookd.db'}"
    upgrade(database)
    where = ("--bootstrap-servers", kafka.addresses["sasl"])
    variables = {
        "WEBHOOKD_KAFKA_CONFIG_FILE": str(file),
        "WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS": kafka.addresses["sasl"],
        "WEBHOOKD_DATABASE_URL": database,
    }
    running = [
        webhookd(
            "run", *where, "--topic", "orders", "--url", "https://192.0.2.1/", "--allow", "192.0.2.0/24", **variables
        ),
        webhookd("topic", "create", "orders", **variables),
        webhookd("cluster", **variables),
    ]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [1, 1, 1]
    for output in outputs:
        assert "kafka_authentication_failed: Kafka refuses the connection: sasl_plaintext://" in output.splitlines()[-1]
        assert "Invalid username or password" in output.splitlines()[-1]
        assert "not this one" not in output
        assert "Traceback" not in output
    assert [len(output.splitlines()) for output in outputs] == [1, 1, 2]  # `cluster` shows the recorded one as well


def test_token_is_renewed_by_clients_that_nothing_polls(token_clients: TokenClients) -> None:
    until(lambda: time.monotonic() > token_clients.expires_at, "the first token has expired")
    assert token_clients.ask() == token_clients.first


def test_refused_service_says_so_and_recovers_by_itself(
    kafka: SecureKafka, refused_service: Embedded, operators: MailServer, topic: str
) -> None:
    until(lambda: list(refused_service.faults) == [REFUSED], "/health has the fault, and no other")
    subject = f"[webhookd] system: {REFUSED}"
    operators.wait(lambda _: subject in operators.subjects())
    assert "invalid credentials" in refused_service.faults[REFUSED]
    ready = refused_service.ask("/ready")
    assert (ready.status_code, ready.json()["checks"]["kafka"]) == (503, "failed")
    answer = requests.post(
        refused_service.url("/1/Subscription"), json=subscription("orders", "https://example.com/", "dead"), timeout=30
    )
    assert (answer.status_code, answer.json()["code"]) == (503, REFUSED)
    with Member(kafka.connect(kafka.login("SCRAM-SHA-512", user=LATE)), new_group(), [topic], "classic") as reader:
        assert reader.consumer.poll() == []
        kafka.set_scram_password(LATE, PASSWORD)
        until(lambda: not refused_service.faults, "the fault is over")
        assert refused_service.ask("/ready").status_code == 200
        operators.wait(lambda _: f"{subject} is over" in operators.subjects())
        reader.until_read(RECORDS)
