"""The whole protocol in one thread with a simulated clock (tests/harness/simulation.py); at the end all is settled."""

import pytest

from tests.harness.simulation import World


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_and_order_is_kept(seed: int) -> None:
    world = World(seed)
    for _ in range(300):
        world.step()
    world.faultless = True
    for _ in range(5000):
        world.step()
        if world.settled:
            break
    assert world.settled
    assert all(topic.settled_below(topic.end) for topic in world.topics.values())


def test_sessions_are_pushed_to_and_refuse_in_the_simulation() -> None:
    """Otherwise the test above would say nothing about them."""
    worlds = [World(seed) for seed in range(10)]
    for world in worlds:
        for _ in range(300):
            world.step()
    assert sum(world.pushes for world in worlds) > 30
    assert sum(world.refusals for world in worlds) > 3
    assert sum(len(world.dead) for world in worlds) > 3
