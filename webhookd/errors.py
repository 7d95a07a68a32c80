"""Every error webhookd raises on purpose.

    WebhookdError
    ├── InvalidInput            the caller's data; carries the field and the reason
    │   ├── InvalidFilter       a JMESPath filter; carries the position
    │   └── TopicDenied         a topic that Kafka does not let us use; carries its name
    ├── NotFound                no such thing, or not the caller's
    ├── Conflict                the thing changed under the caller
    ├── UndecodableRecord       a Kafka record that cannot be passed on; goes to the dead letters
    ├── FilterFault             a filter that a record could not be judged by; the record goes to the dead letters
    │   ├── FilterFailed        it raised on the record's types
    │   └── FilterTooCostly     its evaluation ran out of its budget
    ├── UnusableSubscription    a stored row that no subscription can be made of
    ├── UnusableSetting         a setting that no work can begin with; carries its name
    ├── MailRefused             a mail that cannot be written
    └── Unavailable             an outside system did not answer in time, or is not the one it should be
        ├── KafkaUnavailable
        │   └── GroupDenied     Kafka answers, but does not let us use a consumer group
        ├── ClusterMismatch     the brokers are another cluster's than the database's
        ├── QueueUnavailable
        ├── StoreUnavailable
        ├── MailUnavailable     the mail server, or a mail that it may take later
        ├── MailUndeliverable   an operator's address that mails do not get to
        ├── RowsRefused         the database answers, and refuses rows again and again
        ├── UpkeepDelayed       offsets that nobody reads at could not be renewed for long
        ├── NoWorkers           nobody consumes a queue
        └── QueueStalled        tasks wait and nobody takes them

The docstring of a class is its message; `code` is the one short word that the exception, the log line, the dead
letter and the API's answer share.
"""

from typing import ClassVar


class WebhookdError(Exception):
    """Something webhookd knows by name went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.__class__.__doc__ or self.code)
        self.detail = detail


class InvalidInput(WebhookdError):
    """The value cannot be accepted."""

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
        """The same error of a field that names the topic."""
        return TopicDenied(self.topic, self.detail, field=field)


class NotFound(WebhookdError):
    """There is no such thing."""

    code = "not_found"


class Conflict(WebhookdError):
    """The thing changed since it was read."""

    code = "conflict"


class UndecodableRecord(WebhookdError):
    """The record cannot be passed on as JSON."""

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


class UnusableSubscription(WebhookdError):
    """The stored configuration cannot be used."""

    code = "unusable_configuration"


class UnusableSetting(WebhookdError):
    """The setting cannot be used."""

    code = "unusable_setting"

    def __init__(self, detail: str = "", *, setting: str = "") -> None:
        super().__init__(f"WEBHOOKD_{setting.upper()}: {detail}")
        self.setting = setting


class MailRefused(WebhookdError):
    """The mail cannot be written: no server will ever take it."""

    code = "mail_refused"


class Unavailable(WebhookdError):
    """An outside system did not answer in time."""

    code = "unavailable"


class KafkaUnavailable(Unavailable):
    """The Kafka brokers did not answer in time."""

    code = "kafka_unavailable"


class GroupDenied(KafkaUnavailable):
    """Kafka does not authorise webhookd to use the subscription's consumer group."""

    code = "group_denied"


class ClusterMismatch(Unavailable):
    """The Kafka brokers belong to another cluster than the one this database is about."""

    code = "cluster_mismatch"


class QueueUnavailable(Unavailable):
    """The task queue did not answer in time."""

    code = "queue_unavailable"


class StoreUnavailable(Unavailable):
    """The database did not answer in time."""

    code = "store_unavailable"


class MailUnavailable(Unavailable):
    """The mail server did not take the mail; it may later."""

    code = "mail_unavailable"


class RowsRefused(Unavailable):
    """The database refuses rows that have to be written."""

    code = "rows_refused"


class UpkeepDelayed(Unavailable):
    """Offsets of subscriptions that do not run cannot be renewed."""

    code = "upkeep_delayed"


class MailUndeliverable(Unavailable):
    """Mails do not get to an address of the operators."""

    code = "mail_undeliverable"


class NoWorkers(Unavailable):
    """No worker takes tasks from a queue."""

    code = "no_workers"


class QueueStalled(Unavailable):
    """Tasks wait in a queue and no worker takes them."""

    code = "queue_stalled"
