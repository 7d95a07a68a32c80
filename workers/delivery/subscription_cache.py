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
from webhookd.errors import (
    InvalidInput,
    SecretsUnreadable,
    StoreUnavailable,
    UnusableDestination,
    UnusableSetting,
    UnusableSubscription,
)
from webhookd.flow.attempt.endpoint_certificate import LatestCertificate, ReportedCertificate
from webhookd.flow.attempt.tls_options import FIELD, OPERATORS
from webhookd.flow.destination import Tls
from webhookd.flow.dispatch.host_limits import HostLimits
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Subscription
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.delivery.access_tokens import TokenSources
from workers.delivery.bounded_templates import MAX_CACHED, BoundedTemplates
from workers.delivery.delivery_sender import RequestTemplate, TemplateResult
from workers.delivery.request_templates import unusable, usable_template

CHECKED = 100
"""How many subscriptions that cannot be used are loaded again at once."""

SHOWN = 3
"""How many subscriptions an error names."""

_log = logs.get(__name__)


class TlsContexts(Protocol):
    """The TLS contexts of subscriptions with options of their own."""

    def get(self, tls: Tls) -> Hashable:
        """The context; raises InvalidInput for options that cannot be used or are not allowed."""


class SubscriptionCache:
    """Request templates by subscription; thread-safe.

    Without `tls_contexts` or `tokens` there is no template for a subscription that needs them; without `certificates`
    the expiry of certificates is not reported. `origin` names this installation to the endpoints that are asked for
    their consent.
    """

    def __init__(
        self,
        database: Database,
        host_limits: HostLimits | None = None,
        *,
        tls_contexts: TlsContexts | None = None,
        tokens: TokenSources | None = None,
        certificates: LatestCertificate | None = None,
        origin: str = "",
        templates: BoundedTemplates | None = None,
    ) -> None:
        self._database = database
        self._origin = origin
        self._host_limits = host_limits or HostLimits()
        self._tls_contexts = tls_contexts
        self._tokens = tokens
        self._certificates = certificates
        self._lock = Lock()
        self._templates = templates or BoundedTemplates()
        self._latest: dict[str, int] = {}
        self._unusable: dict[str, UnusableSubscription] = {}

    def invalidate(self, subscription_id: str, version: int) -> None:
        """Make deliveries of versions below this one stale, even while the database cannot be read."""
        with self._lock:
            self._set_latest(subscription_id, version)

    def cached_ids(self) -> list[str]:
        """The subscriptions that have a template in memory, or cannot be used here."""
        with self._lock:
            return [*self._templates, *self._unusable]

    @property
    def secrets_error(self) -> str:
        """Which subscriptions' secrets cannot be decrypted here, and why; empty when there is none."""
        with self._lock:
            unreadable = {id_: error for id_, error in self._unusable.items() if isinstance(error, SecretsUnreadable)}
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
                    self._templates.drop(id_)
                    self._set_latest(id_, version)
                if id_ not in versions:
                    self._unusable.pop(id_, None)

    def check_unusable(self) -> None:
        """Load again what cannot be used: the row may have been encrypted with another key. Raises StoreUnavailable."""
        with self._lock:
            ids = list(self._unusable)[:CHECKED]
            # Next time those behind them have their turn. Another dict, since it is read without the lock.
            self._unusable = {id_: self._unusable[id_] for id_ in [*list(self._unusable)[CHECKED:], *ids]}
        if ids:
            self._load(dict.fromkeys(ids, 0))

    def templates(self, refs: list[DeliveryRef]) -> list[TemplateResult]:
        """Return what there is for each delivery.

        Reads the database for versions that are not in memory, and blocks for that.
        """
        # Kept here until the end: to load some may drop others, also of this call.
        known = {ref.subscription: self._templates.get(ref.subscription) for ref in refs}
        missing = [ref for ref in refs if _version(known[ref.subscription]) < ref.version and not self._outdated(ref)]
        wanted = {ref.subscription: ref.version for ref in sorted(missing, key=lambda ref: ref.version)}
        try:
            if wanted:
                known |= self._load(wanted)
        except StoreUnavailable as error:
            return [error if ref.subscription in wanted else self._result(ref, known) for ref in refs]
        return [self._result(ref, known) for ref in refs]

    def in_memory(self, refs: Sequence[DeliveryRef]) -> bool:
        """Whether `templates` would return without reading the database."""
        return all(
            _version(self._templates.get(ref.subscription)) >= ref.version or self._outdated(ref) for ref in refs
        )

    def _result(
        self, ref: DeliveryRef, known: Mapping[str, RequestTemplate | None]
    ) -> RequestTemplate | UnusableSubscription | None:
        if self._outdated(ref):
            return None
        template = known[ref.subscription]
        if template is None or template.version < ref.version:
            return self._unusable.get(ref.subscription)
        if template.version != ref.version:
            return None
        return template if template.tls == OPERATORS else self._with_tls_context(ref.subscription, template)

    def _with_tls_context(
        self, subscription_id: str, template: RequestTemplate
    ) -> RequestTemplate | UnusableDestination:
        """The template, whose requests keep the context while they are sent; the error if it cannot be used."""
        if self._tls_contexts is None:
            return UnusableDestination(f"{FIELD} needs contexts, which this process cannot make")
        try:
            context = self._tls_contexts.get(template.tls)
        except InvalidInput as error:
            _log.error("tls_options_unusable", subscription=subscription_id, detail=str(error))
            return unusable(error, error.field)
        except Exception as error:  # noqa: BLE001 - one subscription must not stop the others of a task
            known = isinstance(error, UnusableSetting | OSError)  # the text of another error may have a secret
            fault = str(error) if known else type(error).__name__
            _log.error("tls_options_unusable", subscription=subscription_id, detail=fault)
            return UnusableDestination(
                f"{FIELD} needs a file that the operator of webhookd has set, or fails in another way (see the log)"
            )
        return replace(template, target=replace(template.target, tls_context=context))

    def _set_latest(self, subscription_id: str, version: int) -> None:
        _make_room(self._latest)
        self._latest[subscription_id] = max(version, self._latest.get(subscription_id, 0))

    def _outdated(self, ref: DeliveryRef) -> bool:
        return ref.version < self._latest.get(ref.subscription, 0)

    def _load(self, wanted: Mapping[str, int]) -> dict[str, RequestTemplate]:
        """Load templates of at least these versions by id, and note which subscriptions cannot be used."""
        with self._database.transaction() as session:
            loaded = subscriptions.load_opened(session, sorted(wanted))
        usable = {}
        with self._lock:
            for id_, found in loaded.items():
                template = (
                    usable_template(found, self._host_limits, self._tokens, self._origin)
                    if isinstance(found, Subscription)
                    else found
                )
                if isinstance(template, RequestTemplate):
                    self._unusable.pop(id_, None)
                    usable[id_] = self._kept(id_, self._with_certificate(template))
                elif not isinstance(found, Subscription) or found.version == wanted[id_]:
                    self._note_unusable(id_, template, wanted[id_])
        return usable

    def _with_certificate(self, template: RequestTemplate) -> RequestTemplate:
        if self._certificates is None or not template.target.tls:
            return template
        return replace(template, certificate=ReportedCertificate(self._certificates))

    def _kept(self, id_: str, template: RequestTemplate) -> RequestTemplate:
        """Keep the template and return it; return the one that is kept already if that is newer."""
        kept = self._templates.get(id_)
        if kept is not None and kept.version > template.version:
            return kept
        self._templates.put(id_, template)
        return template

    def _note_unusable(self, id_: str, error: UnusableSubscription, wanted: int) -> None:
        if _version(self._templates.get(id_)) >= wanted > 0:
            return  # another thread has loaded the row meanwhile, after it was changed
        known = self._unusable.get(id_)
        _make_room(self._unusable)
        self._unusable[id_] = error
        if known is not None and (known.code, known.detail) == (error.code, error.detail):
            return
        if isinstance(error, SecretsUnreadable):
            _log.error("secrets_unreadable", code=error.code, subscription=id_, detail=error.detail)
        else:
            _log.error("destination_unusable", code=error.code, subscription=id_, detail=error.detail)


def _version(template: RequestTemplate | None) -> int:
    return -1 if template is None else template.version


def _make_room(cached: dict[str, Any]) -> None:
    """Drop the oldest half if one entry more would be too many; the database still has the dropped entries."""
    if len(cached) >= MAX_CACHED:
        for id_ in list(cached)[: MAX_CACHED // 2]:
            del cached[id_]
