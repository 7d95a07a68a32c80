"""A Kafka of a test's own on which each way to log in has a listener, with an authorizer that allows nothing unasked.

    listener   protocol and logins                                   principal
    plain      PLAINTEXT                                             ANONYMOUS, a super user: the test itself
    sasl       SASL_PLAINTEXT: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512   the user
    tls        SSL; the client must show a certificate               the certificate's common name
    sasl_tls   SASL_SSL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512         the user
    oauth      SASL_PLAINTEXT: OAUTHBEARER, with unsigned tokens     the token's `sub`

USER is a super user everywhere, and so is LATE, a user of SCRAM who has the password that a test sets. LIMITED, a user
of PLAIN, has the rights that a test grants.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from confluent_kafka.cimpl import NewTopic
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stack.errors import NotStarted
from stack.free_ports import free_ports
from stack.kafka import KafkaOptions
from stack.service_group import ServiceGroup
from tests.harness.clusters import PATIENCE_S, Cluster
from tests.harness.kafka_admin import admin_of
from tests.harness.services import required_service
from tests.harness.token_endpoint import TokenEndpoint
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.kafka_properties import KafkaProperties

PROTOCOLS: Final = {
    "plain": "PLAINTEXT",
    "sasl": "SASL_PLAINTEXT",
    "tls": "SSL",
    "sasl_tls": "SASL_SSL",
    "oauth": "SASL_PLAINTEXT",
}
USER: Final = "orders"
LIMITED: Final = "limited"
LATE: Final = "late"
PASSWORD: Final = "a password, with = and #"
ITERATIONS: Final = 4096
SCRAM: Final = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
MODULES: Final = "org.apache.kafka.common.security"


class SecureKafka(Cluster):
    """The broker; `properties` returns what a client needs to log in at a listener."""

    def __init__(self, addresses: Mapping[str, str], folder: Path, tokens: TokenEndpoint) -> None:
        super().__init__(addresses["plain"], real=True)
        self.addresses = addresses
        self.tokens = tokens
        self.ca_file = folder / "ca.pem"
        self.other_ca_file = folder / "other-ca.pem"
        self._folder = folder
        self.set_scram_password(USER, PASSWORD)

    def connect(self, properties: Mapping[str, str]) -> KafkaConnection:
        """The connection to the listener that these properties are for."""
        return KafkaConnection(self.addresses[self._listener_of(properties)], KafkaProperties(properties))

    @staticmethod
    def _listener_of(properties: Mapping[str, str]) -> str:
        if properties.get("sasl.mechanism") == "OAUTHBEARER":
            return "oauth"
        return next(name for name, protocol in PROTOCOLS.items() if protocol == properties["security.protocol"])

    def login(self, mechanism: str, *, user: str = USER, password: str = PASSWORD) -> dict[str, str]:
        """The properties of a login with a name and a password, at listener `sasl`."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password,
        }

    def tls_login(self, mechanism: str, *, user: str = USER, password: str = PASSWORD) -> dict[str, str]:
        """The same over TLS, at listener `sasl_tls`."""
        return {
            **self.login(mechanism, user=user, password=password),
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.ca_file),
        }

    def certificate(self, name: str = "client") -> dict[str, str]:
        """The properties of a client with a certificate, at listener `tls`; `stranger` has one of another authority."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.ca_file),
            "ssl.certificate.location": str(self._folder / f"{name}.pem"),
            "ssl.key.location": str(self._folder / f"{name}-key.pem"),
        }

    def oidc(self, secret: str = PASSWORD) -> dict[str, str]:
        """The properties of client credentials, at listener `oauth`."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": USER,
            "sasl.oauthbearer.client.secret": secret,
            "sasl.oauthbearer.token.endpoint.url": self.tokens.url,
        }

    def set_scram_password(self, user: str, password: str) -> None:
        """Create a user of SCRAM, or give it another password."""
        for mechanism in SCRAM.values():
            change = UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, ITERATIONS), password.encode())
            admin = admin_of(self.bootstrap_servers)
            admin.alter_user_scram_credentials([change])[user].result(PATIENCE_S)

    def create_named(self, *names: str) -> None:
        """Create topics with these names, of one partition each."""
        answers = admin_of(self.bootstrap_servers).create_topics([NewTopic(name, 1) for name in names])
        for answer in answers.values():
            answer.result(PATIENCE_S)

    def grant(self, rights: Iterable[AclBinding]) -> None:
        """Grant these rights."""
        for answer in admin_of(self.bootstrap_servers).create_acls(list(rights)).values():
            answer.result(PATIENCE_S)

    def revoke(self, right: AclBinding) -> None:
        """Take a right away."""
        rule = AclBindingFilter(
            right.restype,
            right.name,
            right.resource_pattern_type,
            right.principal,
            right.host,
            right.operation,
            right.permission_type,
        )
        for answer in admin_of(self.bootstrap_servers).delete_acls([rule]).values():
            assert len(answer.result(PATIENCE_S)) == 1


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Start such a Kafka; its certificates are in `folder`. Skips the test when Kafka cannot be started."""
    required_service("kafka")
    _write_certificates(folder)
    ports = dict(zip((*PROTOCOLS, "controller"), free_ports(len(PROTOCOLS) + 1), strict=True))
    options = KafkaOptions(settings=_settings(folder, ports))
    with TokenEndpoint(USER, PASSWORD) as tokens, ServiceGroup() as session:
        try:
            session.start_kafka(options, [ports["plain"], ports["controller"]])
            session.wait_ready()
        except NotStarted as reason:
            pytest.fail(str(reason), pytrace=False)
        yield SecureKafka({name: f"127.0.0.1:{ports[name]}" for name in PROTOCOLS}, folder, tokens)


def _write_certificates(folder: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    broker = ours.issue_cert("127.0.0.1", common_name="broker")
    key = load_pem_private_key(broker.private_key_pem.bytes(), password=None)
    # Java reads a private key in no other format.
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "broker.pem").write_bytes(pkcs8 + broker.cert_chain_pems[0].bytes())
    for name, authority in (("client", ours), ("stranger", other)):
        issued = authority.issue_cert(f"{name}.example", common_name=USER)
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")


def _settings(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    listeners = [f"{name.upper()}://127.0.0.1:{ports[name]}" for name in PROTOCOLS]
    return {
        "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{ports['controller']}"]),
        "advertised.listeners": ",".join(listeners),
        "inter.broker.listener.name": "PLAIN",
        "listener.security.protocol.map": ",".join(
            [*(f"{name.upper()}:{protocol}" for name, protocol in PROTOCOLS.items()), "CONTROLLER:PLAINTEXT"]
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:ANONYMOUS;User:{USER};User:{LATE}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.tls.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        "offsets.topic.num.partitions": "1",
        "connection.failed.authentication.delay.ms": "10",
        # A connection ends with its token, unless the client logs in anew before.
        "listener.name.oauth.oauthbearer.connections.max.reauth.ms": "60000",
        **_logins("sasl", ("PLAIN", *SCRAM)),
        **_logins("sasl_tls", ("PLAIN", *SCRAM)),
        **_logins("oauth", ("OAUTHBEARER",)),
    }


def _logins(listener: str, mechanisms: Sequence[str]) -> dict[str, str]:
    prefix = f"listener.name.{listener}"
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in (USER, LIMITED))
    modules = {
        "PLAIN": f"{MODULES}.plain.PlainLoginModule required {users};",
        "OAUTHBEARER": f"{MODULES}.oauthbearer.OAuthBearerLoginModule required;",
        **dict.fromkeys(SCRAM, f"{MODULES}.scram.ScramLoginModule required;"),
    }
    return {
        f"{prefix}.sasl.enabled.mechanisms": ",".join(mechanisms),
        **{f"{prefix}.{mechanism.lower()}.sasl.jaas.config": modules[mechanism] for mechanism in mechanisms},
    }
