"""All errors that webhookd raises itself.

    WebhookdError
    ├── InvalidInput            data of the caller; has the field and the reason
    │   ├── InvalidFilter       a JMESPath filter; has the position
    │   ├── TopicDenied         a topic that webhookd is not authorised to use; has its name
    │   └── IdempotencyKeyReused the Idempotency-Key belongs to another request
    ├── Unauthenticated         a request without a valid API key
    ├── Misdirected             without keys: the Host of a request is not a name of this machine
    ├── Forbidden               the caller's role does not allow the operation
    │   └── TopicNotAllowed     no policy allows the tenant to read a topic; has the field
    ├── NotFound                the resource does not exist, or is not the caller's
    ├── Conflict                the resource changed since the caller read it
    │   ├── LimitReached        there are as many subscriptions of the tenant, or policies, as there may be
    │   ├── RequestInProgress   a request with the same Idempotency-Key has not ended
    │   ├── LastAdminKey        the last admin key that works, which only the command line revokes
    │   └── UnusableKey         an API key that is revoked, expired or rotated cannot be rotated
    ├── AlreadyExists           a value that must be unique is taken; has the field
    ├── PreconditionFailed      If-Match names another version of the resource
    ├── PreconditionRequired    If-Match is missing
    ├── TooManyRequests         the caller has used up its rate limit; has the seconds to wait
    ├── UndecodableRecord       a Kafka record that is not JSON; it becomes a dead letter
    ├── FilterFault             a filter could not be evaluated on a record, which becomes a dead letter
    │   ├── FilterFailed        it raised an error because of the record's types
    │   ├── FilterTooCostly     its evaluation used up its budget
    │   └── ProjectionFailed    no filter, but the projection of a policy; the dead letter has no content
    ├── UnusableSubscription    a stored row that is not a valid subscription
    │   ├── SecretsUnreadable   its secrets cannot be decrypted with the keys of this process
    │   └── UnusableDestination its endpoint's options, which only a worker can check completely
    ├── UnusableSetting         a setting with which the process cannot start; has its name
    │   └── UnusableSettings    several of them
    ├── NoTemporaryDirectory    no directory is writable
    ├── MailRefused             a mail that cannot be written
    └── Unavailable             an outside system did not answer in time, or is the wrong one
        ├── KafkaUnavailable
        │   ├── KafkaAuthenticationFailed  the login or a TLS certificate was refused
        │   └── GroupDenied     Kafka does not authorise webhookd to use a consumer group
        ├── ClusterMismatch     the brokers belong to another cluster than the database's
        ├── QueueUnavailable
        ├── StoreUnavailable
        │   └── SchemaMismatch  the database has no tables of webhookd, or those of another version
        ├── MailUnavailable     the mail server failed, or deferred a mail
        ├── MailUndeliverable   mails do not reach an address of the operators
        ├── RowsRefused         the database answers, but refuses rows repeatedly
        ├── UpkeepDelayed       offsets of inactive subscriptions could not be renewed for a long time
        ├── IngestFull          an ingest process runs as many subscriptions as it can; others wait for room
        ├── SecretKeysMissing   a secret cannot be stored, because this process has no key to encrypt it with
        ├── WorkersLackKeys     workers cannot decrypt the secrets of a subscription
        ├── WorkersLackStore    workers cannot read the database, which other processes may reach
        ├── NoWorkers           no worker consumes a queue
        └── QueueStalled        tasks wait, but no worker takes them

The docstring of a class is its message. Its `code` is the same in exception, log line, dead letter and response.
"""

from collections.abc import Sequence
from typing import ClassVar


class WebhookdError(Exception):
    """An error in webhookd."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.__class__.__doc__ or self.code)
        self.detail = detail


class InvalidInput(WebhookdError):
    """The value is not valid."""

    code = "invalid_input"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field


class InvalidFilter(InvalidInput):
    """The filter is not a JMESPath expression within bounds."""

    code = "invalid_filter"

    def __init__(self, detail: str = "", *, field: str = "", position: int | None = None) -> None:
        super().__init__(detail, field=field)
        self.position = position


class TopicDenied(InvalidInput):
    """Kafka does not authorise webhookd to use this topic."""

    code = "topic_denied"

    def __init__(self, topic: str, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail, field=field)
        self.topic = topic

    def at(self, field: str) -> "TopicDenied":
        """Return the same error for the field that names the topic."""
        return TopicDenied(self.topic, self.detail, field=field)


class IdempotencyKeyReused(InvalidInput):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class Unauthenticated(WebhookdError):
    """The request has no API key that is valid."""

    code = "unauthenticated"


class Misdirected(WebhookdError):
    """The Host of the request is not a loopback name or address."""

    code = "misdirected"


class Forbidden(WebhookdError):
    """The role of the API key does not allow this."""

    code = "forbidden"


class TopicNotAllowed(Forbidden):
    """No policy allows the tenant to read this topic."""

    code = "not_allowed"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field


class NotFound(WebhookdError):
    """The resource does not exist."""

    code = "not_found"


class Conflict(WebhookdError):
    """The resource has changed since it was read."""

    code = "conflict"


class LimitReached(Conflict):
    """The tenant has reached a limit."""

    code = "limit_reached"


class RequestInProgress(Conflict):
    """A request with the same Idempotency-Key has not ended."""

    code = "request_in_progress"


class LastAdminKey(Conflict):
    """This is the last admin key that works: make another one first, or revoke it with `webhookd keys revoke`."""

    code = "last_admin_key"


class UnusableKey(Conflict):
    """The API key was revoked, has expired, or was rotated already."""

    code = "unusable_key"


class AlreadyExists(WebhookdError):
    """Another resource has this value, which must be unique."""

    code = "already_exists"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field


class PreconditionFailed(WebhookdError):
    """The resource has another version than If-Match names: read it again."""

    code = "precondition_failed"


class PreconditionRequired(WebhookdError):
    """This request needs an If-Match header with the ETag of the version that it changes."""

    code = "precondition_required"


class TooManyRequests(WebhookdError):
    """The rate limit is used up."""

    code = "too_many_requests"

    def __init__(self, detail: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class UndecodableRecord(WebhookdError):
    """The record's value is not JSON."""

    code = "undecodable"

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(detail or cause)
        self.cause = cause


