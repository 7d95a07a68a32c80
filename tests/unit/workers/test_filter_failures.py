"""Records that filters fail on, and the health of their subscription, in a whole subscription consumer."""

import pytest

from tests.harness.subscription_consumers import ZERO, Scene
from webhookd.flow.status.activity import Event
from webhookd.flow.status.subscription_status import Health

RAISES = "contains(tags, 'x')"
BAD, WANTED, UNWANTED = b'{"tags":null}', b'{"tags":["x"]}', b'{"tags":[]}'


def _problems(scene: Scene) -> list[tuple[str, str]]:
    return [(problem.code, problem.detail) for problem in scene.consumer.status().problems]


def test_record_that_a_filter_raises_on_becomes_a_dead_letter() -> None:
    scene = Scene(filters=[RAISES])
    scene.reads(ZERO, BAD, UNWANTED)
    ((dead_letters, stored),) = scene.services.dead_letters.written
    assert [(dead_letter.cause, dead_letter.value) for dead_letter in dead_letters] == [("filter_error", BAD)]
    assert scene.committable() == {ZERO: 0}
    stored()
    status = scene.consumer.status()
    assert (scene.committable(), status.filter_errors, status.filtered) == ({ZERO: 2}, 1, 1)


def test_record_that_a_filter_raises_on_is_dropped_when_so_configured() -> None:
    scene = Scene(filters=[RAISES], drops_errors=True)
    scene.reads(ZERO, BAD, UNWANTED)
    status = scene.consumer.status()
    assert (scene.services.dead_letters.written, scene.committable()) == ([], {ZERO: 2})
    assert (status.filter_errors, status.filtered) == (1, 2)
    assert status.last_filter_error.startswith(f"{RAISES}: ")
    assert status.health is Health.HEALTHY


@pytest.mark.parametrize("drops", [False, True])
def test_filter_that_keeps_failing_makes_unhealthy_until_it_succeeds(*, drops: bool) -> None:
    scene = Scene(filters=[RAISES], drops_errors=drops)
    scene.reads(ZERO, *[BAD] * 20)
    ((code, detail),) = _problems(scene)
    scene.consumer.delivery_succeeded()
    assert scene.consumer.status().health is Health.UNHEALTHY
    assert code == "filter_failing"
    assert detail.startswith(f"orders: {RAISES}: ")
    assert detail.endswith("(20 of the last 20 records)")
    scene.reads(ZERO, *[UNWANTED] * 50, at=20)
    assert scene.consumer.status().health is Health.HEALTHY
    assert [event.event for event in scene.services.activities] == [Event.UNHEALTHY, Event.HEALTHY]


def test_problem_survives_a_restart_with_the_same_filter() -> None:
    before = Scene(filters=[RAISES])
    before.reads(ZERO, *[BAD] * 20)
    scene = Scene(filters=[RAISES], previous=before.consumer.status())
    scene.consumer.check()
    assert [code for code, _ in _problems(scene)] == ["filter_failing"]


def test_problem_ends_with_its_filter() -> None:
    before = Scene(filters=[RAISES])
    before.reads(ZERO, *[BAD] * 20)
    scene = Scene(filters=["tags && contains(tags, 'x')"], previous=before.consumer.status())
    scene.consumer.check()
    assert scene.consumer.status().health is Health.HEALTHY
