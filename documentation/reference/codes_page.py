"""docs/reference/codes.md: failure codes of requests, error codes of the API, causes of dead letters.

Meanings that the code holds are taken from there; the others stand here, where tests/closure compares them with the
code: none may be missing, and none may be left over.
"""

from collections.abc import Iterator, Mapping

from api.extensions.problem_types import PROBLEM_TYPES
from api.resources.subscription.registration_warnings import MEANINGS as WARNINGS
from documentation.reference.markdown import code, page, table
from webhookd.errors import (
    FilterFailed,
    FilterTooCostly,
    MailRefused,
    NoTemporaryDirectory,
    ProjectionFailed,
    UnusableSetting,
)
from webhookd.flow.alerting.failure_advice import TO_DO
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.judge import Refusal, Refused, judge
from webhookd.flow.attempt.verification import CONSENT_MISSING
from webhookd.flow.authorization.json_values import DUPLICATE_NAME
from webhookd.flow.filters import decoding
from webhookd.flow.settlement.exhausted_batch import WORKER_LOST
from webhookd.flow.status.reason_codes import EXCHANGE_CODES, HTTP
from webhookd.flow.subscription import Retry

INTRODUCTION = """\
Each code is one short word. The same word stands in the log, in the status of a subscription, in dead letters and in
responses of the API. The reasons of a subscription and the faults of the system are listed in
[Statuses](statuses.md)."""

REQUESTS = """\
Why a request to an endpoint failed. Every status that is not one of the subscription's `success_codes` (2xx, unless it
has others) is a failure, and its code is the status: `http_429`.
Where the table has a class (`http_4xx`) it means the statuses of that class that have no row of their own. *Sent again*
means: as long as the subscription's `max_retries` allow. When no attempt is left, and after *not sent again*,
`on_exhausted` decides what happens to the batch."""

ERRORS = """\
The member `code` of an [Error](api.md#error-object), a problem document of RFC 9457 (`application/problem+json`). Its
`type` is `/problems/` and the code, a path of the API itself: there is a page about each code, and this reference has
the same page. Responses with 429 and 503 have the header `Retry-After`, those with 401 `WWW-Authenticate`, those with
405 `Allow`. The server itself answers in this format, too, when a request is no HTTP that it can pass on."""

WARNED = """\
The field `code` of a [Warning](api.md#warning-object), in responses to `POST`, `PUT` and `PATCH` of a subscription.
A warning refuses nothing; [Warnings](../how-to/register.md#warnings) explains them."""

CAUSES = """\
The field `cause` of a [dead letter](api.md#deadletter-object). A batch without an attempt left has the failure code of
its last attempt, for instance `timeout` or `http_422` ([above](#failure-codes-of-a-request)). The other causes:"""

ONLY_LOGGED = """\
The field `code` of a log line has one of the codes above, the code of a fault of the system, the name of its own event,
or one of these:"""

SENT_AGAIN = "Sent again"
NOT_SENT_AGAIN = "Not sent again"
WHAT_FOLLOWS: Mapping[str, str] = {
    FailureCode.SHUTDOWN: f"{SENT_AGAIN}; does not count as an attempt",
    CONSENT_MISSING: "Asked again; no records were sent",
    "http_413": f"{SENT_AGAIN} in smaller batches; a single record is not",
    "http_4xx": f"{NOT_SENT_AGAIN}; 408 and 425 are, and with `on_rejected: split` 400, 409 and 422 to several records "
    "in halves",
}
"""Where more is to be said than whether the request is sent again."""

SHUTDOWN = (
    "webhookd ended the request because the process stopped, or because the delivery is out of date. It shows only in "
    "the log at debug.",
    "Nothing.",
)
OTHER_STATUS = {"http_1xx": 199, "http_other": 600}

LOG_ERRORS: Mapping[str, str] = {
    MailRefused.code: "A mail cannot be written, or the mail server refused an address for good.",
    NoTemporaryDirectory.code: "No directory is writable for temporary files. The message says what to mount, and the "
    "process does not start.",
    UnusableSetting.code: "A setting cannot be used. The message names it, and the process does not start.",
}
"""Codes of errors that neither the API nor a status shows."""

RECORD_CAUSES: Mapping[str, str] = {
    decoding.NOT_JSON: "The record's value is not JSON.",
    decoding.NOT_UTF8: "The record's value is not UTF-8.",
    decoding.TOO_DEEP: "The record's value is nested too deeply to be read.",
    decoding.NUMBER_TOO_LONG: f"The record's value has an integer of more than {decoding.NUMBER_DIGITS} digits.",
    DUPLICATE_NAME: "An object in the record's value has the same name twice, and the topic has a policy: it cannot be "
    "decided which of the two is shown.",
    "unreadable": "The record cannot be read in another way: a header's name is not UTF-8, for instance.",
    FilterFailed.code: "A filter raised an error on the record's types, and no other filter rejected the record.",
    FilterTooCostly.code: "A filter took more steps, or built larger values, than the record's size allows.",
    ProjectionFailed.code: "The projection of a policy cannot be evaluated on the record: the detail names the policy. "
    "Nothing of the record is stored.",
    WORKER_LOST: "Three workers in a row ended while they sent the batch.",
}


def codes_page() -> str:
    """The whole page."""
    return page(
        "Codes",
        INTRODUCTION,
        "## Failure codes of a request",
        REQUESTS,
        table(["Code", "Meaning, and what happens to the batch", "What to do"], _failures()),
        "## Error codes of the API",
        ERRORS,
        table(["Code", "HTTP status", "Meaning"], _errors()),
        "## Warnings of the API",
        WARNED,
        table(["Code", "Meaning"], ([code(name), meaning] for name, meaning in WARNINGS.items())),
        "## Causes of dead letters",
        CAUSES,
        table(["Code", "Meaning"], ([code(cause), meaning] for cause, meaning in RECORD_CAUSES.items())),
        "## Codes that only the log shows",
        ONLY_LOGGED,
        table(["Code", "Meaning"], ([code(name), meaning] for name, meaning in LOG_ERRORS.items())),
    )


def _failures() -> Iterator[list[str]]:
    for name, meaning in EXCHANGE_CODES.items():
        yield [code(name), f"{meaning} *{WHAT_FOLLOWS.get(name) or _what_follows(name)}.*", TO_DO[name]]
    meaning, to_do = SHUTDOWN
    yield [code(FailureCode.SHUTDOWN), f"{meaning} *{WHAT_FOLLOWS[FailureCode.SHUTDOWN]}.*", to_do]


def _what_follows(name: str) -> str:
    """What `judge` decides about this failure."""
    verdict = judge(_outcome(name), Retry(max_retries=1), failures=0, probe=False, chance=0.5, wall_now=0.0)
    return NOT_SENT_AGAIN if isinstance(verdict, Refused) and verdict.why is not Refusal.EXHAUSTED else SENT_AGAIN


def _outcome(name: str) -> Outcome:
    if not name.startswith(HTTP):
        return Failure(code=FailureCode(name), detail="", elapsed_s=0.0, sent=False)
    status = OTHER_STATUS.get(name) or int(name.removeprefix(HTTP).replace("x", "0"))
    return Response(status=status, head=b"", body=b"", elapsed_s=0.0)


def _errors() -> Iterator[list[str]]:
    for found in PROBLEM_TYPES.values():
        yield [f"[{code(found.code)}](problems/{found.code}.md)", found.status, found.meaning]