class FilterFault(WebhookdError):
    """The filter could not be evaluated on this record."""

    code = "filter_fault"


class FilterFailed(FilterFault):
    """The filter raised an error on this record."""

    code = "filter_error"


class FilterTooCostly(FilterFault):
    """The filter took more steps on this record than it may."""

    code = "filter_too_costly"


class ProjectionFailed(FilterFault):
    """The projection of a policy could not be evaluated on this record, so nothing of it is shown."""

    code = "projection_failed"


class UnusableSubscription(WebhookdError):
    """The stored configuration cannot be used."""

    code = "unusable_configuration"


class SecretsUnreadable(UnusableSubscription):
    """The subscription's secrets cannot be decrypted with the keys in WEBHOOKD_SECRET_KEYS."""

    code = "secrets_unreadable"


class UnusableDestination(UnusableSubscription):
    """A worker cannot use the options of the destination. The detail names the field, and never has a secret."""

    code = "destination_unusable"


class UnusableSetting(WebhookdError):
    """The setting cannot be used.

    Its text is one line: environment variable, what is wrong, form to write. `variable` names one that is no setting.
    """

    code = "unusable_setting"

    def __init__(self, detail: str = "", *, setting: str = "", variable: str = "") -> None:
        self.setting, self.reason = setting, detail
        self.variable = variable or f"WEBHOOKD_{setting.upper()}"
        super().__init__(f"{self.variable}: {detail}")


class UnusableSettings(UnusableSetting):
    """Some settings cannot be used. Its text has one line for each of them."""

    def __init__(self, problems: Sequence[UnusableSetting]) -> None:
        super().__init__()
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class NoTemporaryDirectory(WebhookdError):
    """There is no writable directory for temporary files: mount a tmpfs at /tmp, or set TMPDIR."""

    code = "no_temporary_directory"


class MailRefused(WebhookdError):
    """The mail cannot be written; no server would accept it."""

    code = "mail_refused"


class Unavailable(WebhookdError):
    """An outside system did not answer in time."""

    code = "unavailable"


class KafkaUnavailable(Unavailable):
    """The Kafka brokers did not answer in time."""

    code = "kafka_unavailable"


class KafkaAuthenticationFailed(KafkaUnavailable):
    """The login at Kafka was refused, or the TLS handshake failed."""

    code = "kafka_authentication_failed"


class GroupDenied(KafkaUnavailable):
    """Kafka does not authorise webhookd to use the subscription's consumer group."""

    code = "group_denied"


class ClusterMismatch(Unavailable):
    """The Kafka brokers belong to another cluster than the one that is recorded in this database."""

    code = "cluster_mismatch"


class QueueUnavailable(Unavailable):
    """The task queue did not answer in time."""

    code = "queue_unavailable"


class StoreUnavailable(Unavailable):
    """The database did not answer in time."""

    code = "store_unavailable"


class SchemaMismatch(StoreUnavailable):
    """The database has no tables of webhookd, or those of another version."""

    code = "schema_mismatch"


class MailUnavailable(Unavailable):
    """The mail server did not accept the mail; it may accept it later."""

    code = "mail_unavailable"


class RowsRefused(Unavailable):
    """The database refuses rows that must be written."""

    code = "rows_refused"


class UpkeepDelayed(Unavailable):
    """The committed offsets of inactive subscriptions cannot be renewed."""

    code = "upkeep_delayed"


class IngestFull(Unavailable):
    """The ingest process runs as many subscriptions as one process can."""

    code = "ingest_full"


class MailUndeliverable(Unavailable):
    """Mails do not reach an address of the operators."""

    code = "mail_undeliverable"


class SecretKeysMissing(Unavailable):
    """webhookd has no key to encrypt secrets with: its operators have to set WEBHOOKD_SECRET_KEYS."""

    code = "secret_keys_missing"


class WorkersLackKeys(Unavailable):
    """Workers cannot decrypt the secrets of a subscription."""

    code = "workers_lack_keys"


class WorkersLackStore(Unavailable):
    """Workers cannot read the database."""

    code = "workers_lack_store"


class NoWorkers(Unavailable):
    """No worker takes tasks from a queue."""

    code = "no_workers"


class QueueStalled(Unavailable):
    """Tasks wait in a queue, but no worker takes them."""

    code = "queue_stalled"
