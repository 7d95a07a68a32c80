"""Checks a subscription after it was stored: looks up its hosts and reads samples of its topics, within one deadline.

Nothing here fails a request. What is not known in time is a warning that says so, or none.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from api.extensions.bounded_calls import BoundedCalls
from api.ports import Brokers
from api.resources.subscription import egress
from api.resources.subscription import registration_warnings as warnings
from api.resources.subscription.registration_warnings import RegistrationWarning
from webhookd import clock, logs
from webhookd.edges.http_client.dns_resolver import Resolver
from webhookd.edges.http_client.egress_guard import egress_policy, proxy_judges_names
from webhookd.errors import KafkaUnavailable
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target
from webhookd.flow.authorization.sample import seen_values
from webhookd.flow.offsets.topic_metadata import TopicSample
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings

DEADLINE_S: Final = 2.0
"""How long all checks of one request may take together."""

RECORDS: Final = 50
"""How many of a topic's last records are read."""

CALLS: Final = 24
"""How many look-ups and samples are in progress at most: three for each thread of the API."""

REST_S: Final = 10.0
"""How long Kafka is not asked again after it did not answer: otherwise each request of a series would wait."""

_log = logs.get(__name__)

Samples = Mapping[str, TopicSample]


class RegistrationChecks:
    """The checks of one API process; any thread."""

    def __init__(
        self, settings: Settings, brokers: Brokers, resolver: Resolver, *, deadline_s: float = DEADLINE_S
    ) -> None:
        self._settings = settings
        self._brokers = brokers
        self._resolver = resolver
        self._deadline_s = deadline_s
        self._policy = egress_policy(settings)
        self._calls = BoundedCalls(CALLS)
        self._rests_until = 0.0

    def warnings(self, subscription: Subscription) -> list[RegistrationWarning]:
        """Everything that is probably not meant, ordered by field; blocks up to the deadline."""
        try:
            return list(self._warnings(subscription, clock.monotonic() + self._deadline_s))
        except Exception as error:  # noqa: BLE001  # the subscription is stored: the request must not fail any more
            _log.error("registration_check_failed", subscription=subscription.id, exc_info=error)
            return []

    def configuration_warnings(self, subscription: Subscription) -> list[RegistrationWarning]:
        """Those that need neither Kafka nor DNS: for a change of neither topics nor the destination."""
        return list(warnings.of_configuration(subscription, has_mail_server=bool(self._settings.smtp_host)))

    def _warnings(self, subscription: Subscription, until: float) -> Iterator[RegistrationWarning]:
        urls = egress.urls_of(subscription)
        addresses = {field: self._look_up(url) for field, url in urls.items()}
        samples = self._sample(subscription, until)
        for field, url in urls.items():
            yield from egress.of_url(field, url, self._policy)
            yield from self._of_addresses(subscription, field, addresses[field], until)
        yield from self._of_sources(subscription, samples, until)
        yield from warnings.of_configuration(subscription, has_mail_server=bool(self._settings.smtp_host))

    def _look_up(self, url: str) -> Future[list[str]] | None:
        """Start to resolve the host; None when it is refused already, or the egress proxy resolves it."""
        target = Target.parse(url)
        by_proxy = proxy_judges_names(self._settings) and address_of(target.host) is None
        if self._policy.refusal(target) or by_proxy:
            return None
        return self._calls.start(lambda: list(self._resolver(target.host, target.port)))

    def _sample(self, subscription: Subscription, until: float) -> Future[Samples] | None:
        if clock.monotonic() < self._rests_until:
            return None
        topics = [source.topic for source in subscription.sources if _may_be_told(subscription, source.topic)]
        if not topics:
            nothing: Future[Samples] = Future()
            nothing.set_result({})
            return nothing
        left_s = until - clock.monotonic()
        return self._calls.start(lambda: self._brokers.samples(subscription.consumer_group, topics, RECORDS, left_s))

    def _of_addresses(
        self, subscription: Subscription, field: str, addresses: Future[list[str]] | None, until: float
    ) -> Iterator[RegistrationWarning]:
        if addresses is None:
            return
        try:
            found = addresses.result(_left_s(until))
        except TimeoutError:
            yield warnings.unresolved(field, f"there was no answer within {self._deadline_s:g} s")
        except (OSError, UnicodeError) as error:
            yield warnings.unresolved(field, getattr(error, "strerror", None) or str(error))
        else:
            yield from egress.of_addresses(subscription, field, found, self._policy)
            if field == warnings.URL:
                yield from warnings.of_headers(subscription, found)
            else:
                yield from warnings.of_client_secret(egress.urls_of(subscription)[field], found)

    def _of_sources(
        self, subscription: Subscription, samples: Future[Samples] | None, until: float
    ) -> Iterator[RegistrationWarning]:
        found = self._samples(samples, until)
        if found is None:
            yield warnings.unchecked()
        for index, source in enumerate(subscription.sources):
            sample = found.get(source.topic) if found else None
            if sample is not None:  # a warning about hidden fields would tell what is in them
                sample = replace(sample, values=_seen(subscription, source.topic, sample))
            yield from warnings.of_source(index, source, sample, lambda: clock.monotonic() >= until)

    def _samples(self, samples: Future[Samples] | None, until: float) -> Samples | None:
        if samples is None:
            return None
        try:
            return samples.result(_left_s(until))
        except (TimeoutError, KafkaUnavailable):
            self._rests_until = clock.monotonic() + REST_S
            return None


def _may_be_told(subscription: Subscription, topic: str) -> bool:
    """Whether a warning may say anything about the topic: not when no policy allows it, not even that it exists."""
    applied = subscription.policies.get(topic)
    return applied is None or applied.allowed


def _seen(subscription: Subscription, topic: str, sample: TopicSample) -> tuple[bytes | None, ...] | None:
    """The values of the sample as the subscription's tenant sees them; none if the policies are not known."""
    applied = subscription.policies.get(topic)
    if applied is None or sample.values is None:
        return None
    return tuple(seen_values(applied, sample.values))


def _left_s(until: float) -> float:
    return max(0.0, until - clock.monotonic())
