"""Which alerts a subscription's owner gets, and their texts. The clock is the test's."""

from dataclasses import replace

import pytest

from tests.harness.subscriptions import ID
from webhookd.flow.alerting import alert
from webhookd.flow.alerting.alert import Alert, AlertKind
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.incident import Incident
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, LostRange, SubscriptionStatus
from webhookd.flow.subscription import OnExhausted

NOW = 1_700_000_000.0
HOUR = 3600.0
OWNER = AlertRecipient(id=ID, name="orders to the shop", emails=("a@example.com", "b@example.com"))
HEALTHY = SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY, since=NOW)
UNHEALTHY = replace(
    HEALTHY,
    health=Health.UNHEALTHY,
    reason="http_503",
    failing_since=NOW - 300.0,
    last_failure="http_503: 503 Service Unavailable: try later",
    lag=12345,
)


class Owner:
    """An owner who gets the alerts that are due as the statuses arrive."""

    def __init__(self, recipient: AlertRecipient = OWNER) -> None:
        self.recipient = recipient
        self.now = NOW
        self.incidents: dict[str, Incident] = {}
        self.alerts: list[Alert] = []
        self._before: SubscriptionStatus | None = None

    def gets(self, status: SubscriptionStatus, *, after_s: float = 1.0) -> None:
        self.now += after_s
        due = alert.due_alerts(self._before, status, self.recipient, self.incidents, self.now)
        self.incidents = {key: incident for key, incident in due.incidents.items() if incident is not None}
        self.alerts += due.alerts
        self._before = status

    def kinds(self) -> list[AlertKind]:
        return [item.kind for item in self.alerts]


def lost(first: int, at: float = NOW) -> LostRange:
    return LostRange(topic="orders", partition=3, first=first, end=first + 10, at=at)


def mail_of(status: SubscriptionStatus, recipient: AlertRecipient = OWNER) -> str:
    owner = Owner(recipient)
    owner.gets(status)
    [only] = owner.alerts
    return f"{only.mail.subject}\n\n{only.mail.body}"


def test_healthy_subscription_raises_nothing() -> None:
    owner = Owner()
    owner.gets(HEALTHY)
    assert (owner.alerts, owner.incidents) == ([], {})


def test_one_mail_for_an_incident_and_one_when_it_is_over() -> None:
    owner = Owner()
    for lag in range(100):
        owner.gets(replace(UNHEALTHY, lag=lag))
    owner.gets(HEALTHY)
    assert owner.kinds() == [AlertKind.UNHEALTHY, AlertKind.RECOVERED]


def test_reminder_comes_after_an_hour() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(UNHEALTHY, after_s=HOUR)
    assert owner.kinds() == [AlertKind.UNHEALTHY, AlertKind.REMINDER]
    assert "still fail" in owner.alerts[1].mail.body


def test_lost_range_is_mailed_once() -> None:
    owner = Owner()
    for _ in range(10):
        owner.gets(replace(HEALTHY, lost_ranges=(lost(5),)))
    assert owner.kinds() == [AlertKind.RECORDS_LOST]
    assert "orders[3]  offsets 5 to 14, up to 10 records" in owner.alerts[0].mail.body


def test_ranges_lost_soon_after_are_in_one_mail() -> None:
    owner = Owner()
    ranges: tuple[LostRange, ...] = ()
    for first in range(0, 200, 20):
        ranges = (*ranges, lost(first, owner.now))
        owner.gets(replace(HEALTHY, lost_ranges=ranges), after_s=60.0)
    owner.gets(replace(HEALTHY, lost_ranges=ranges), after_s=HOUR)
    assert owner.kinds() == [AlertKind.RECORDS_LOST] * 2
    body = owner.alerts[1].mail.body
    assert ("offsets 0 to 9" in body, body.count("offsets ")) == (False, 9)


def test_losses_that_the_status_no_longer_shows_are_counted() -> None:
    owner = Owner()
    ranges: tuple[LostRange, ...] = ()
    for first in range(0, 1000, 20):
        ranges = (*ranges, lost(first, owner.now))[-20:]
        owner.gets(replace(HEALTHY, lost_ranges=ranges))
    owner.gets(replace(HEALTHY, lost_ranges=ranges), after_s=HOUR)
    mail = owner.alerts[1].mail
    assert mail.subject == "[webhookd] orders to the shop has lost up to 490 records"
    assert (mail.body.count("offsets "), "and 29 more ranges before these" in mail.body) == (20, True)
    owner.gets(replace(HEALTHY, lost_ranges=ranges), after_s=4 * HOUR)
    assert len(owner.alerts) == 2


