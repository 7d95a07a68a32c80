"""The management API as a Flask application, and the one place that knows what it is made of."""

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from api.extensions import openapi, problems
from api.extensions.documents import discard_body
from api.ports import EXTENSION, Announcements, Board, Brokers, Services
from api.resources.administration import routes as administration
from api.resources.dead_letter import routes as dead_letter
from api.resources.health import routes as health
from api.resources.health.readiness import Readiness, checks_of
from api.resources.health.report import report_of
from api.resources.status import routes as status
from api.resources.subscription import routes as subscription
from webhookd import clock
from webhookd.edges.announcements import Announcer
from webhookd.edges.kafka_offsets import KafkaOffsets
from webhookd.edges.redis_board import RedisBoard
from webhookd.settings import Settings
from webhookd.store.database import Database


def create_app(
    settings: Settings,
    *,
    database: Database,
    kafka_offsets: Brokers,
    announcer: Announcements,
    board: Board | None = None,
) -> Flask:
    """The API over these collaborators; connects to nothing before the first request.

    Without a board /health says nothing of workers and queues.
    """
    app = Flask("webhookd", static_folder=None)
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False
    # An address with one slash too many is unknown, not somewhere else.
    app.url_map.merge_slashes = False
    services = Services(
        settings=settings, database=database, brokers=kafka_offsets, announcements=announcer, board=board
    )
    app.extensions[EXTENSION] = services
    app.extensions[health.READINESS] = Readiness(checks_of(services))
    app.extensions[health.REPORT] = report_of(services, clock.monotonic, clock.wall_clock)
    app.after_request(discard_body)
    problems.register(app)
    documented = openapi.register(app)
    for routes in (subscription, status, dead_letter, administration, health):
        documented.register_blueprint(routes.blueprint)
    return app


def build(settings: Settings) -> Flask:
    """The API on the real edges that the settings name; call it after a fork."""
    return create_app(
        settings,
        database=Database(settings.database_url),
        kafka_offsets=KafkaOffsets(settings.kafka_bootstrap_servers),
        announcer=Announcer(settings.redis_url, key_prefix=settings.redis_key_prefix),
        board=None if settings.embedded else RedisBoard(settings.redis_url, settings.redis_key_prefix),
    )
