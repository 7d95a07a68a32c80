"""One mail for each certificate that expires soon. The clock is the test's; incidents are kept as in the database."""

from dataclasses import replace

from tests.harness.subscriptions import ID
from webhookd.flow.alerting.alert import Alert, AlertKind, due_alerts
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.certificate_warning import (
    BETWEEN_MAILS_S,
    CHECK_AGAIN_S,
    LARGEST_NUMBER,
    awaited_warning,
    due_warning,
    has_room,
)
from webhookd.flow.alerting.incident import Incident
from webhookd.flow.status.endpoint_certificate import WARN_BEFORE_S, EndpointCertificate
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import OnExhausted

NOW = 1_700_000_000.0
DAY = 86400.0
OWNER = AlertRecipient(
    id=ID, name="orders to the shop", emails=("a@example.com",), url="https://example.com/hook", version=1
)


def status(*, days: float = 90.0, host: str = "example.com", port: int = 443) -> SubscriptionStatus:
    """A healthy subscription whose endpoint has a certificate for so many days."""
    ends = NOW + days * DAY
    shown = EndpointCertificate(host=host, port=port, begins_at=ends - 365 * DAY, expires_at=ends, seen_at=NOW)
    return SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY, version=1, endpoint_certificate=shown)


class Store:
    """The incidents between the checks, and the alerts that were raised."""

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.raised: list[Alert] = []

    def writes(self, latest: SubscriptionStatus, now: float) -> None:
        """A status is written."""
        for key, incident in awaited_warning(latest, now).items():
            if key not in self.incidents and has_room(key, self.incidents):
                self.incidents[key] = incident

    def checks(
        self, latest: SubscriptionStatus | None, now: float, recipient: AlertRecipient | None = OWNER
    ) -> list[Alert]:
        """What is due is checked."""
        before = len(self.raised)
        for key, incident in list(self.incidents.items()):
            due = due_warning(key, self.incidents, latest, recipient, now) if incident.next_mail_at <= now else None
            for changed, after in (due.incidents if due else {}).items():
                self.incidents.pop(changed)
                self.incidents |= {changed: after} if after is not None else {}
            self.raised += due.alerts if due else ()
        return self.raised[before:]


def warned(latest: SubscriptionStatus, recipient: AlertRecipient = OWNER) -> str:
    store = Store()
    store.writes(latest, NOW)
    [alert] = store.checks(latest, NOW, recipient)
    return f"{alert.mail.subject}\n{alert.mail.body}"


def test_warning_is_due_14_days_before_without_traffic() -> None:
    store, latest = Store(), status(days=90.0)
    store.writes(latest, NOW)
    due_at = NOW + 90.0 * DAY - WARN_BEFORE_S
    assert store.checks(latest, due_at - 1.0) == []
    [alert] = store.checks(latest, due_at)
    assert (alert.kind, alert.mail.recipients) == (AlertKind.CERTIFICATE_EXPIRES, ("a@example.com",))


def test_certificate_is_warned_of_once() -> None:
    store, latest = Store(), status(days=10.0)
    for day in range(12):
        store.writes(latest, NOW + day * DAY)
        store.checks(latest, NOW + day * DAY)
        store.writes(latest, NOW + day * DAY)
    assert len(store.raised) == 1
    assert store.incidents == {}, "it ends with the certificate"


def test_renewed_certificate_begins_anew() -> None:
    store, old, new = Store(), status(days=10.0), status(days=40.0)
    store.writes(old, NOW)
    store.checks(old, NOW)
    store.writes(new, NOW + DAY)
    assert store.checks(new, NOW + 25 * DAY) == []
    assert len(store.checks(new, NOW + 26 * DAY)) == 1
    assert len(store.raised) == 2


def test_certificate_that_was_renewed_in_time_is_not_warned_of() -> None:
    store, old, new = Store(), status(days=30.0), status(days=90.0)
    store.writes(old, NOW)
    store.writes(new, NOW + 5 * DAY)
    assert store.checks(new, NOW + 17 * DAY) == []
    assert len(store.incidents) == 1


def test_servers_that_show_two_certificates_in_turns_cause_one_mail_for_each_a_day_apart() -> None:
    store, mailed_at = Store(), []
    for hour in range(72):
        latest, now = status(days=10.0 + hour % 2), NOW + hour * 3600.0
        store.writes(latest, now)
        mailed_at += [now for _ in store.checks(latest, now)]
    assert len(mailed_at) == len({alert.subject_key for alert in store.raised}) == 2
    assert mailed_at[1] - mailed_at[0] >= BETWEEN_MAILS_S


