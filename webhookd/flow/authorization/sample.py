"""Shows sampled records as a tenant sees them, so that what is said about them tells nothing that a policy hides."""

from collections.abc import Sequence

from webhookd.errors import ProjectionFailed, UndecodableRecord
from webhookd.flow.authorization.authorizer import TopicAuthorizer
from webhookd.flow.authorization.seen_record import DENIED_RECORD, PlainRecord, SeenRecord
from webhookd.flow.authorization.topic_matcher import shows_everything
from webhookd.flow.policy.policy import TopicPolicies


def seen_values(policies: TopicPolicies, values: Sequence[bytes | None]) -> list[bytes | None]:
    """The values that the tenant sees of these records, in their order.

    Records that are denied, cannot be projected or cannot be decoded are left out. A sample has neither keys nor
    headers. So it shows nothing if a policy reads them.
    """
    if shows_everything(policies):
        return list(values)
    authorizer = TopicAuthorizer(policies)
    if authorizer.reads_record or not policies.allowed:
        return []
    seen = (_seen(authorizer, value) for value in values)
    return [record.value for record in seen if record is not DENIED_RECORD]


def _seen(authorizer: TopicAuthorizer, value: bytes | None) -> SeenRecord:
    try:
        return authorizer.see(PlainRecord(value))
    except (UndecodableRecord, ProjectionFailed):
        return DENIED_RECORD
