"""Makes the consumer of a subscription from its configuration and the settings of the process."""

import random
from collections.abc import Callable
from functools import partial

from webhookd import logs
from webhookd.edges.http_client.tls_contexts import confirm_usable
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import GroupConsumer
from webhookd.edges.kafka_partition_reader import FETCH_WAIT_S, PartitionReader, ReaderCallbacks
from webhookd.errors import InvalidInput, UnusableSubscription
from webhookd.flow.attempt.authentication import constant_headers, token_target
from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S
from webhookd.flow.attempt.success_codes import statuses_of
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.attempt.tls_options import OPERATORS, without_sealed_key
from webhookd.flow.authorization.topic_matcher import TopicMatcher, topic_matcher
from webhookd.flow.batching.backpressure import ReadBackpressure, lane_bound
from webhookd.flow.batching.envelope import CONTENT_TYPE
from webhookd.flow.destination import ClientCredentials, Tls
from webhookd.flow.dispatch.accumulator import BatchAccumulator, DeliveryLimits
from webhookd.flow.dispatch.dispatch_pace import DispatchPace
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification, VerificationTiming
from webhookd.flow.dispatch.host_limits import host_limits
from webhookd.flow.dispatch.request_quota import quotas_of
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import OnFilterError, Source, Subscription
from webhookd.settings import Settings
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.ports import Services

_log = logs.get(__name__)


class ConsumerFactory:
    """Makes consumers; `group_protocol` is the protocol with which new ones join their groups."""

    def __init__(self, settings: Settings, kafka: KafkaConnection, new_token: Callable[[], str]) -> None:
        self._settings = settings
        self._kafka = kafka
        self._new_token = new_token
        self._host_limits = host_limits(settings.host_rate_limits, settings.host_max_concurrent)
        self.group_protocol = "consumer" if settings.kafka_group_protocol == "auto" else settings.kafka_group_protocol

    def open(
        self, subscription: Subscription, previous: SubscriptionStatus | None, services: Services
    ) -> SubscriptionConsumer:
        """Make a consumer, which begins to join its group; its health continues from the status `previous`.

        Raises UnusableSubscription when the policies, the filters or the destination cannot be used, or when a topic is
        not allowed.
        """
        settings = self._settings
        matchers, target = _matchers(subscription)
        _confirm_tls(settings, subscription.destination.tls)
        limits = DeliveryLimits(delivery_bytes=settings.delivery_bytes, delivery_target_s=settings.delivery_target_s)
        open_kafka_consumer: Callable[..., GroupConsumer] = partial(
            GroupConsumer,
            self._kafka,
            subscription.consumer_group,
            list(matchers),
            self.group_protocol,
            fetch_wait_s=settings.kafka_fetch_wait_s,
        )
        consumer = SubscriptionConsumer(
            BatchAccumulator(subscription, matchers, limits, self._new_token, self._pace(subscription, target)),
            matchers,
            ReadBackpressure(lane_bound(settings.lane_buffer_bytes, unverified=subscription.destination.unverified)),
            services,
            open_kafka_consumer,
            previous,
        )
        if subscription.destination.unverified:
            consumer.verification = self._verification(subscription, previous, services)
        return consumer

    def open_reader(self, callbacks: ReaderCallbacks) -> PartitionReader:
        """Make the client of the shared reader. Raises KafkaException."""
        fetch_wait_s = min(FETCH_WAIT_S, self._settings.kafka_fetch_wait_s)
        return PartitionReader(self._kafka, callbacks, fetch_wait_s=fetch_wait_s)

    def _verification(
        self, subscription: Subscription, previous: SubscriptionStatus | None, services: Services
    ) -> EndpointVerification:
        timing = _verification_timing(self._settings, subscription)
        verification = EndpointVerification(timing, self._new_token, random.random)
        now = services.monotonic()
        verification.resume(0, now)
        before = previous.delivery if previous is not None and previous.version == subscription.version else None
        if before is not None and before.state is DeliveryState.UNVERIFIED:
            due_in_s = before.next_attempt_at - services.wall_clock()
            verification.resume(before.attempt, now + min(due_in_s, LONGEST_RETRY_AFTER_S))
        return verification

    def _pace(self, subscription: Subscription, target: Target) -> DispatchPace:
        granted = subscription.destination.granted_per_minute
        quotas = quotas_of(subscription.id, subscription.limits, self._host_limits.quota(target.host), granted)
        return DispatchPace(quotas, self._settings.delivery_target_s)

    def fall_back(self) -> None:
        """Use the classic group protocol for new consumers if the setting is `auto`: brokers before 4.0 need it."""
        if self._settings.kafka_group_protocol == "auto" and self.group_protocol != "classic":
            self.group_protocol = "classic"
            _log.warning("group_protocol_fell_back", group_protocol=self.group_protocol)


def _verification_timing(settings: Settings, subscription: Subscription) -> VerificationTiming:
    """A task waits in its queue, a request for its answer; a token that is refused costs both requests once more."""
    timeout_s = subscription.limits.timeout_s or settings.request_deadline_s
    if isinstance(subscription.destination.authentication, ClientCredentials):
        timeout_s = 2 * (timeout_s + settings.request_deadline_s)
    answer_within_s = settings.claim_timeout_s + timeout_s + settings.lease_s
    return VerificationTiming(answer_within_s=answer_within_s, retry_time_scale=settings.retry_time_scale)


def _matchers(subscription: Subscription) -> tuple[dict[str, TopicMatcher], Target]:
    """Return the matcher of each topic, and the target. Raises UnusableSubscription if one of them cannot be used."""
    try:
        matchers = {source.topic: _matcher(subscription, source) for source in subscription.sources}
        target = Target.parse(subscription.destination.url)
        request_head(target, constant_headers(subscription.destination), CONTENT_TYPE)
        token_target(subscription.destination)
        statuses_of(subscription.destination.success_codes)
    except InvalidInput as error:
        raise UnusableSubscription(error.detail) from error
    return matchers, target


def _confirm_tls(settings: Settings, tls: Tls) -> None:
    """Raise UnusableSubscription for what the workers refuse: the operator may have withdrawn `verify: no`."""
    try:
        if tls != OPERATORS:
            confirm_usable(settings, without_sealed_key(tls))
    except InvalidInput as error:
        raise UnusableSubscription(f"{error.field} {error.detail}") from error


def _matcher(subscription: Subscription, source: Source) -> TopicMatcher:
    """The matcher of a topic. A topic whose policies are not known is not read: its records could be hidden."""
    policies = subscription.policies.get(source.topic)
    if policies is None or not policies.allowed:
        raise UnusableSubscription(f"no policy allows the subscription to read the topic {source.topic}")
    drops = subscription.filtering.on_filter_error is OnFilterError.DROP
    return topic_matcher(policies, source.jmes_filters, drops_errors=drops)
