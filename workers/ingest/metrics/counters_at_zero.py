"""Begins counters at 0: Prometheus sees no increase in the first value of a series."""

from webhookd.flow.alerting.mail import MailResult
from webhookd.metrics.catalogue.ingest import COMMITS, DELIVERIES_PUBLISHED, MAILS, REBALANCES


def begin_at_zero() -> None:
    """Serve the counters of events that may not happen for long."""
    for mail_result in (MailResult.DELIVERED, MailResult.REFUSED, MailResult.GIVEN_UP):
        MAILS.inc(mail_result, by=0)
    for result in ("committed", "failed"):
        COMMITS.inc(result, by=0)
    for event in ("assigned", "revoked", "lost"):
        REBALANCES.inc(event, by=0)
    for again in ("false", "true"):
        DELIVERIES_PUBLISHED.inc(again, by=0)
