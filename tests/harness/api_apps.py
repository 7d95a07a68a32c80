"""The application of the API on a database of a test: notifications in memory, and each name has one public address."""

from flask import Flask

from api.application import create_app
from api.ports import Brokers
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.redis_url import parse
from webhookd.settings import Settings
from webhookd.store.database import Database


def new_app(settings: Settings, database: Database, kafka: Brokers, *, address: str = "8.8.8.8") -> Flask:
    """An application with these settings, for which every name has this address."""
    return create_app(
        settings,
        database=database,
        kafka_offsets=kafka,
        notifier=ChangeNotifier(parse("memory://")),
        resolver=lambda _host, _port: [address],
    )
