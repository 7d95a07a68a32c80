"""The request templates of subscriptions: loaded from the database by id and version, and kept in memory.

A delivery names the version it was made for. A delivery of an older version than the latest one known here is stale,
so no queued delivery is sent under an old configuration. This process learns of a later version from a change
notification, from the comparison with the database about once a second, or from a newer delivery. Secrets are decrypted
here, once for each template, and never leave this process.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Protocol

from webhookd import logs
from webhookd.errors import InvalidInput, SecretsUnreadable, StoreUnavailable, UnusableSetting, UnusableSubscription
from webhookd.flow.attempt.secret_mask import SecretMask
from webhookd.flow.attempt.signature import signer_of
from webhookd.flow.attempt.success_codes import statuses_of
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.attempt.tls_options import OPERATORS
from webhookd.flow.attempt.verification import delivery_headers, verification_request
from webhookd.flow.batching.envelope import CONTENT_TYPE
from webhookd.flow.destination import ClientCredentials, Destination, Tls
from webhookd.flow.dispatch.host_limits import HostLimits
from webhookd.flow.dispatch.request_quota import quotas_of
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Subscription
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.delivery.access_tokens import TokenSource, TokenSources
from workers.delivery.delivery_sender import FoundTemplate, RequestTemplate

MAX_CACHED = 10_000
"""The most templates in memory, about 2 kB each. When there would be more, the oldest half is dropped."""

SHOWN = 3
"""How many subscriptions an error names."""

_log = logs.get(__name__)


class TlsContexts(Protocol):
    """The TLS contexts of subscriptions with options of their own."""

    def get(self, tls: Tls) -> Hashable:
        """The context; raises InvalidInput for options that cannot be used or are not allowed."""


class SubscriptionCache:
    """Request templates by subscription; thread-safe.

    Without `tls_contexts` or `tokens` there is no template for a subscription that needs them. `origin` names this
    installation to the endpoints that are asked for their consent.
    """

    def __init__(
        self,
        database: Database,
        host_limits: HostLimits | None = None,
        *,
        tls_contexts: TlsContexts | None = None,
        tokens: TokenSources | None = None,
        origin: str = "",
    ) -> None:
        self._database = database
        self._origin = origin
        self._host_limits = host_limits or HostLimits()
        self._tls_contexts = tls_contexts
        self._tokens = tokens
        self._lock = Lock()
        self._templates: dict[str, RequestTemplate] = {}
        self._latest: dict[str, int] = {}
        self._unreadable: dict[str, SecretsUnreadable] = {}

    def invalidate(self, subscription_id: str, version: int) -> None:
        """Make deliveries of versions below this one stale, even while the database cannot be read."""
        with self._lock:
            self._set_latest(subscription_id, version)

    def cached_ids(self) -> list[str]:
        """The subscriptions that have a template in memory, or whose secrets could not be decrypted."""
        with self._lock:
            return [*self._templates, *self._unreadable]

    @property
    def secrets_error(self) -> str:
        """Which subscriptions' secrets cannot be decrypted here, and why; empty when there is none."""
        with self._lock:
            unreadable = dict(self._unreadable)
        if not unreadable:
            return ""
        shown = ", ".join(sorted(unreadable)[:SHOWN])
        more = f" and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        return f"{next(iter(unreadable.values())).detail}: subscriptions {shown}{more}"

    def drop_outdated(self, ids: Sequence[str], versions: Mapping[str, int]) -> None:
        """Drop the templates of those `ids` whose version in `versions` is newer, or missing: they were deleted."""
        with self._lock:
            for id_ in ids:
                template = self._templates.get(id_)
                if template is not None and (version := versions.get(id_, template.version + 1)) > template.version:
                    del self._templates[id_]
                    self._set_latest(id_, version)
                if id_ not in versions:
                    self._unreadable.pop(id_, None)

    def templates(self, refs: list[DeliveryRef]) -> list[FoundTemplate]:
        """Return what there is for each delivery.

        Reads the database for versions that are not in memory, and blocks for that.
        """
        wanted = {r.subscription for r in refs if self._version(r.subscription) < r.version and not self._outdated(r)}
        try:
            if wanted:
                self._load(sorted(wanted))
        except StoreUnavailable as error:
            return [error if ref.subscription in wanted else self._cached(ref) for ref in refs]
        return [self._cached(ref) for ref in refs]

    def _cached(self, ref: DeliveryRef) -> RequestTemplate | SecretsUnreadable | None:
        unreadable = self._unreadable.get(ref.subscription)
        if unreadable is not None and not self._outdated(ref):
            return unreadable
        template = self._templates.get(ref.subscription)
        if template is None or template.version != ref.version or self._outdated(ref):
            return None
        return template if template.tls == OPERATORS else self._with_tls_context(ref.subscription, template)

    def _with_tls_context(self, subscription_id: str, template: RequestTemplate) -> RequestTemplate | None:
        """The template, whose requests keep the context while they are sent; None if it cannot be used."""
        if self._tls_contexts is None:
            return None
        try:
            context = self._tls_contexts.get(template.tls)
        except (InvalidInput, UnusableSetting, OSError) as error:  # a file of the operators may be the cause
            _log.error("tls_options_unusable", subscription=subscription_id, detail=str(error))
            return None
        return replace(template, target=replace(template.target, tls_context=context))

    def _set_latest(self, subscription_id: str, version: int) -> None:
        _make_room(self._latest)
        self._latest[subscription_id] = max(version, self._latest.get(subscription_id, 0))

    def _outdated(self, ref: DeliveryRef) -> bool:
        return ref.version < self._latest.get(ref.subscription, 0)

    def _version(self, subscription_id: str) -> int:
        template = self._templates.get(subscription_id)
        return -1 if template is None else template.version

    def _load(self, ids: list[str]) -> None:
        with self._database.transaction() as session:
            loaded = subscriptions.load_opened(session, ids)
        with self._lock:
            _make_room(self._templates, len(loaded))
            for id_, found in loaded.items():
                self._note_unreadable(id_, found)
                template = None
                if not isinstance(found, UnusableSubscription):
                    template = _template(found, self._host_limits, self._tokens, self._origin)
                if template is not None and template.version >= self._version(id_):
                    self._templates[id_] = template

    def _note_unreadable(self, id_: str, found: Subscription | UnusableSubscription) -> None:
        if not isinstance(found, SecretsUnreadable):
            self._unreadable.pop(id_, None)
        elif id_ not in self._unreadable:
            _make_room(self._unreadable)
            self._unreadable[id_] = found
            _log.error("secrets_unreadable", code=found.code, subscription=id_, detail=found.detail)


