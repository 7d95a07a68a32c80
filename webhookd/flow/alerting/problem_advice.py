"""For each reason of an unhealthy subscription: what webhookd does, and what the subscription's owner should do.

reason                                          advice
a code of webhookd's own                        PROBLEM_ADVICE
a batch that failed without an exchange         BATCH_ADVICE
a failure code of an exchange, an HTTP status   failure_advice.py
"""

from collections.abc import Mapping

from webhookd.flow.alerting.failure_advice import CONSENT, TO_DO
from webhookd.flow.status.reason_codes import table_key
from webhookd.flow.subscription import OnExhausted

RETRIES_GO_ON = (
    "webhookd keeps the position and tries the endpoint again automatically, at growing intervals from 30 seconds to "
    "15 minutes. After a request has succeeded, it continues from that position, in order. Records that wait longer "
    "than the topic's retention time are lost."
)
DEAD_LETTERED = "After the last failed attempt webhookd stores a batch's records as dead letters and continues."
NOT_STARTED = "webhookd reads nothing for this subscription until its configuration can be used. It keeps the position."
NOT_ALLOWED = (
    "webhookd reads nothing for this subscription while a topic of it is not allowed. It keeps the position, and "
    "continues there by itself when every topic is allowed again. Records that wait longer than the topic's retention "
    "time are lost."
)
POLICIES_UNKNOWN = (
    "webhookd has stopped this subscription because it could not read what may be delivered. It keeps the position "
    "and continues by itself when it can read the policies again."
)
WAITS_FOR_ROOM = (
    "webhookd reads nothing for this subscription while its ingest process has no room for another one. It keeps the "
    "position, and continues there by itself when there is room. Records that wait longer than the topic's retention "
    "time are lost."
)
STARTED_AGAIN = "webhookd tries again automatically. It keeps the position."
KAFKA_DOWN = (
    "Kafka does not answer webhookd. webhookd reads nothing now and continues automatically when Kafka answers. It "
    "keeps the position."
)
KAFKA_REFUSES = (
    "Kafka refuses webhookd's login or TLS connection. webhookd reads nothing now and continues automatically when "
    "Kafka accepts it. It keeps the position."
)
TOPIC_AWAITED = (
    "A topic of this subscription does not exist. webhookd checks for it regularly and reads it as soon as it exists."
)
NOT_READ = (
    "webhookd cannot deliver what Kafka does not let it read. It tries again automatically and keeps the position."
)
NOT_COMMITTED = (
    "webhookd delivers the records, but Kafka does not store the position: after a restart they are delivered again. "
    "webhookd tries to commit again automatically."
)
FILTERS_FAIL = (
    "The subscription's filters fail on many records. webhookd stores these records as dead letters, with the filter "
    "and the error, and does not deliver them. Where on_filter_error is drop, it drops the records on which a filter "
    "raises an error. It delivers all other records."
)
PROJECTIONS_FAIL = (
    "The operators' policy for the topic says what is seen of a record, but this cannot be evaluated on many records. "
    "webhookd stores these records as dead letters without their content and does not deliver them. It delivers all "
    "other records."
)
READ_ON = "webhookd continues with the oldest records that the topic still holds."
DEACTIVATED = "The subscription is inactive. webhookd reads and sends nothing for it and keeps its position."
NOT_SENT = "webhookd sends none of them now and tries again automatically. No record is lost while Kafka keeps it."
NOT_DECRYPTED = (
    "webhookd cannot decrypt the secrets of the subscription, such as the values of its headers, and sends nothing "
    "without them. It keeps the position and continues automatically when it can decrypt them."
)
DESTINATION_UNUSED = (
    "webhookd cannot use the options of the destination that are named above, and sends nothing. It keeps the position "
    "and continues automatically when it can use them."
)
NOT_ASKED_FOR = (
    "The endpoint has not shown that it wants the requests, so webhookd delivers nothing to it. It keeps the position, "
    "and asks the endpoint again at growing intervals up to 5 minutes. When the endpoint consents, webhookd delivers "
    "the records that waited, in order. Records that wait longer than the topic's retention time are lost."
)
DEAD_LETTERS_WAIT = "The partition waits. webhookd continues automatically once the dead letters are stored."
UNREADABLE_PAUSED = (
    "webhookd has stopped at the first record of the series that it cannot decode; a few of these records are stored "
    "as dead letters. It goes on checking new records. When it can decode one, it stores the records before it as dead "
    "letters and continues in order, automatically. Records that wait longer than the topic's retention time are lost."
)
DEAD_LETTERS_FULL = (
    "webhookd has stopped the partitions that have records for the dead letters. None of these records is lost. "
    "webhookd continues automatically when dead letters were deleted."
)
COPIED_LATER = (
    "Deliveries continue. webhookd keeps the dead letters and tries for an hour to copy them to the Kafka topic."
)

CERTIFICATE_VERIFIED = "webhookd goes on sending. When the certificate has expired, requests fail with tls_failed. "
CERTIFICATE_UNVERIFIED = (
    "webhookd goes on sending, also after the expiry: the subscription has tls.verify set to no, so webhookd does not "
    "verify the certificate."
)

