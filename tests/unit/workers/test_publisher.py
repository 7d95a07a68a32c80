"""What becomes of revocations while the board is away. Real: the publisher's thread; the board is the memory one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.harness.errands import PATIENCE_S, ForgetfulBoard
from tests.harness.lanes import fill, route
from webhookd.errors import QueueUnavailable
from webhookd.flow.board import Denied, Offer
from webhookd.flow.delivery import Delivery
from webhookd.flow.ticket import Ticket
from webhookd.settings import Settings
from workers.application import build_celery
from workers.ingest.publisher import Outgoing, Publisher
from workers.queues import FIRST


class Board(ForgetfulBoard):
    """Says when something was done."""

    def __init__(self) -> None:
        super().__init__()
        self.done: SimpleQueue[str] = SimpleQueue()
        self.refuses_revocations = False

    def offer(self, offers: Sequence[Offer]) -> None:
        super().offer(offers)
        self.done.put("offer")

    def revoke(self, slots: Sequence[str]) -> None:
        if self.refuses_revocations:
            self.refusals.put("revoke")
            raise QueueUnavailable
        super().revoke(slots)
        self.done.put("revoke")


class Scene:
    """A publisher over a board that may be away."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(redis_url="memory://", database_url=f"sqlite:///{folder}/none.db")
        self.board = Board()
        self.unknown: SimpleQueue[Delivery] = SimpleQueue()
        self.app = build_celery(settings)
        self.publisher = Publisher(self.app, self.board, unknown=self._failed)
        self.publisher.start()

    def _failed(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.unknown.put(delivery)

    def publish(self, offset: int = 0) -> Ticket:
        """A delivery of the one lane, under an epoch of its own."""
        made = route()
        fill(made, 0, [offset])
        (delivery,) = made.ready(1e6)
        delivery.queue = FIRST
        ticket = delivery.ticket(f"ingest-{offset}")
        self.publisher.publish([Outgoing(delivery, ticket, alone=False)])
        return ticket

    def published(self, offset: int = 0) -> Ticket:
        ticket = self.publish(offset)
        assert self.board.done.get(timeout=PATIENCE_S) == "offer"
        return ticket


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.publisher.stop(PATIENCE_S)
    with made.app.connection_for_write() as connection:
        connection.default_channel.queue_purge(FIRST)  # the transport's memory outlives the application
    made.app.close()


def test_revoked_delivery_is_stale(scene: Scene) -> None:
    ticket = scene.published()
    scene.publisher.revoke(ticket.slots())
    assert scene.board.done.get(timeout=PATIENCE_S) == "revoke"
    assert scene.board.claim([ticket]) == [Denied.STALE]


def test_revocation_waits_for_a_board_that_is_away(scene: Scene) -> None:
    ticket = scene.published()
    scene.board.leave()
    scene.publisher.revoke(ticket.slots())
    assert scene.board.refusals.get(timeout=PATIENCE_S) == "revoke"
    scene.board.away = False
    assert scene.board.done.get(timeout=PATIENCE_S) == "revoke"
    assert scene.board.claim([ticket]) == [Denied.STALE]


def test_late_revocation_spares_what_was_offered_since(scene: Scene) -> None:
    old = scene.published()
    scene.board.refuses_revocations = True
    scene.publisher.revoke(old.slots())
    assert scene.board.refusals.get(timeout=PATIENCE_S) == "revoke"
    new = scene.published(1)
    scene.board.refuses_revocations = False
    scene.publisher.revoke(["s1/elsewhere/0"])
    assert scene.board.done.get(timeout=PATIENCE_S) == "revoke"
    assert not isinstance(scene.board.claim([new])[0], Denied)
