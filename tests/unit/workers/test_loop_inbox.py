"""Calls of other threads: they run in order, and for a limited time in each iteration."""

from collections.abc import Callable

from tests.harness.memory_consumer import MemoryServices
from workers.ingest.loop_inbox import LoopInbox

BUDGET_S = 0.05


class Scene:
    """An inbox whose actions take some time on the test's clock."""

    def __init__(self) -> None:
        self.services = MemoryServices()
        self.inbox = LoopInbox(lambda: self.services.now)
        self.run: list[int] = []

    def call(self, number: int, lasts_s: float) -> Callable[[], None]:
        def action() -> None:
            self.services.now += lasts_s
            self.run.append(number)

        return action


def test_long_calls_run_over_several_iterations_in_their_order() -> None:
    scene = Scene()
    for number in range(5):
        scene.inbox.put(scene.call(number, 0.03))
    all_of_it = [scene.inbox.run_pending(BUDGET_S) for _ in range(3)]
    assert (all_of_it, scene.run) == ([False, False, True], [0, 1, 2, 3, 4])


def test_calls_made_meanwhile_are_left_to_the_next_iteration() -> None:
    scene = Scene()
    scene.inbox.put(lambda: scene.inbox.put(scene.call(1, 0.0)))
    assert (scene.inbox.run_pending(BUDGET_S), scene.run) == (True, [])


def test_loop_does_not_wait_while_calls_are_pending() -> None:
    scene = Scene()
    for number in range(3):
        scene.inbox.put(scene.call(number, 1.0))
    scene.inbox.run_pending(BUDGET_S)
    scene.inbox.wait(3600.0)
    assert scene.run == [0]


def test_iteration_has_a_number_only_while_it_runs() -> None:
    scene = Scene()
    seen: list[int] = []
    scene.inbox.put(lambda: seen.append(scene.inbox.iteration))
    scene.inbox.run_pending(BUDGET_S)
    scene.inbox.put(lambda: seen.append(scene.inbox.iteration))
    scene.inbox.wait(0.0)
    seen.append(scene.inbox.iteration)
    scene.inbox.wait(0.0)
    assert (len(set(seen)), 0 in seen, scene.inbox.iteration) == (2, False, 0)