FIX_CONFIGURATION = "Save the subscription again with a configuration that the API accepts."
FIX_POLICY = (
    "Ask the operator of webhookd why your access to the topic has ended, or remove the topic from the subscription."
)
FIX_TOPIC = "Create the topic, or remove it from the subscription."
FIX_TOPIC_ACCESS = (
    "Give webhookd's Kafka user the rights DESCRIBE and READ on the topic, or remove the topic from the subscription."
)
FIX_GROUP_ACCESS = "Give webhookd's Kafka user the right READ on consumer groups whose names begin with webhooks-."
FIX_FILTER = (
    "The status shows the filter and the error. Change the filter so that it checks the type first, for example "
    "type(tags) == 'array' && contains(tags, 'x'), or so that it evaluates less of each record."
)
FIX_PROJECTION = (
    "Ask the operator of webhookd to adapt the policy that is named above to the values of the topic. Records that are "
    "dead letters by then have to be produced again."
)
FIX_INSIDE = "Nothing, unless the problem lasts: then ask the operator of webhookd."
FIX_INGEST = "Ask the operator of webhookd to start another ingest process."
FIX_LOGIN = "Ask the operator of webhookd to check its login and certificates for Kafka. Kafka's error is shown above."
FIX_LOSS = (
    "Find out whether the receiver needs these records, and produce them again if it does. To prevent further loss, "
    "give the topic a longer retention time or make the endpoint faster."
)
FIX_GONE = "If the endpoint should receive records again, change its URL or set the subscription active."
FIX_CERTIFICATE = (
    "Renew the certificate of the endpoint. If it was renewed after webhookd last saw it, there is nothing to do: "
    "webhookd notices the new one within two hours of sending."
)
FIX_KAFKA = (
    "Ask the operator of webhookd to check the brokers and the rights of webhookd's Kafka user. Kafka's error is shown "
    "above."
)
FIX_GROUP = (
    "Ask the operator of webhookd whether another program uses the subscription's consumer group. The log shows the "
    "errors."
)
FIX_WORKERS = (
    "Ask the operator of webhookd to check the workers: they must run for both queues and reach Redis and the database."
)
FIX_KEYS = (
    "Ask the operator of webhookd to check the keys of the workers (WEBHOOKD_SECRET_KEYS). If the key is lost, save "
    "the subscription again with the secrets written out."
)
FIX_DESTINATION = (
    "Correct the field that is named above and save the subscription. If its value is correct, ask the operator of "
    "webhookd to check the version and the settings of the workers (WEBHOOKD_EGRESS_…)."
)
FIX_CONSENT = CONSENT + " The answer of the endpoint is shown above."
FIX_STORE = "Ask the operator of webhookd why the database does not take the rows. The log shows the errors."
FIX_UNREADABLE = (
    "Values must be JSON in UTF-8. Let the producers write JSON without a schema-registry header, compression or "
    "another format around it, or remove the topic from the subscription."
)
FIX_FULL = "Read the dead letters, repair their cause, and delete those that are not needed (DELETE …/DeadLetter)."
FIX_COPIES = (
    "Create the dead letter topic with cleanup.policy=delete and let webhookd write to it, or name another topic. Dead "
    "letters that were not copied in time can be read from webhookd (GET …/DeadLetter)."
)

PROBLEM_ADVICE: Mapping[str, tuple[str, str]] = {
    "unusable_configuration": (NOT_STARTED, FIX_CONFIGURATION),
    "not_allowed": (NOT_ALLOWED, FIX_POLICY),
    "policies_outdated": (POLICIES_UNKNOWN, FIX_INSIDE),
    "ingest_full": (WAITS_FOR_ROOM, FIX_INGEST),
    "topic_missing": (TOPIC_AWAITED, FIX_TOPIC),
    "topic_denied": (NOT_READ, FIX_TOPIC_ACCESS),
    "group_denied": (NOT_READ, FIX_GROUP_ACCESS),
    "read_failed": (NOT_READ, FIX_KAFKA),
    "commit_failed": (NOT_COMMITTED, FIX_KAFKA),
    "consumer_failed": (STARTED_AGAIN, FIX_INSIDE),
    "records_lost": (READ_ON, FIX_LOSS),
    "position_unknown": (NOT_SENT, FIX_KAFKA),
    "not_assigned": (NOT_SENT, FIX_GROUP),
    "deliveries_unclaimed": (NOT_SENT, FIX_WORKERS),
    "deliveries_stale": (NOT_SENT, FIX_WORKERS),
    "endpoint_unverified": (NOT_ASKED_FOR, FIX_CONSENT),
    "secrets_unreadable": (NOT_DECRYPTED, FIX_KEYS),
    "destination_unusable": (DESTINATION_UNUSED, FIX_DESTINATION),
    "dead_letters_waiting": (DEAD_LETTERS_WAIT, FIX_STORE),
    "kafka_unavailable": (KAFKA_DOWN, FIX_INSIDE),
    "kafka_authentication_failed": (KAFKA_REFUSES, FIX_LOGIN),
    "records_unreadable": (UNREADABLE_PAUSED, FIX_UNREADABLE),
    "dead_letters_full": (DEAD_LETTERS_FULL, FIX_FULL),
    "dead_letter_topic_unavailable": (COPIED_LATER, FIX_COPIES),
    "filter_failing": (FILTERS_FAIL, FIX_FILTER),
    "projection_failing": (PROJECTIONS_FAIL, FIX_PROJECTION),
}
"""Problems that the endpoint did not cause: what webhookd does, and what to do."""

BATCH_ADVICE = {"worker_lost": FIX_INSIDE}
"""What to do about a batch that failed without an exchange; webhookd does the same as after a failed exchange."""


def advice(code: str, on_exhausted: OnExhausted) -> tuple[str, str]:
    """Return what webhookd does about a reason, and what the owner should do; an unknown code is of another release."""
    if code in PROBLEM_ADVICE:
        return PROBLEM_ADVICE[code]
    reaction = DEAD_LETTERED if on_exhausted is OnExhausted.DEAD_LETTER else RETRIES_GO_ON
    return reaction, BATCH_ADVICE.get(code) or TO_DO.get(table_key(code), FIX_INSIDE)
