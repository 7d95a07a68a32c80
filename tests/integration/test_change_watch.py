"""What a worker does about the switch and about changed subscriptions. Real: SQLite, the directory. Moved: time."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.harness.delivery_senders import ref
from tests.harness.pipeline import until
from tests.harness.subscriptions import subscription
from webhookd.errors import StoreUnavailable
from webhookd.flow.control.administration import ABORT_AFTER_S, Availability
from webhookd.flow.control.change_notification import AdministrationChanged, ChangeNotification, SubscriptionChanged
from webhookd.store import administration, migrating, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import AdministrationRow
from workers.delivery.change_watch import ChangeWatch
from workers.delivery.subscription_cache import SubscriptionCache

PATIENCE_S = 10.0
ID = ref().subscription


class Scene:
    """A watch over a database with one subscription; `did` is what it did about deliveries under way."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'watch.db'}"
        migrating.upgrade(url)
        self.folder = folder
        self.database = Database(url)
        with self.database.transaction() as session:
            subscriptions.insert(session, subscription(ID))
        self.now = 100.0
        self.did: list[str] = []
        self.tell: Callable[[ChangeNotification], None] = lambda _: None
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
        self.did.append("stop")

    def abort_requests(self) -> None:
        self.did.append("cut")

    def turn(self, status: Availability, age_s: float = 0.0) -> None:
        """Turn the switch, so long ago."""
        with self.database.transaction() as session:
            administration.switch(session, status, "")
            session.execute(update(AdministrationRow).values(changed_at=AdministrationRow.changed_at - age_s))

    def lose_database(self) -> None:
        self.database.close()
        (self.folder / "watch.db").rename(self.folder / "elsewhere.db")
        (self.folder / "watch.db").mkdir()

    def _listen(self, hear: Callable[[ChangeNotification], None], stop: threading.Event) -> None:
        self.tell = hear
        stop.wait(PATIENCE_S)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.database.close()


def test_online_worker_leaves_its_requests_alone(scene: Scene) -> None:
    scene.watch.read()
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, scene.did) == (False, [])


def test_offline_worker_cuts_after_four_seconds(scene: Scene) -> None:
    scene.turn(Availability.OFFLINE)
    scene.watch.read()
    scene.now += ABORT_AFTER_S - 0.5
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, set(scene.did)) == (True, {"stop"})
    scene.now += 0.5
    scene.watch.end_deliveries_while_offline()
    assert scene.did[-1] == "cut"


def test_late_news_of_the_switch_cuts_in_time(scene: Scene) -> None:
    scene.turn(Availability.OFFLINE, age_s=3.0)
    scene.watch.read()
    scene.now += 1.0
    scene.watch.end_deliveries_while_offline()
    assert scene.did[-1] == "cut"


def test_worker_back_online_cuts_nothing(scene: Scene) -> None:
    scene.turn(Availability.OFFLINE)
    scene.watch.read()
    scene.turn(Availability.ONLINE)
    scene.watch.read()
    scene.now += ABORT_AFTER_S
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, scene.did) == (False, [])


def test_last_known_switch_stays_without_a_database(scene: Scene) -> None:
    scene.turn(Availability.OFFLINE)
    scene.watch.read()
    scene.lose_database()
    with pytest.raises(StoreUnavailable):
        scene.watch.read()
    scene.now += ABORT_AFTER_S
    scene.watch.end_deliveries_while_offline()
    assert (scene.watch.offline, scene.did[-1]) == (True, "cut")


def test_changed_subscription_is_found_by_reading(scene: Scene) -> None:
    scene.cache.templates([ref()])
    with scene.database.transaction() as session:
        subscriptions.delete(session, ID)
    scene.watch.read()
    assert scene.cache.cached_ids() == []


def test_started_watch_knows_the_switch_at_once(scene: Scene) -> None:
    scene.turn(Availability.OFFLINE)
    scene.watch.start()
    assert scene.watch.offline
    scene.watch.stop()


def test_notifications_take_effect_without_waiting(scene: Scene) -> None:
    scene.cache.templates([ref()])
    scene.watch.start()
    scene.tell(SubscriptionChanged(id=ID, version=2))
    assert scene.cache.templates([ref()]) == [None]
    scene.turn(Availability.OFFLINE)
    scene.tell(AdministrationChanged(status=Availability.OFFLINE))
    until(lambda: scene.watch.offline, "the switch is read", PATIENCE_S)
    scene.watch.stop()
