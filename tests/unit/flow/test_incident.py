"""Which mails an incident makes due, and when. Oracle: the table at the top of the module, in hours."""

from itertools import pairwise

from webhookd.flow.alerting.incident import FLAP_WINDOW_S, Incident, NoticeKind, observe

HOUR = 3600.0
START = 1_700_000_000.0


class Watched:
    """Observes something once a minute that fails or not, and keeps the due mails with their times."""

    def __init__(self) -> None:
        self.now = START
        self.incident: Incident | None = None
        self.mails: list[tuple[float, NoticeKind]] = []

    def be(self, *, failing: bool, for_s: float, step_s: float = 60.0) -> None:
        until = self.now + for_s
        while self.now < until:
            self.incident, kind = observe(self.incident, failing=failing, now=self.now)
            self.mails += [(self.now - START, kind)] if kind else []
            self.now += step_s

    def kinds(self) -> list[NoticeKind]:
        return [kind for _, kind in self.mails]


def test_healthy_from_the_start_needs_no_mail() -> None:
    watched = Watched()
    watched.be(failing=False, for_s=HOUR)
    assert (watched.incident, watched.mails) == (None, [])


def test_failure_is_mailed_at_once_and_then_more_and_more_rarely() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=90 * HOUR)
    assert [at / HOUR for at, _ in watched.mails] == [0, 1, 5, 17, 41, 65, 89]
    assert watched.kinds() == [NoticeKind.FAILING, *[NoticeKind.STILL_FAILING] * 6]


def test_recovery_is_mailed_once() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=300.0)
    watched.be(failing=False, for_s=HOUR)
    assert watched.mails == [(0.0, NoticeKind.FAILING), (300.0, NoticeKind.RECOVERED)]
    assert watched.incident is None


def test_flapping_is_mailed_at_growing_intervals() -> None:
    watched = Watched()
    for _ in range(6 * 60):
        watched.be(failing=True, for_s=30.0, step_s=10.0)
        watched.be(failing=False, for_s=30.0, step_s=10.0)
    assert watched.kinds() == [NoticeKind.FAILING, NoticeKind.RECOVERED] * 4
    failures = [at for at, kind in watched.mails if kind is NoticeKind.FAILING]
    assert [round((b - a) / 600) for a, b in pairwise(failures)] == [1, 6, 24]


def test_lasting_second_failure_is_mailed_after_the_pause() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=60.0)
    watched.be(failing=True, for_s=HOUR)
    assert watched.mails == [
        (0.0, NoticeKind.FAILING),
        (60.0, NoticeKind.RECOVERED),
        (60.0 + FLAP_WINDOW_S, NoticeKind.FAILING),
    ]


def test_recovery_of_a_failure_without_mail_is_not_mailed() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=60.0)
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=HOUR)
    assert watched.kinds() == [NoticeKind.FAILING, NoticeKind.RECOVERED]


def test_failure_after_the_flap_window_is_a_new_incident() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.be(failing=False, for_s=60.0)
    watched.now += FLAP_WINDOW_S
    watched.be(failing=True, for_s=60.0)
    assert watched.kinds() == [NoticeKind.FAILING, NoticeKind.RECOVERED, NoticeKind.FAILING]
    assert watched.mails[-1][0] == 120.0 + FLAP_WINDOW_S


def test_reminders_missed_between_two_checks_are_one() -> None:
    watched = Watched()
    watched.be(failing=True, for_s=60.0)
    watched.now += 30 * HOUR
    watched.be(failing=True, for_s=60.0)
    assert watched.kinds() == [NoticeKind.FAILING, NoticeKind.STILL_FAILING]