def test_loss_that_makes_it_unhealthy_is_one_mail() -> None:
    owner = Owner()
    owner.gets(replace(UNHEALTHY, reason="records_lost", lost_ranges=(lost(5),)))
    owner.gets(replace(UNHEALTHY, reason="records_lost", lost_ranges=(lost(5),)), after_s=60.0)
    assert owner.kinds() == [AlertKind.UNHEALTHY]
    assert "offsets 5 to 14" in owner.alerts[0].mail.body


def test_loss_long_after_another_is_mailed_at_once() -> None:
    owner = Owner()
    owner.gets(replace(HEALTHY, lost_ranges=(lost(5),)))
    owner.gets(replace(HEALTHY, lost_ranges=(lost(5),)), after_s=2 * HOUR)
    owner.gets(replace(HEALTHY, lost_ranges=(lost(5), lost(50, NOW + 2 * HOUR))))
    assert owner.kinds() == [AlertKind.RECORDS_LOST] * 2


def test_text_has_the_facts_for_the_owner() -> None:
    text = mail_of(UNHEALTHY)
    for fact in (
        "[webhookd] orders to the shop is failing (http_503)",
        ID,
        "2023-11-14 22:08:20 UTC (5 min)",
        "503 Service Unavailable: try later",
        "12,345 records",
        "tries the endpoint again automatically",
        "What to do:",
    ):
        assert fact in text


@pytest.mark.parametrize(
    ("reason", "policy", "words"),
    [
        ("http_500", OnExhausted.DEAD_LETTER, "stores a batch's records as dead letters"),
        ("http_500", OnExhausted.PAUSE, "keeps the position"),
        ("http_401", OnExhausted.PAUSE, "does not accept their credentials"),
        ("http_429", OnExhausted.PAUSE, "more requests"),
        ("http_418", OnExhausted.PAUSE, "rejects these requests"),
        ("http_302", OnExhausted.PAUSE, "redirects to"),
        ("dns_failed", OnExhausted.PAUSE, "DNS records"),
        ("address_refused", OnExhausted.PAUSE, "WEBHOOKD_EGRESS_ALLOW"),
        ("tls_failed", OnExhausted.PAUSE, "certificate"),
        ("proxy_failed", OnExhausted.PAUSE, "WEBHOOKD_EGRESS_PROXY"),
        ("internal_error", OnExhausted.PAUSE, "not the cause"),
        ("unusable_configuration", OnExhausted.PAUSE, "Save the subscription again"),
        ("consumer_failed", OnExhausted.PAUSE, "ask the operator of webhookd"),
        ("worker_lost", OnExhausted.PAUSE, "ask the operator of webhookd"),
        ("topic_missing", OnExhausted.PAUSE, "Create the topic"),
        ("filter_failing", OnExhausted.PAUSE, "checks the type first"),
        ("projection_failing", OnExhausted.PAUSE, "adapt the policy"),
        ("topic_denied", OnExhausted.PAUSE, "DESCRIBE and READ on the topic"),
        ("group_denied", OnExhausted.PAUSE, "consumer groups whose names begin with webhooks-"),
        ("read_failed", OnExhausted.DEAD_LETTER, "check the brokers"),
        ("commit_failed", OnExhausted.PAUSE, "after a restart they are delivered again"),
        ("a_reason_of_later", OnExhausted.PAUSE, "ask the operator of webhookd"),
    ],
)
def test_text_says_what_happens_and_what_to_do(reason: str, policy: OnExhausted, words: str) -> None:
    assert words in mail_of(replace(UNHEALTHY, reason=reason), replace(OWNER, on_exhausted=policy))


@pytest.mark.parametrize(("reason", "shown"), [("topic_denied", True), ("http_503", False)])
def test_detail_is_shown_for_problems_without_the_endpoint(reason: str, shown: bool) -> None:
    problems = (Problem(code=reason, detail="orders/0:\r\ndenied", standing=shown),)
    assert ("orders/0: denied" in mail_of(replace(UNHEALTHY, reason=reason, problems=problems))) is shown


@pytest.mark.parametrize("code", ["address_refused", "tls_failed", "timeout", "connect_refused"])
def test_advice_about_dns_is_given_for_dns_alone(code: str) -> None:
    assert "DNS" not in mail_of(replace(UNHEALTHY, reason=code, last_failure=code))


@pytest.mark.parametrize(
    ("last_failure", "label"),
    [("http_503: try later", "last answer:"), ("dns_failed: no such name", "no answer:")],
)
def test_text_labels_the_source_of_the_last_failure(last_failure: str, label: str) -> None:
    [line] = [
        line for line in mail_of(replace(UNHEALTHY, last_failure=last_failure)).splitlines() if last_failure in line
    ]
    assert line.strip().startswith(label)


