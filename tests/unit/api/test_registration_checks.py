"""What a registration is warned about, and that the checks for it are bounded and never fail it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.extensions.bounded_calls import BoundedCalls
from api.resources.subscription.checks import CALLS, DEADLINE_S, RegistrationChecks
from api.resources.subscription.registration_warnings import RegistrationWarning
from tests.harness.policies import policy
from tests.harness.subscriptions import subscription
from webhookd.errors import KafkaUnavailable
from webhookd.flow.destination import Basic, ClientCredentials, Destination
from webhookd.flow.offsets.topic_metadata import TopicSample
from webhookd.flow.policy.policy import OPEN_TOPIC, Effect, Projection, ProjectionKind, TopicPolicies
from webhookd.flow.subscription import Alerting, Batching, Source, Subscription
from webhookd.settings import Settings
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

ORDERS: list[bytes | None] = [b'{"total": 7, "status": "open", "order-id": "A1"}', b'{"total": 200, "status": "paid"}']
WAIT_S = 20.0


def plain(*filters: str, **changes: Any) -> Subscription:  # noqa: ANN401  # what a Subscription has
    """A subscription with these filters about which there is nothing to say, apart from the changes."""
    values: dict[str, Any] = {
        "sources": (Source(topic="orders", jmes_filters=filters),),
        "alerting": Alerting(),
        "destination": Destination(url="https://example.com/hook"),
        "batching": Batching(),
        "policies": {"orders": OPEN_TOPIC, "refunds": OPEN_TOPIC},
    }
    return subscription(**(values | changes))


def kafka_with(*values: bytes | None) -> MemoryKafkaAdmin:
    kafka = MemoryKafkaAdmin({"orders": {0: len(values)}})
    kafka.records["orders"] = [*values]
    return kafka


def public(_host: str, _port: int) -> Sequence[str]:
    return ["8.8.8.8"]


def found(
    given: Subscription,
    *,
    kafka: MemoryKafkaAdmin | None = None,
    resolver: Callable[[str, int], Sequence[str]] = public,
    settings: Settings | None = None,
    deadline_s: float = DEADLINE_S,
) -> list[tuple[str, str, str]]:
    checks = RegistrationChecks(settings or Settings(), kafka or kafka_with(*ORDERS), resolver, deadline_s=deadline_s)
    return [(warning.field, warning.code.value, warning.reason) for warning in checks.warnings(given)]


def test_nothing_is_said_about_what_is_right() -> None:
    assert found(plain("total > `100`", "status == 'paid'")) == []


def test_mail_addresses_need_a_mail_server() -> None:
    given = plain(alerting=Alerting(emails=("ops@example.com",)))
    [(field, code, reason)] = found(given)
    assert (field, code) == ("configuration.alerting.alert_emails", "no_mail_server")
    assert "WEBHOOKD_SMTP_HOST" in reason
    assert found(given, settings=Settings(smtp_host="mail", mail_from="a@b.example")) == []


def test_interval_of_batches_of_one_has_no_effect() -> None:
    [(field, code, _)] = found(plain(batching=Batching(max_batch_size=1, max_batch_interval_s=60.0)))
    assert (field, code) == ("configuration.batching.max_batch_interval_seconds", "interval_unused")
    assert found(plain(batching=Batching(max_batch_size=2, max_batch_interval_s=60.0))) == []


def test_refused_addresses_are_named_by_their_rules_only() -> None:
    given = plain()
    with capture_logs() as lines:
        [(field, code, reason)] = found(given, resolver=lambda *_: ["10.0.0.5", "127.0.0.1", "::ffff:10.0.0.6"])
    assert (field, code) == ("destination.webhook.url", "address_refused")
    assert "(loopback, private)" in reason
    assert "WEBHOOKD_EGRESS_ALLOW" in reason
    assert "10.0.0" not in reason, "a tenant must not learn the addresses of internal names"
    assert [line["addresses"] for line in lines if line["event"] == "host_refused"] == [
        {"10.0.0.5": "private", "127.0.0.1": "loopback", "::ffff:10.0.0.6": "private"}
    ]
    allowed = Settings(egress_allow=("10.0.0.0/8",))
    assert found(given, resolver=lambda _host, _port: ["10.0.0.5"], settings=allowed) == []
    forbidden = Settings(egress_forbid=("8.8.0.0/16",))
    [(_, code, reason)] = found(given, settings=forbidden)
    assert (code, "network_forbidden" in reason) == ("address_refused", True)


def test_url_of_before_a_rule_is_named_without_a_look_up() -> None:
    def asked(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError("nothing will be sent to it")

    rules = Settings(egress_allow_ports=("8443",))
    [(field, code, reason)] = found(plain(), settings=rules, resolver=asked)
    assert (field, code) == ("destination.webhook.url", "url_refused")
    assert reason == "has a port to which this installation sends nothing (the rule port_not_allowed)"


def test_one_allowed_address_is_enough() -> None:
    assert found(plain(), resolver=lambda _host, _port: ["10.0.0.5", "8.8.8.8"]) == []


def test_host_that_cannot_be_resolved_is_named() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    [(field, code, reason)] = found(plain(), resolver=unknown)
    assert (field, code) == ("destination.webhook.url", "host_unresolved")
    assert reason == "has a host that cannot be resolved now: Name or service not known"


def test_token_endpoint_is_judged_as_the_endpoint_is() -> None:
    login = ClientCredentials(token_url="https://login.example.com:8443/token", client_id="a", client_secret="b")
    given = plain(destination=Destination(url="https://example.com/hook", authentication=login))
    addresses = {"example.com": "8.8.8.8", "login.example.com": "10.0.0.5"}
    [(field, code, reason)] = found(given, resolver=lambda host, _port: [addresses[host]])
    assert (field, code) == ("destination.webhook.authentication.token_url", "address_refused")
    assert "10.0.0" not in reason
    [(field, code, _)] = found(given, settings=Settings(egress_forbid_ports=("8443",)))
    assert (field, code) == ("destination.webhook.authentication.token_url", "url_refused")


def test_egress_proxy_resolves_names_itself() -> None:
    def asked(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError("the proxy resolves the name")

    through = Settings.model_validate({"egress_proxy": "http://127.0.0.1:3128"})
    assert found(plain(), resolver=asked, settings=through) == []
    literal = plain(destination=Destination(url="https://10.0.0.5/hook"))
    [(_, code, _)] = found(literal, resolver=lambda host, _port: [host], settings=through)
    assert code == "address_refused"
    judging = through.model_copy(update={"egress_proxy_judges": False})
    [(_, code, _)] = found(plain(), resolver=lambda _host, _port: ["10.0.0.5"], settings=judging)
    assert code == "address_refused"


def test_credentials_over_the_internet_need_encryption() -> None:
    clear = Destination(url="http://example.com/hook", authentication=Basic(username="a", password="s3cret"))
    [(field, code, reason)] = found(plain(destination=clear))
    assert (field, code) == ("destination.webhook.authentication", "headers_unencrypted")
    assert "s3cret" not in reason


def test_headers_over_the_internet_need_encryption() -> None:
    clear = Destination(url="http://example.com/hook", headers=(("X-Api-Key", "secret"),))
    [(field, code, reason)] = found(plain(destination=clear))
    assert (field, code) == ("destination.webhook.headers", "headers_unencrypted")
    assert "secret" not in reason
    inside = Settings(egress_allow=("10.0.0.0/8",))
    assert found(plain(destination=clear), resolver=lambda _host, _port: ["10.0.0.5"], settings=inside) == []
    assert found(plain(destination=replace(clear, headers=()))) == []


def test_topic_that_does_not_exist_is_named() -> None:
    given = plain(sources=(Source(topic="orders"), Source(topic="order")))
    [(field, code, _)] = found(given)
    assert (field, code) == ("source[1].topic", "topic_missing")


def test_topic_that_kafka_denies_now_is_named() -> None:
    kafka = kafka_with(*ORDERS)
    kafka.denied = {"orders"}
    [(field, code, _)] = found(plain(), kafka=kafka)
    assert (field, code) == ("source[0].topic", "topic_denied")


def test_topic_without_json_is_named() -> None:
    [(field, code, reason)] = found(plain(), kafka=kafka_with(b"\x00\x00\x00\x00\x07Avro", b"\x00"))
    assert (field, code) == ("source[0].topic", "records_not_json")
    assert "last 2 records" in reason


def test_double_quotes_that_name_a_field_are_mended() -> None:
    literal, nothing = found(plain('status == "paid"'))
    assert literal == (
        "source[0].jmes_filters[0]",
        "field_not_literal",
        "compares with the field paid, since double quotes name a field: write 'paid' for the string; "
        "none of the last 2 records has such a field",
    )
    assert nothing[1] == "filter_passes_nothing"


def test_double_quotes_are_mended_without_records_too() -> None:
    [(_, code, reason)] = found(plain('status == "paid"'), kafka=kafka_with())
    assert code == "field_not_literal"
    assert reason.endswith("write 'paid' for the string")


def test_quoted_field_of_a_record_is_no_mistake() -> None:
    kafka = kafka_with(b'{"ref": "A1", "order-id": "A1"}')
    assert found(plain('ref == "order-id"'), kafka=kafka) == []


def test_filter_that_passes_no_record_is_named() -> None:
    [(field, code, reason)] = found(plain("total > `100`", "status == 'returned'"))
    assert (field, code) == ("source[0].jmes_filters[1]", "filter_passes_nothing")
    assert reason == "passes none of the last 2 records of orders"


def test_filters_that_exclude_each_other_are_named_together() -> None:
    [(field, _, reason)] = found(plain("total > `100`", "status == 'open'"))
    assert field == "source[0].jmes_filters"
    assert reason == "pass none of the last 2 records of orders"


def test_nothing_is_said_about_what_a_policy_hides() -> None:
    hides = policy(projection=Projection(kind=ProjectionKind.EXCLUDE, paths=("order-id",)))
    denies = policy(effect=Effect.DENY, projection=None)
    for policies in ((), (hides, denies)):
        applied = TopicPolicies(governed=True, open=True, policies=policies)
        assert found(plain("status == 'never'", policies={"orders": applied})) == []
    assert found(plain("status == 'never'", policies={})) == []
    visible = {"orders": TopicPolicies(governed=True, open=False, policies=(hides,))}
    assert [code for _, code, _ in found(plain("status == 'never'", policies=visible))] == ["filter_passes_nothing"]
    hidden = plain("\"order-id\" == 'A1'", policies=visible)
    assert [code for _, code, _ in found(hidden)] == ["filter_passes_nothing"]
    assert found(replace(hidden, policies={"orders": OPEN_TOPIC})) == []


def test_nothing_is_said_about_a_topic_that_is_not_allowed() -> None:
    missing = MemoryKafkaAdmin({})
    assert [code for _, code, _ in found(plain(), kafka=missing)] == ["topic_missing"]
    denied = {"orders": TopicPolicies(governed=False, open=False)}
    assert found(plain(policies=denied), kafka=missing) == []


def test_errors_of_a_filter_are_counted() -> None:
    [(_, _, reason)] = found(plain("total > '100'"))
    assert "on 2 of them a filter raises an error: total > '100': " in reason


def test_topic_without_records_tells_nothing() -> None:
    assert found(plain("status == 'returned'"), kafka=kafka_with()) == []


def test_kafka_that_does_not_answer_is_a_warning_and_is_not_asked_again_at_once() -> None:
    class Counting(MemoryKafkaAdmin):
        asked = 0

        def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
            self.asked += 1
            return super().samples(group, topics, count, timeout_s)

    kafka = Counting()
    kafka.down = True
    checks = RegistrationChecks(Settings(), kafka, public)
    assert [[warning.code for warning in checks.warnings(plain())] for _ in range(2)] == [["unchecked"]] * 2
    assert kafka.asked == 1


def test_hanging_resolver_and_hanging_kafka_delay_nothing() -> None:
    release, ended = threading.Event(), threading.Semaphore(0)

    def hang(*_args: object) -> Sequence[str]:
        release.wait(WAIT_S)
        ended.release()
        return []

    class Hanging(MemoryKafkaAdmin):
        def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
            hang()
            raise KafkaUnavailable(f"{group} {topics} {count} {timeout_s}")

    answers = found(plain(), resolver=hang, kafka=Hanging(), deadline_s=0.01)
    assert [code for _, code, _ in answers] == ["host_unresolved", "unchecked"]
    release.set()
    assert all(ended.acquire(timeout=WAIT_S) for _ in range(2))


def test_checks_never_fail_a_registration() -> None:
    class Broken(MemoryKafkaAdmin):
        def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
            raise ZeroDivisionError(f"{group} {topics} {count} {timeout_s}")

    warnings: list[RegistrationWarning] = RegistrationChecks(Settings(), Broken(), public).warnings(plain())
    assert warnings == []


def test_calls_are_bounded() -> None:
    release = threading.Event()
    calls = BoundedCalls(2)
    running = [calls.start(lambda: release.wait(WAIT_S)) for _ in range(2)]
    with pytest.raises(TimeoutError):
        calls.start(lambda: True).result(0)
    release.set()
    assert [call.result(WAIT_S) for call in running] == [True, True]
    assert CALLS > 2


@pytest.mark.parametrize(
    ("token_url", "address", "warned"),
    [
        ("http://login.example.com/token", "8.8.4.4", True),
        ("HTTP://login.example.com/token", "8.8.4.4", True),
        ("http://login.example.com/token", "10.0.0.5", False),
        ("https://login.example.com/token", "8.8.4.4", False),
    ],
)
def test_client_secret_without_encryption_is_named(token_url: str, address: str, *, warned: bool) -> None:
    login = ClientCredentials(token_url=token_url, client_id="a", client_secret="b")
    given = plain(destination=Destination(url="https://example.com/hook", authentication=login))
    addresses = {"example.com": "8.8.8.8", "login.example.com": address}
    settings = Settings(egress_allow=("10.0.0.0/8",))
    warnings = found(given, resolver=lambda host, _port: [addresses[host]], settings=settings)
    field = "destination.webhook.authentication.token_url"
    assert [one[:2] for one in warnings] == [(field, "client_secret_unencrypted")] * warned
