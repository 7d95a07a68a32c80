"""What a worker does when webhookd goes offline, and about changed subscriptions.

Real: SQLite, the subscription cache. The test moves the clock.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.harness.databases import create_tables
from tests.harness.delivery_senders import ref
from tests.harness.pipeline import until
from tests.harness.secret_keys import KEY, OTHER_KEY, SECRET_KEYS
from tests.harness.subscriptions import subscription
from webhookd.errors import StoreUnavailable
from webhookd.flow.control.administration import ABORT_AFTER_S, Availability
from webhookd.flow.control.change_notification import AdministrationChanged, ChangeNotification, SubscriptionChanged
from webhookd.store import administration, subscriptions
from webhookd.store.database import Database
from webhookd.store.destination_rows import to_columns
from webhookd.store.secret_keys import SecretKeys
from webhookd.store.tables import AdministrationRow, SubscriptionRow
from workers.delivery.change_watch import CHECK_UNUSABLE_S, ChangeWatch
from workers.delivery.subscription_cache import SubscriptionCache

PATIENCE_S = 10.0
ID = ref().subscription


class Scene:
    """A change watch over a database with one subscription; `calls` are those that it made to end deliveries."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'watch.db'}"
        create_tables(url)
        self.folder = folder
        self.database = Database(url, secret_keys=SECRET_KEYS)
        with self.database.transaction() as session:
            subscriptions.insert(session, subscription(ID))
        self.now = 100.0
        self.calls: list[str] = []
        self.notify: Callable[[ChangeNotification], None] = lambda _: None
        self.cache = SubscriptionCache(self.database)
        self.watch = ChangeWatch(
            self.database,
            self.cache,
            self,
            interval_s=60.0,
            listen=self._listen,
            monotonic=lambda: self.now,
        )

    def stop_senders(self) -> None:
        self.calls.append("stop")

    def abort_requests(self) -> None:
        self.calls.append("abort")

    def switch(self, status: Availability, age_s: float = 0.0) -> None:
        """Set the offline switch, so long ago."""
        with self.database.transaction() as session:
            administration.switch(session, status, "")
            session.execute(update(AdministrationRow).values(changed_at=AdministrationRow.changed_at - age_s))

    def lose_database(self) -> None:
        self.database.close()
        (self.folder / "watch.db").rename(self.folder / "elsewhere.db")
        (self.folder / "watch.db").mkdir()

    def _listen(self, notify: Callable[[ChangeNotification], None], stop: threading.Event) -> None:
        self.notify = notify
        stop.wait(PATIENCE_S)


def encrypt(scene: Scene, key: str) -> None:
    """Encrypt the stored secrets with this key; the version of the subscription stays."""
    stored = subscription(ID)
    secrets = to_columns(stored.destination, stored.limits, SecretKeys([key]))["secrets"]
    with scene.database.transaction() as session:
        session.execute(update(SubscriptionRow).values(secrets=secrets))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.database.close()


def test_online_worker_ends_no_request(scene: Scene) -> None:
    scene.watch.read()
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, scene.calls) == (False, [])


def test_offline_worker_aborts_requests_after_four_seconds(scene: Scene) -> None:
    scene.switch(Availability.OFFLINE)
    scene.watch.read()
    scene.now += ABORT_AFTER_S - 0.5
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, set(scene.calls)) == (True, {"stop"})
    scene.now += 0.5
    scene.watch.end_deliveries_while_offline()
    assert scene.calls[-1] == "abort"


def test_switch_read_late_aborts_requests_in_time(scene: Scene) -> None:
    scene.switch(Availability.OFFLINE, age_s=3.0)
    scene.watch.read()
    scene.now += 1.0
    scene.watch.end_deliveries_while_offline()
    assert scene.calls[-1] == "abort"


def test_worker_back_online_aborts_nothing(scene: Scene) -> None:
    scene.switch(Availability.OFFLINE)
    scene.watch.read()
    scene.switch(Availability.ONLINE)
    scene.watch.read()
    scene.now += ABORT_AFTER_S
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, scene.calls) == (False, [])


def test_switch_last_read_holds_while_the_database_is_down(scene: Scene) -> None:
    scene.switch(Availability.OFFLINE)
    scene.watch.read()
    scene.lose_database()
    with pytest.raises(StoreUnavailable):
        scene.watch.read()
    scene.now += ABORT_AFTER_S
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, scene.calls[-1]) == (True, "abort")


def test_changed_subscription_is_found_by_reading(scene: Scene) -> None:
    scene.cache.templates([ref()])
    with scene.database.transaction() as session:
        subscriptions.delete(session, ID)
    scene.watch.read()
    assert scene.cache.cached_ids() == []


def test_started_watch_has_read_the_switch(scene: Scene) -> None:
    scene.switch(Availability.OFFLINE)
    scene.watch.start()
    assert scene.watch.offline
    scene.watch.stop()


def test_notifications_take_effect_without_waiting(scene: Scene) -> None:
    scene.cache.templates([ref()])
    scene.watch.start()
    scene.notify(SubscriptionChanged(id=ID, version=2))
    assert scene.cache.templates([ref()]) == [None]
    scene.switch(Availability.OFFLINE)
    scene.notify(AdministrationChanged(status=Availability.OFFLINE))
    until(lambda: scene.watch.offline, "the switch is read", PATIENCE_S)
    scene.watch.stop()


def test_secrets_that_could_not_be_decrypted_are_tried_again_without_a_delivery(scene: Scene) -> None:
    scene.watch.read()
    encrypt(scene, OTHER_KEY)
    scene.cache.templates([ref()])
    encrypt(scene, KEY)
    scene.now += CHECK_UNUSABLE_S - 0.1
    scene.watch.read()
    early = scene.cache.secrets_error
    scene.now += 0.1
    scene.watch.read()
    assert (ID in early, scene.cache.secrets_error) == (True, "")
