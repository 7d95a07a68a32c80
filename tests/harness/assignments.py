"""An assignment of subscriptions on a database: it reads often, hears no notifications, and reaches Kafka."""

from collections.abc import Callable
from threading import Event

from tests.harness.policies import policies_in_use
from webhookd import clock
from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.store.database import Database
from workers.ingest.control.assignment import Kafka, Membership, SubscriptionAssignment, SubscriptionRunner
from workers.ingest.control.policies_in_use import PoliciesInUse

PATIENCE_S = 10.0


class ReachableKafka:
    """Kafka, which this process can reach."""

    reachability = KafkaReachability().answered(0.0)

    def wait_first_probe(self, timeout_s: float) -> bool:
        return timeout_s > 0


def new_assignment(
    database: Database,
    runner: SubscriptionRunner,
    *,
    kafka: Kafka | None = None,
    in_use: PoliciesInUse | None = None,
) -> SubscriptionAssignment:
    """An assignment that is not started; the process is called `member`."""
    return SubscriptionAssignment(
        database,
        runner,
        kafka or ReachableKafka(),
        member=Membership(id="member", timeout_s=60.0, kafka_timeout_s=15.0, monotonic=clock.monotonic),
        interval_s=0.02,
        listen=_no_notifications,
        in_use=in_use or policies_in_use(),
    )


def _no_notifications(_hear: Callable[[ChangeNotification], None], stop: Event) -> None:
    stop.wait(PATIENCE_S)
