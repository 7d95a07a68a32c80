"""What watches over the rest in each ingest process: who mails alerts, and who looks after the system's parts."""

from collections.abc import Callable, Mapping

from webhookd import clock
from webhookd.edges.mailer import build_mailer
from webhookd.errors import (
    MailUnavailable,
    MailUndeliverable,
    NoWorkers,
    QueueStalled,
    QueueUnavailable,
    StoreUnavailable,
)
from webhookd.settings import Settings
from webhookd.store.system import Vitals
from workers.edges import Edges
from workers.ingest.cadence import Clocks
from workers.ingest.mailing import Mailing
from workers.ingest.parts import Check, Parts, WorkerChecks
from workers.ingest.system_watch import SystemWatch


class Vigil:
    """Mailing and the system's watch; `more` are checks of this process itself.

    Raises UnusableSetting when no mail can be sent with the settings.
    """

    def __init__(
        self,
        settings: Settings,
        edges: Edges,
        *,
        member_id: str,
        vitals: Callable[[], Vitals | None],
        more: Mapping[str, Check],
    ) -> None:
        self._mailing = Mailing(
            edges.database,
            build_mailer(settings),
            operators=settings.operator_emails,
            retention_s=settings.activity_retention_s,
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
        )
        self._watch = SystemWatch(
            edges.database,
            Parts({**_checks(edges, self._mailing), **more}),
            self._mailing,
            member_id=member_id,
            operators=settings.operator_emails,
            vitals=vitals,
            wall_clock=clock.wall_clock,
        )

    def start(self) -> None:
        """Start both threads."""
        self._mailing.start()
        self._watch.start()

    def stop(self, budget_s: float) -> None:
        """End both, each within the budget: the watch first, it has mails sent."""
        self._watch.stop(budget_s)
        self._mailing.stop(budget_s)


def _checks(edges: Edges, mailing: Mailing) -> dict[str, Check]:
    workers = WorkerChecks(edges.board, clock.monotonic)
    return {
        QueueUnavailable.code: edges.board.ping,
        StoreUnavailable.code: edges.database.ping,
        NoWorkers.code: workers.attended,
        QueueStalled.code: workers.flowing,
        MailUnavailable.code: mailing.check,
        MailUndeliverable.code: mailing.check_operators,
    }
