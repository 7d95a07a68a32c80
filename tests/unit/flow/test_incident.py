"""Who is told of a spell of failure, and how often. Oracle: the table at the top of the module, in hours."""

from itertools import pairwise

from webhookd.flow.alerting.incident import FLAP_WINDOW_S, Incident, NoticeKind, observe

HOUR = 3600.0
START = 1_700_000_000.0


class Watched:
    """Looks once a minute at something that fails or not, and keeps what was said, and when."""

    def __init__(self) -> None:
        self.now = START
        self.incident: Incident | None = None
        self.said: list[tuple[float, NoticeKind]] = []

    def be(self, *, failing: bool, for_s: float, step_s: float = 60.0) -> None:
        until = self.now + for_s
        while self.now < until:
            self.incident, word = observe(self.incident, failing=failing, now=self.now)
            self.said += [(self.now - START, word)] if word else []
            self.now += step_s

    def words(self) -> list[NoticeKind]:
        return [word for _, word in self.said]


def test_well_from_the_beginning_says_nothing() -> None:
    watched = Watched()
    watched.be(failing=False, for_s=HOUR)
    assert (watched.incident, watched.said) == (None, [])


def test_failure_is_told_at_once_and_then_ever_more_rarely() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=90 * HOUR)
    assert [at / HOUR for at, _ in watched.said] == [0, 1, 5, 17, 41, 65, 89]
    assert watched.words() == [NoticeKind.FAILING, *[NoticeKind.STILL_FAILING] * 6]


def test_recovery_is_told_once() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=300.0)
    watched.be(failing=False, for_s=HOUR)
    assert watched.said == [(0.0, NoticeKind.FAILING), (300.0, NoticeKind.RECOVERED)]
    assert watched.incident is None


def test_flapping_is_told_at_growing_intervals() -> None:
    watched = Watched()
    for _ in range(6 * 60):
        watched.be(failing=True, for_s=30.0, step_s=10.0)
        watched.be(failing=False, for_s=30.0, step_s=10.0)
    assert watched.words() == [NoticeKind.FAILING, NoticeKind.RECOVERED] * 4
    failures = [at for at, word in watched.said if word is NoticeKind.FAILING]
    assert [round((b - a) / 600) for a, b in pairwise(failures)] == [1, 6, 24]


def test_failing_again_for_good_is_told_after_the_silence() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=60.0)
    watched.be(failing=True, for_s=HOUR)
    assert watched.said == [
        (0.0, NoticeKind.FAILING),
        (60.0, NoticeKind.RECOVERED),
        (60.0 + FLAP_WINDOW_S, NoticeKind.FAILING),
    ]


def test_recovery_of_what_was_not_told_again_is_silent() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=60.0)
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=HOUR)
    assert watched.words() == [NoticeKind.FAILING, NoticeKind.RECOVERED]


def test_failure_after_a_calm_is_news() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=60.0)
    watched.now += FLAP_WINDOW_S
    watched.be(failing=True, for_s=60.0)
    assert watched.words() == [NoticeKind.FAILING, NoticeKind.RECOVERED, NoticeKind.FAILING]
    assert watched.said[-1][0] == 120.0 + FLAP_WINDOW_S


def test_reminders_missed_while_nobody_looked_are_one() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.now += 30 * HOUR
    watched.be(failing=True, for_s=60.0)
    assert watched.words() == [NoticeKind.FAILING, NoticeKind.STILL_FAILING]
