"""What is counted against a tenant's limits stays true until the registration is stored. Oracle: the rows."""

import threading
import uuid

from tests.harness.subscriptions import subscription
from webhookd.store import subscriptions, tenant_usage
from webhookd.store.database import Database

THREADS = 5


def test_registrations_at_one_moment_do_not_exceed_a_limit(database: Database) -> None:
    together = threading.Barrier(THREADS)
    refused: list[int] = []

    def register() -> None:
        together.wait()
        with database.transaction() as session:
            tenant_usage.lock_registrations(session, "acme")
            if (found := tenant_usage.subscriptions(session, "acme")) >= 1:
                refused.append(found)
                return
            subscriptions.insert(session, subscription(str(uuid.uuid4()), tenant="acme"))

    threads = [threading.Thread(target=register) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction() as session:
        counted = tenant_usage.subscriptions(session, "acme"), tenant_usage.subscriptions(session, "globex")
    assert (counted, refused) == ((1, 0), [1] * (THREADS - 1))
