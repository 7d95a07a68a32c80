"""Tasks that stay open: what is pushed to them, and when they end. Real: the threads. Doubled: Redis, the endpoint."""

import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Thread

import pytest
from celery.exceptions import Reject

from tests.harness.delivery_senders import OK, PATIENCE_S, SenderScene, UnreliableCoordination, answer, batches_of, ref
from tests.harness.pipeline import until
from webhookd import clock
from webhookd.errors import StoreUnavailable
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.batching.batch import encode_batches
from webhookd.flow.dispatch.coordination import ClaimDenied, Publication, Push
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_observers import DeliveryObservers
from workers.delivery.delivery_sender import DeliverySender, TemplateResult
from workers.delivery.report_sender import ReportSender
from workers.delivery.task_handler import BACK_OFF_S, TaskHandler
from workers.delivery.task_run import TaskRun
from workers.delivery.worker_sessions import WorkerSessions, most_sessions

WORKER = "w"
SESSION = "w/1"
LONG_S = 30.0


class Scene:
    """A task handler with sessions. The endpoint answers the requests of a delivery when the test says so."""

    offline = False

    def __init__(self, idle_s: float, most: int = 2) -> None:
        self.senders = senders = SenderScene()
        self.coordination = UnreliableCoordination()
        self.sessions = WorkerSessions(
            self.coordination, WORKER, idle_s=idle_s, most=lambda: most, monotonic=clock.monotonic
        )
        self.requests: SimpleQueue[DeliverySender] = SimpleQueue()
        self.retries: SimpleQueue[tuple[DeliveryRef, float]] = SimpleQueue()
        self.publish_errors: list[Exception] = []
        self.failed_tasks: SimpleQueue[Exception] = SimpleQueue()
        self.database_read_by: list[str] = []
        self.cached = True
        self.uncached: set[str] = set()
        self.database_answers = threading.Event()
        self.database_answers.set()
        self.database_fault: Exception | None = None
        self.database_up = True
        self.report_sender = ReportSender(
            self.coordination, monotonic=lambda: senders.now, lease_s=LONG_S, lost_after_s=PATIENCE_S
        )
        self.handler = TaskHandler(
            switch=self,
            cache=self,
            claims=self.coordination,
            exchanges=self,
            report_sender=self.report_sender,
            observers=DeliveryObservers(log=DeliveryLog(worker="w1")),
            limits=senders.limits,
            clocks=senders.clocks,
        )
        self.report_sender.start()
        self.sessions.start()
        self._tasks: list[Thread] = []

    def in_memory(self, refs: Sequence[DeliveryRef]) -> bool:
        return not any(self._uncached(one) for one in refs)

    def _uncached(self, one: DeliveryRef) -> bool:
        return not self.cached or one.id in self.uncached

    def templates(self, refs: list[DeliveryRef]) -> list[TemplateResult]:
        if not self.in_memory(refs):
            self.database_read_by.append(threading.current_thread().name)
            assert self.database_answers.wait(PATIENCE_S)
            if self.database_fault is not None:
                raise self.database_fault
        return [self.senders.template if self.database_up else StoreUnavailable() for _ in refs]

    def submit(self, sender: DeliverySender) -> None:
        assert sender.advance(None) is not None
        self.requests.put(sender)

    def submit_later(self, sender: DeliverySender, delay_s: float) -> None:
        raise AssertionError(f"{sender} waits {delay_s} s")

    def answer(self, status: int = 200) -> str:
        """Answer the next request; returns the delivery."""
        sender = self.requests.get(timeout=PATIENCE_S)
        sender.advance(OK if status == 200 else answer(status))
        return sender.ref.id

    def task(self, *ids: str) -> Thread:
        """Begin a task of these deliveries, each of a lane of its own."""
        refs = self._claimable(*ids)
        task = Thread(
            target=self._deliver,
            args=(refs,),
            name=f"task-{len(self._tasks)}",
        )
        self._tasks.append(task)
        task.start()
        return task

    def _deliver(self, refs: list[DeliveryRef]) -> None:
        try:
            self.handler.deliver(refs, self._publish_retry, self.sessions)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.failed_tasks.put(error)

    def _publish_retry(self, one: DeliveryRef, wait_s: float) -> None:
        if self.publish_errors:
            raise self.publish_errors.pop()
        self.retries.put((one, wait_s))

    def push(self, *ids: str, session: str = SESSION) -> bool:
        """Push deliveries to a session; returns whether it is open."""
        return self.coordination.make_claimable([], Push(session, self._claimable(*ids)))

    def wait_open(self, session: str = SESSION) -> None:
        """Wait until a session is open."""
        until(lambda: self.push(session=session), "the session is open", PATIENCE_S)

    def ended(self) -> dict[str, ReportKind]:
        """How the deliveries have ended."""
        reports, _ = self.coordination.read_reports("ingest", "0", 0.0)
        return {one.delivery: one.kind for one in reports if one.kind not in {ReportKind.STARTED, ReportKind.PROGRESS}}

    def _claimable(self, *ids: str) -> list[DeliveryRef]:
        refs = [ref(id_, lane=f"orders/{id_}") for id_ in ids]
        self.coordination.make_claimable([Publication(one, encode_batches(batches_of(1))) for one in refs])
        return refs

    def close(self) -> None:
        """Answer what is open, and end all threads."""
        self.coordination.unavailable = False
        self.sessions.stop(PATIENCE_S)
        while not self.requests.empty():
            self.answer()
        for task in self._tasks:
            task.join(PATIENCE_S)
        self.report_sender.stop(PATIENCE_S)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Sessions that stay open until the test stops them."""
    made = Scene(idle_s=LONG_S)
    yield made
    made.close()


def ends(task: Thread) -> bool:
    """Whether the task ends."""
    task.join(PATIENCE_S)
    return not task.is_alive()


def test_pushed_deliveries_are_sent_by_the_open_task(scene: Scene) -> None:
    task = scene.task("d1")
    scene.wait_open()
    assert scene.answer() == "d1"
    assert scene.push("d2", "d3")
    assert {scene.answer(), scene.answer()} == {"d2", "d3"}
    until(lambda: len(scene.ended()) == 3, "all are reported")
    assert task.is_alive()


def test_pushed_delivery_does_not_wait_for_one_before_it(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.push("d2")
    scene.push("d3")
    waiting = [scene.requests.get(timeout=PATIENCE_S) for _ in range(3)]
    for sender in reversed(waiting):
        sender.advance(OK)
    until(lambda: scene.ended().keys() == {"d1", "d2", "d3"}, "all are reported")


def test_stop_closes_the_session_and_the_task_ends_with_its_deliveries(scene: Scene) -> None:
    task = scene.task("d1")
    scene.wait_open()
    scene.push("d2")
    scene.sessions.stop(PATIENCE_S)
    assert not scene.push("d3")
    assert task.is_alive()
    assert {scene.answer(), scene.answer()} == {"d1", "d2"}
    assert ends(task)
    assert scene.ended() == {"d1": ReportKind.FINISHED, "d2": ReportKind.FINISHED}


def test_after_a_stop_no_session_is_opened(scene: Scene) -> None:
    scene.sessions.stop(PATIENCE_S)
    task = scene.task("d1")
    scene.answer()
    assert ends(task)


def test_nothing_is_begun_after_a_stop_that_took_too_long(scene: Scene) -> None:
    begun: list[DeliveryRef] = []
    session = scene.sessions.add(TaskRun(), lambda _session, refs: begun.extend(refs))  # its task closes it never
    assert session is not None
    scene.sessions.stop(0.0)
    until(lambda: "pushed-deliveries" not in {thread.name for thread in threading.enumerate()}, "nothing is read")
    scene.coordination.claim(scene._claimable("d1"), (), session.session.claim(opens=True))
    assert scene.push("d2")
    pushed = scene.coordination.take_pushed(WORKER, 0.0)
    assert (pushed is not None, begun) == (True, [])


def test_session_closes_when_nothing_is_pushed() -> None:
    scene = Scene(idle_s=0.05)
    task = scene.task("d1")
    scene.answer()
    assert ends(task)
    assert not scene.push("d2")
    scene.close()


def test_failed_delivery_of_a_session_is_published_as_a_retry(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.push("d2")
    scene.answer(503)
    one, wait_s = scene.retries.get(timeout=PATIENCE_S)
    assert (one.id, one.attempt, wait_s > 0) == ("d2", 1, True)


def test_second_copy_of_a_pushed_delivery_sends_nothing(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    one = ref("d2", lane="orders/d2")
    scene.push("d2")
    scene.answer()
    scene.coordination.make_claimable([], Push(SESSION, [one]))
    scene.push("d3")
    assert scene.answer() == "d3"


def test_task_whose_deliveries_are_all_stale_opens_no_session(scene: Scene) -> None:
    scene.coordination.make_claimable([])
    task = Thread(target=scene.handler.deliver, args=([ref("d1")], lambda *_: None, scene.sessions))
    task.start()
    assert ends(task)
    assert not scene.push("d2")


def test_no_more_sessions_are_open_than_allowed(scene: Scene) -> None:
    tasks = [scene.task(f"d{number}") for number in range(3)]
    for _ in range(3):
        scene.answer()
    until(lambda: sum(task.is_alive() for task in tasks) == 2, "two tasks stay open, the third one ends")


def test_deliveries_whose_template_is_not_in_memory_wait_on_the_thread_of_the_task(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.cached = False
    scene.push("d2")
    assert scene.answer() == "d2"
    assert scene.database_read_by == ["task-0"]


def test_pushed_deliveries_are_published_again_while_the_database_is_down(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.cached = scene.database_up = False
    scene.push("d2")
    one, wait_s = scene.retries.get(timeout=PATIENCE_S)
    assert (one.id, one.attempt, wait_s) == ("d2", 0, BACK_OFF_S)


def test_database_that_is_down_is_asked_by_one_push_in_a_while(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.cached = scene.database_up = False
    again = []
    for id_ in ("d2", "d3"):
        scene.push(id_)
        again.append(scene.retries.get(timeout=PATIENCE_S)[0].id)
    assert (again, len(scene.database_read_by)) == (["d2", "d3"], 1)
    scene.senders.now += BACK_OFF_S
    scene.database_up = True
    scene.push("d4")
    assert (scene.answer(), len(scene.database_read_by)) == ("d4", 2)


def test_pushed_delivery_does_not_wait_for_the_template_of_another_one(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.uncached = {"d2"}
    scene.database_answers.clear()
    scene.push("d2", "d3")
    assert scene.answer() == "d3"
    scene.database_answers.set()
    assert scene.answer() == "d2"


def test_fault_while_templates_are_read_does_not_end_the_session(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.uncached, scene.database_fault = {"d2"}, AssertionError("a fault of ours")
    scene.push("d2")
    until(lambda: len(scene.database_read_by) == 1, "it is read")
    scene.push("d3")
    scene.answer(503)
    assert scene.retries.get(timeout=PATIENCE_S)[0].id == "d3"


def test_session_goes_on_after_a_retry_that_could_not_be_published(scene: Scene) -> None:
    scene.task("d1")
    scene.wait_open()
    scene.answer()
    scene.publish_errors = [Reject("Redis is down", requeue=True)]
    scene.push("d2")
    scene.answer(503)
    until(lambda: not scene.publish_errors, "the retry was to be published")
    scene.push("d3")
    scene.answer(503)
    assert scene.retries.get(timeout=PATIENCE_S)[0].id == "d3"


def test_session_of_a_task_that_fails_is_closed(scene: Scene) -> None:
    task = scene.task("d1")
    scene.wait_open()
    scene.publish_errors = [AssertionError("a fault of ours")]
    scene.answer(503)
    assert ends(task)
    assert isinstance(scene.failed_tasks.get_nowait(), AssertionError)
    assert not scene.push("d2")


def test_pushed_deliveries_that_cannot_be_claimed_are_left_to_ingest(scene: Scene) -> None:
    task = scene.task("d1")
    scene.wait_open()
    scene.answer()
    until(lambda: len(scene.ended()) == 1, "the first one is reported")
    refs = [ref("d2", lane="orders/d2")]
    scene._claimable("d2")
    scene.coordination.become_unavailable()
    super(UnreliableCoordination, scene.coordination).make_claimable([], Push(SESSION, refs))
    assert scene.coordination.refusals.get(timeout=PATIENCE_S) == "claim"
    scene.coordination.unavailable = False
    assert scene.coordination.claim(refs) != [ClaimDenied.TAKEN]
    assert task.is_alive()


def test_session_ends_while_redis_is_down(scene: Scene) -> None:
    task = scene.task("d1")
    scene.wait_open()
    scene.answer()
    until(lambda: len(scene.ended()) == 1, "it is reported")
    scene.coordination.become_unavailable()
    scene.sessions.close_all()
    assert ends(task)


@pytest.mark.parametrize(("threads", "most"), [(1, 0), (3, 0), (4, 1), (256, 64)])
def test_most_threads_stay_free_for_tasks(threads: int, most: int) -> None:
    assert most_sessions(threads) == most