def test_text_from_others_breaks_no_line() -> None:
    status = replace(UNHEALTHY, last_failure="500\r\nBcc: c@example.com\x00" + "x" * 5000)
    owner = Owner(replace(OWNER, name="orders\r\nBcc: c@example.com"))
    owner.gets(status)
    mail = owner.alerts[0].mail
    assert "\n" not in mail.subject
    assert "\nBcc" not in mail.body
    assert max(len(line) for line in mail.body.splitlines() if line.startswith("  last")) < 600


def test_each_mail_has_a_token_of_its_own() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(HEALTHY)
    owner.gets(UNHEALTHY, after_s=HOUR)
    assert len({item.mail.token for item in owner.alerts}) == 3


def test_recipient_named_twice_gets_one_mail() -> None:
    owner = Owner(replace(OWNER, emails=("a@example.com", "a@example.com")))
    owner.gets(UNHEALTHY)
    assert owner.alerts[0].mail.recipients == ("a@example.com",)


def test_deactivation_ends_the_incident_with_a_mail() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    due = alert.alerts_on_deactivation(OWNER, "gone", UNHEALTHY, owner.now)
    assert set(due.incidents.values()) == {None}
    assert due.incidents.keys() >= owner.incidents.keys()
    [only] = due.alerts
    assert (only.kind, only.mail.subject) == (
        AlertKind.DEACTIVATED,
        "[webhookd] orders to the shop was deactivated (gone)",
    )
    assert "410 Gone" in only.mail.body


@pytest.mark.parametrize("at", [float("inf"), 1e300, -1e300, float("nan")])
def test_invalid_time_prevents_no_alert(at: float) -> None:
    assert "unknown" in mail_of(replace(UNHEALTHY, failing_since=at))


CHANGED = replace(HEALTHY, version_delivered=False)


def test_change_by_the_owner_is_no_recovery() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(CHANGED)
    assert owner.kinds() == [AlertKind.UNHEALTHY]


@pytest.mark.parametrize("after_s", [1.0, 24 * HOUR])
def test_recovery_after_a_change_is_mailed_once(after_s: float) -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(CHANGED)
    owner.gets(CHANGED, after_s=after_s)
    owner.gets(HEALTHY)
    owner.gets(HEALTHY, after_s=HOUR)
    assert owner.kinds() == [AlertKind.UNHEALTHY, AlertKind.RECOVERED]


def test_failure_right_after_a_change_needs_no_new_mail() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(CHANGED)
    owner.gets(UNHEALTHY, after_s=5.0)
    assert owner.kinds() == [AlertKind.UNHEALTHY]


def test_failure_long_after_a_change_is_mailed() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(CHANGED)
    owner.gets(UNHEALTHY, after_s=HOUR)
    assert owner.kinds() == [AlertKind.UNHEALTHY, AlertKind.UNHEALTHY]


def test_change_after_a_deactivation_needs_no_mail() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.incidents = {}  # as the alert about the deactivation leaves them
    owner.gets(CHANGED)
    owner.gets(HEALTHY)
    assert owner.kinds() == [AlertKind.UNHEALTHY]


def test_incident_ends_without_delivery_after_the_change() -> None:
    owner = Owner()
    owner.gets(UNHEALTHY)
    owner.gets(CHANGED)
    owner.gets(CHANGED, after_s=8 * 24 * HOUR)
    assert owner.incidents == {}


def test_status_of_the_previous_version_needs_no_mail() -> None:
    owner = Owner(replace(OWNER, version=2))
    owner.gets(replace(UNHEALTHY, version=1))
    owner.gets(replace(HEALTHY, version=1))
    assert owner.kinds() == []
    owner.gets(replace(UNHEALTHY, version=2))
    assert owner.kinds() == [AlertKind.UNHEALTHY]


@pytest.mark.parametrize(
    ("reason", "opening"),
    [("http_500", "Deliveries of this subscription fail."), ("commit_failed", "does not work correctly.")],
)
def test_text_does_not_blame_the_endpoint_without_cause(reason: str, opening: str) -> None:
    assert opening in mail_of(replace(UNHEALTHY, reason=reason))


@pytest.mark.parametrize("code", ["records_unreadable", "dead_letters_full", "dead_letter_topic_unavailable"])
def test_standing_problem_is_mailed_with_detail_and_advice(code: str) -> None:
    problem = Problem(code=code, detail="orders/0: schema id 42", since=NOW, standing=True)
    text = mail_of(replace(UNHEALTHY, reason=code, problems=(problem,)))
    assert "orders/0: schema id 42" in text
    assert "the endpoint" not in text.partition("What to do:")[2]