def _make_room(cached: dict[str, Any], more: int = 1) -> None:
    """Drop the oldest half if `more` entries would be too many; the database still has the dropped entries."""
    if len(cached) + more > MAX_CACHED:
        for id_ in list(cached)[: MAX_CACHED // 2]:
            del cached[id_]


def _template(
    subscription: Subscription, host_limits: HostLimits, tokens: TokenSources | None, origin: str
) -> RequestTemplate | None:
    """Return the template of a subscription; None if its destination cannot be used."""
    destination = subscription.destination
    try:
        target = Target.parse(destination.url)
        head = request_head(target, delivery_headers(destination, origin), CONTENT_TYPE, destination.method)
        success = statuses_of(destination.success_codes)
        signer = signer_of(destination.signing)
        source = _token_source(destination, tokens)
        verification = verification_request(destination, target, origin, subscription.limits.rate_limit)
    except InvalidInput:
        return None  # ingest shows the same fault in the subscription's status
    if source is None and isinstance(destination.authentication, ClientCredentials):
        return None
    return RequestTemplate(
        version=subscription.version,
        target=target,
        head=head,
        retry=subscription.retry,
        mask=SecretMask(destination),
        signer=signer,
        success=success,
        trace=all(name.lower() != "traceparent" for name, _ in destination.headers),
        timeout_s=subscription.limits.timeout_s,
        quotas=quotas_of(
            subscription.id, subscription.limits, host_limits.quota(target.host), destination.granted_per_minute
        ),
        tls=subscription.destination.tls,
        tokens=source,
        verification=verification,
    )


def _token_source(destination: Destination, tokens: TokenSources | None) -> TokenSource | None:
    if tokens is None or not isinstance(destination.authentication, ClientCredentials):
        return None
    return tokens.source(destination.authentication)
