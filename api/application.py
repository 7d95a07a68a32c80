"""Builds the Flask application of the management API from its parts."""

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from api.description import page
from api.extensions import (
    authentication,
    authorization,
    cross_origin,
    error_responses,
    host_check,
    openapi,
    problem_pages,
)
from api.extensions.client_addresses import ClientAddresses
from api.extensions.query_parameters import check_query
from api.extensions.rate_limiting import RateLimiting
from api.extensions.request_body import discard_body
from api.extensions.request_metrics import RequestMetrics
from api.extensions.response_headers import add_security_headers
from api.ports import EXTENSION, Brokers, ChangeNotifications, Coordination, RateLimits, Services
from api.resources.administration import routes as administration
from api.resources.audit_log import routes as audit_log
from api.resources.dead_letter import routes as dead_letter
from api.resources.endpoint_check import routes as endpoint_check
from api.resources.endpoint_check.check import EndpointCheck
from api.resources.health import routes as health
from api.resources.health.health_report import report_of
from api.resources.health.readiness import Readiness, checks_of
from api.resources.key import routes as key
from api.resources.policy import routes as policy
from api.resources.signing_secret import routes as signing_secret
from api.resources.status import routes as status
from api.resources.subscription import routes as subscription
from api.resources.subscription.checks import RegistrationChecks
from api.resources.subscription.schemas import UnusableSubscriptionSchema
from api.resources.verification import routes as verification
from webhookd import clock
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.http_client.dns_resolver import Resolver, resolve
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.memory_rate_limits import MemoryRateLimits
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_rate_limits import RateLimitsWithoutOutage, RedisRateLimits
from webhookd.edges.redis_settings import address_of
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.store.secret_keys import secret_keys_of

RESOURCES = (
    subscription,
    endpoint_check,
    signing_secret,
    verification,
    status,
    dead_letter,
    policy,
    administration,
    key,
    audit_log,
    health,
)
"""The modules with the routes, in the order of the documentation."""


def create_app(
    settings: Settings,
    *,
    database: Database,
    kafka_offsets: Brokers,
    notifier: ChangeNotifications,
    coordination: Coordination | None = None,
    rate_limits: RateLimits | None = None,
    resolver: Resolver = resolve,
) -> Flask:
    """Return the API with these collaborators; it connects to nothing before the first request.

    Without a coordination store /health shows neither workers nor queues. Without `rate_limits` requests are counted in
    memory. `resolver` resolves the hosts of URLs for the warnings of a registration, and for checks before it.
    """
    app = Flask("webhookd", static_folder=None)
    app.wsgi_app = ClientAddresses(app.wsgi_app, settings.api_trusted_proxies)  # type: ignore[method-assign]  # Flask's way
    if settings.metrics_bind:
        app.wsgi_app = RequestMetrics(app.wsgi_app)  # type: ignore[method-assign]  # Flask's way
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False
    # A path with a doubled slash gets 404; werkzeug's default is a redirect.
    app.url_map.merge_slashes = False
    services = Services(
        settings=settings, database=database, brokers=kafka_offsets, notifications=notifier, coordination=coordination
    )
    app.extensions[EXTENSION] = services
    app.extensions[subscription.CHECKS] = RegistrationChecks(settings, kafka_offsets, resolver)
    app.extensions[endpoint_check.CHECK] = EndpointCheck(settings, resolver)
    app.extensions[health.READINESS] = Readiness(checks_of(services))
    app.extensions[health.REPORT] = report_of(services, clock.monotonic, clock.wall_clock)
    if settings.api_auth == "none":
        host_check.register(app)
    cross_origin.register(app, settings.api_cors_origins)
    limiting = RateLimiting(settings, rate_limits or MemoryRateLimits())
    limiting.register_before_authentication(app)
    authentication.register(app)
    # After authentication, which says for whom a request counts, and before anything that costs more.
    limiting.register(app)
    app.before_request(check_query)
    app.after_request(discard_body)
    app.after_request(add_security_headers)
    error_responses.register(app)
    problem_pages.register(app)
    openapi.register(app, [routes.blueprint for routes in RESOURCES], [UnusableSubscriptionSchema])
    app.register_blueprint(page.blueprint)
    authorization.check_declared(app)
    return app


def build(settings: Settings) -> Flask:
    """Return the API with the Kafka, Redis and database of the settings; call it after a fork.

    Raises UnusableSetting.
    """
    redis = address_of(settings)
    prefix = settings.redis_key_prefix
    memory = MemoryRateLimits()
    return create_app(
        settings,
        database=Database(settings.database_url, secret_keys=secret_keys_of(settings)),
        kafka_offsets=KafkaAdmin(KafkaConnection.of(settings)),
        notifier=ChangeNotifier(redis, key_prefix=prefix),
        coordination=None if redis.embedded else RedisCoordination(redis, prefix),
        rate_limits=memory if redis.embedded else RateLimitsWithoutOutage(RedisRateLimits(redis, prefix), memory),
    )