def test_server_that_shows_another_certificate_each_minute_causes_few_incidents_and_one_mail_a_day() -> None:
    store, most = Store(), 0
    for minute in range(3 * 1440):
        now = NOW + minute * 60.0
        latest = status(days=(minute + 10) / 1440)  # it expires ten minutes later
        store.writes(latest, now)
        most = max(most, len(store.incidents))
        store.checks(latest, now)
    assert most == LARGEST_NUMBER
    assert len(store.raised) == 3


def test_certificate_that_had_no_room_is_warned_of_later() -> None:
    store = Store()
    for day in range(LARGEST_NUMBER + 1):
        store.writes(status(days=200.0 + day), NOW)
    last = status(days=200.0 + LARGEST_NUMBER)
    assert len(store.incidents) == LARGEST_NUMBER
    assert store.checks(last, NOW + CHECK_AGAIN_S) == []
    store.writes(last, NOW + CHECK_AGAIN_S)
    assert len(store.checks(last, NOW + 195.0 * DAY)) == 1


def test_changed_endpoint_is_not_warned_of() -> None:
    for other in ("https://example.org/hook", "http://example.com/hook", "https://example.com:8443/hook"):
        store, latest = Store(), status(days=10.0)
        store.writes(latest, NOW)
        assert store.checks(latest, NOW, replace(OWNER, url=other)) == []
        assert store.incidents == {}


def test_inactive_or_deleted_subscription_is_not_warned_of_until_it_runs_again() -> None:
    store, latest = Store(), status(days=10.0)
    store.writes(latest, NOW)
    assert store.checks(latest, NOW, replace(OWNER, active=False)) == []
    store.writes(latest, NOW)
    assert store.checks(None, NOW, None) == []
    store.writes(latest, NOW)
    assert len(store.checks(latest, NOW)) == 1


def test_incident_of_a_deleted_subscription_ends_long_before_the_certificate() -> None:
    store, latest = Store(), status(days=3650.0)
    store.writes(latest, NOW)
    for check in range(1, 4):
        assert store.checks(latest, NOW + check * CHECK_AGAIN_S) == []
        assert len(store.incidents) == 1
    store.checks(None, NOW + 4 * CHECK_AGAIN_S, None)
    assert store.incidents == {}


def test_expired_certificate_is_not_warned_of() -> None:
    store, latest = Store(), status(days=-1.0)
    store.writes(latest, NOW)
    assert (store.incidents, store.checks(latest, NOW)) == ({}, [])


def test_mail_of_another_process_is_not_repeated() -> None:
    latest = status(days=10.0)
    ((key, sent),) = awaited_warning(latest, NOW).items()
    sent = replace(sent, owner_notified=True, mails=1, next_mail_at=NOW + 10.0 * DAY)
    due = due_warning(key, {key: sent}, latest, OWNER, NOW)
    assert (due.incidents, due.alerts) == ({}, ())


def test_mail_names_host_times_and_what_to_do() -> None:
    text = warned(status(days=10.0, port=8443), replace(OWNER, url="https://example.com:8443/hook"))
    assert "orders to the shop: the certificate of example.com expires on 2023-11-24" in text
    for fact in ("example.com:8443", "2023-11-24 22:13:20 UTC (in 10 days)", "last seen:", "Renew the certificate"):
        assert fact in text
    assert "requests fail with tls_failed. webhookd keeps the position" in text


def test_mail_says_what_happens_to_the_records() -> None:
    latest = status(days=10.0)
    assert "dead letters" in warned(latest, replace(OWNER, on_exhausted=OnExhausted.DEAD_LETTER))
    assert "goes on sending, also after the expiry" in warned(latest, replace(OWNER, tls_verify=False))


def test_failure_mail_names_the_expired_certificate() -> None:
    failing = replace(status(days=-1.0), health=Health.UNHEALTHY, reason="tls_failed", since=NOW)
    (alert,) = due_alerts(None, failing, OWNER, {}, NOW).alerts
    assert "of example.com, expired 2023-11-13 22:13:20 UTC" in alert.mail.body
    (other,) = due_alerts(None, replace(failing, reason="http_500"), OWNER, {}, NOW).alerts
    assert "expired" not in other.mail.body
