"""Every kind of login at the secure Kafka, and every way in which one fails."""

from collections.abc import Mapping

from tests.harness.secure_kafka import SecureKafka
from webhookd.edges.kafka_connection import CLOSED, KafkaConnection

REFUSED = "kafka_authentication_failed"


def logins(kafka: SecureKafka) -> Mapping[str, Mapping[str, str]]:
    """The properties of every kind of login."""
    return {
        "SASL_PLAINTEXT, PLAIN": kafka.login("PLAIN"),
        "SASL_PLAINTEXT, SCRAM-SHA-256": kafka.login("SCRAM-SHA-256"),
        "SASL_PLAINTEXT, SCRAM-SHA-512": kafka.login("SCRAM-SHA-512"),
        "SASL_SSL, PLAIN": kafka.tls_login("PLAIN"),
        "SASL_SSL, SCRAM-SHA-512": kafka.tls_login("SCRAM-SHA-512"),
        "SSL, client certificate": kafka.certificate(),
        "OAUTHBEARER, oidc": kafka.oidc(),
    }


def refusals(kafka: SecureKafka) -> Mapping[str, tuple[KafkaConnection, str, str]]:
    """Connections that fail: the code, and a part of the text."""
    at, tls = kafka.connect, kafka.tls_login("PLAIN")
    port = kafka.addresses["sasl_tls"].rpartition(":")[2]
    no_certificate = {"security.protocol": "SSL", "ssl.ca.location": str(kafka.ca_file)}
    return {
        "PLAIN password": (at(kafka.login("PLAIN", password="no")), REFUSED, "Invalid username or password"),
        "SCRAM password": (at(kafka.login("SCRAM-SHA-256", password="no")), REFUSED, "invalid credentials"),
        "unknown user": (at(kafka.tls_login("SCRAM-SHA-512", user="no")), REFUSED, "invalid credentials"),
        "client secret": (at(kafka.oidc("no")), REFUSED, "invalid_client"),
        "mechanism": (
            at(kafka.login("PLAIN")).at(kafka.addresses["oauth"]),
            REFUSED,
            "broker's supported mechanisms: OAUTHBEARER",
        ),
        "certificate of a stranger": (at(kafka.certificate("stranger")), REFUSED, "alert"),
        "no certificate": (at(no_certificate), REFUSED, "alert"),
        "unknown authority": (
            at({**tls, "ssl.ca.location": str(kafka.other_ca_file)}),
            REFUSED,
            "certificate verify failed",
        ),
        "another host": (at(tls).at(f"localhost:{port}"), REFUSED, "certificate verify failed"),
        "no TLS": (KafkaConnection(kafka.addresses["tls"]), "kafka_unavailable", CLOSED),
        "no login": (KafkaConnection(kafka.addresses["sasl"]), "kafka_unavailable", CLOSED),
        "TLS at a plain listener": (
            at(kafka.certificate()).at(kafka.addresses["plain"]),
            "kafka_unavailable",
            "connecting to a PLAINTEXT broker listener?",
        ),
    }
