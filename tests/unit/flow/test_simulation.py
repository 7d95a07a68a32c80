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
