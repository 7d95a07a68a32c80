"""The subscription of `webhookd run`: created on the first run, and changed when the options have changed."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from marshmallow import ValidationError

from api.extensions.request_body import flatten
from api.resources.subscription.schemas import SubscriptionSchema
from command.api_client import Document, ManagementClient
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.signature import SigningKind, kind_of_secret

NAME = "webhookd run"

OPTIONS = {
    "destination": "--url",
    "url": "--url",
    "headers": "--header",
    "secret": "--signing-secret",
    "source": "--topic",
    "topic": "--topic",
    "jmes_filters": "--filter",
    "start": "--from",
    "max_batch_size": "--batch-size",
    "max_batch_interval_seconds": "--batch-interval",
    "on_filter_error": "--on-filter-error",
}
"""The option that sets each field of the API."""

SHOWN_AT_EVERY_START = {"topic_missing", "host_unresolved"}
"""Warnings that the command finds itself, also when the options have not changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of the command that describe the subscription."""

    topics: Sequence[str]
    url: str
    filters: Sequence[str]
    on_filter_error: str
    batch_size: int
    batch_interval: int
    headers: Sequence[str]
    start: str | None
    signing_secret: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "RunOptions":
        """Build it from the options that click has parsed."""
        return cls(**cast("dict[str, Any]", dict(values)))

    def document(self) -> Document:
        """The subscription as the API accepts it."""
        start = {} if self.start is None else {"start": self.start}
        return {
            "name": NAME,
            "destination": {
                "webhook": {"url": self.url, "headers": list(self.headers), "signing": self._signing()},
            },
            "source": [{"topic": topic, "jmes_filters": list(self.filters), **start} for topic in self.topics],
            "configuration": {
                "batching": {"max_batch_size": self.batch_size, "max_batch_interval_seconds": self.batch_interval},
                "filtering": {"on_filter_error": self.on_filter_error},
            },
        }

    def _signing(self) -> Document:
        """Without a secret requests are not signed: nobody could read one that the API makes."""
        if self.signing_secret is None:
            return {"kind": SigningKind.NONE.value}
        try:
            return {"kind": kind_of_secret(self.signing_secret).value, "secret": self.signing_secret}
        except InvalidInput:
            return {"secret": self.signing_secret}  # the API refuses it with the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The subscription's id, and the warnings of the API about the options, one line each.

    `known_topics` has the topics that the subscription had already before this run.
    """

    id: str
    warnings: Sequence[str]
    known_topics: AbstractSet[str] = frozenset()


def check(options: RunOptions) -> None:
    """Raise InvalidInput with the first invalid option, as the API will judge it; nothing is asked or stored."""
    try:
        SubscriptionSchema().load(options.document())
    except ValidationError as error:
        first = next(flatten(error.messages))
        raise InvalidInput(first.reason, field=_option(first.field)) from None


def register(api: ManagementClient, options: RunOptions) -> Registered:
    """Create or change the subscription if the options have changed. Raises InvalidInput with the invalid option."""
    document = options.document()
    known = api.subscriptions()
    try:
        if not known:
            answer = api.register(document)
        elif _differs(document, known[0]):
            answer = api.change(str(known[0]["id"]), document)
        else:
            answer = known[0]
    except InvalidInput as error:
        raise InvalidInput(str(error), field=_option(error.field)) from error
    shown = [warning for warning in answer.get("warnings", ()) if warning["code"] not in SHOWN_AT_EVERY_START]
    lines = [f"{_option(warning['field'])}: {warning['reason']}" for warning in shown]
    topics = frozenset(str(source["topic"]) for document in known[:1] for source in document.get("source", ()))
    return Registered(id=str(answer["id"]), warnings=list(dict.fromkeys(lines)), known_topics=topics)


def nearest_topic(topic: str, topics: Iterable[str]) -> str:
    """Return the topic that was probably meant; empty if there is none. Internal topics are not suggested."""
    near = get_close_matches(topic, sorted(name for name in topics if not name.startswith("__")), n=1, cutoff=0.7)
    return near[0] if near else ""


def _differs(wanted: Document, known: Document) -> bool:
    """Whether the options differ from the stored subscription.

    Headers and a signing secret always count as changed, because the API masks their values.
    """
    webhook = wanted["destination"]["webhook"]
    if "unusable" in known or webhook["headers"] or "secret" in webhook["signing"]:
        return True
    return not _is_part_of(wanted, known)


def _is_part_of(wanted: object, known: object) -> bool:
    match wanted, known:
        case dict(), dict():
            return all(name in known and _is_part_of(value, known[name]) for name, value in wanted.items())
        case list(), list():
            return len(wanted) == len(known) and all(map(_is_part_of, wanted, known))
        case _:
            return wanted == known


def _option(field: str) -> str:
    last = field.rstrip("0123456789[]").rpartition(".")[2]
    return OPTIONS.get(last, field)
