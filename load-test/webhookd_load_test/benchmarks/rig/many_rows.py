"""Fills a Postgres with many subscriptions of several tenants, their statuses and their activity, within seconds.

Of the subscriptions every hundredth is inactive and every fiftieth unhealthy; a topic is read by ten of them, and a
label is on twenty. They belong to TENANTS tenants in turn. Each has the same number of activity rows, of which
every fifth is a failure, three dead letters and an address that gets no mail.
"""

from sqlalchemy import text

from webhookd.store.database import Database

TENANTS = 10

_SUBSCRIPTIONS = """
INSERT INTO subscriptions (id, version, name, active, url, headers, sources, max_batch_size, max_batch_interval_s,
    max_retries, retry_algorithm, alert_emails, on_exhausted, dead_letter_topic, on_filter_error, inactive_reason,
    changed_at, tenant, labels, external_id, created_at, updated_at)
SELECT md5('s' || n)::uuid::text, 1, 'subscription ' || lpad((n * 7919 % :count)::text, 6, '0'), n % 100 <> 0,
    'https://example.com/hook/' || n, '[["X-Api-Key", "secret"]]',
    jsonb_build_array(jsonb_build_object('topic', 'orders-' || (n % greatest(:count / 10, 1)), 'jmes_filters',
        jsonb_build_array('total > `100`'), 'start', 'latest', 'start_offsets', '{"0": 5, "1": 7}'::jsonb)),
    1, 1.0, 5, 'exponential_backoff', '["ops@example.com"]', 'pause', '', 'dead_letter', '',
    1700000000 + n, 'tenant-' || (n % :tenants), jsonb_build_object('team', 'team-' || (n % greatest(:count / 20, 1))),
    'external-' || n, 1700000000 + n, 1700000000 + (n * 104729 % :count)
FROM generate_series(1, :count) AS n
"""

_STATUSES = """
INSERT INTO subscription_statuses (subscription_id, health, reason, since, failing_since, last_failure, delivery,
    delivery_state, lag, problems, lost_ranges, topics, delivered, filtered, filter_errors, last_filter_error,
    dead_lettered, version, version_delivered)
SELECT id, CASE WHEN right(url, 2) = '50' OR right(url, 2) = '00' THEN 'unhealthy' ELSE 'healthy' END, '', 0, 0, '',
    '{"state": "delivering", "since": 1700000000.25, "attempt": 0, "max_attempts": 0, "next_attempt_at": 0.0,
      "lanes": 12, "lanes_failing": 0, "last_failure": {"code": "http_500", "at": 1700000000.25, "status": 500,
      "answer": "internal server error: no connection to the database of orders", "detail": ""}}', 'delivering', 3,
    '[]', '[{"topic": "orders", "partition": 3, "first": 4000000, "end": 4000017, "at": 1700000000.25}]',
    '[{"topic": "orders", "partitions": 12}]', 1000, 10, 0, '', 0, 1, true
FROM subscriptions
"""

_ACTIVITY = """
INSERT INTO activity (subscription_id, at, event, succeeded, routine, calls, request, request_headers, response_code,
    response_body, response_headers, error, detail)
SELECT s.id, 1700000000 + n * 60, 'api_call', n % 5 <> 0, n % 5 <> 0, 1, 'POST', '[]', 200, 'ok', '[]', '', ''
FROM generate_series(1, :rows) AS n CROSS JOIN subscriptions AS s
"""

_DEAD_LETTERS = """
INSERT INTO dead_letters (subscription_id, topic, partition, "offset", timestamp_ms, value, headers, cause, detail,
    attempts, stored_at, tenant)
SELECT id, 'orders', 0, n, 0, '{', '[]', 'not_json', '', 0, 1700000000, tenant
FROM generate_series(1, 3) AS n CROSS JOIN subscriptions
"""

_MAIL_FAILURES = """
INSERT INTO mail_failures (owner, recipient, result, detail, mails, since, at)
SELECT id, 'ops@example.com', 'refused', '', 1, 0, 0 FROM subscriptions
"""


def fill(database: Database, subscriptions: int, activity_each: int) -> None:
    """Insert the rows and let Postgres count them for its planner."""
    with database.transaction() as session:
        session.execute(text(_SUBSCRIPTIONS), {"count": subscriptions, "tenants": TENANTS})
        for statement in (_STATUSES, _DEAD_LETTERS, _MAIL_FAILURES):
            session.execute(text(statement))
    for _ in range(activity_each // 10):
        with database.transaction() as session:
            session.execute(text(_ACTIVITY), {"rows": 10})
    for table in ("subscriptions", "subscription_statuses", "activity", "dead_letters", "mail_failures"):
        with database.transaction() as session:
            session.execute(text(f"ANALYZE {table}"))
