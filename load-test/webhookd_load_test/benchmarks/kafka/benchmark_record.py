"""The records that are delivered: JSON of exactly 300 bytes; every tenth has the status `paid`."""

RECORD_BYTES = 300
PAID_EVERY = 10
"""The filter of the case `filter` keeps one record in ten."""

_TEMPLATE = (
    b'{"id":"%012d","type":"order.updated","status":"%b","sent_ns":"%019d","created_at":"2026-11-24T01:59:00Z",'
    b'"customer":{"id":48213,"country":"NL","tier":"gold"},"total":149.95,"currency":"EUR",'
    b'"items":[{"sku":"A-1","quantity":2},{"sku":"B-7","quantity":1}],"note":"'
)
_STATUS = (b"paid", *[b"open"] * (PAID_EVERY - 1))
_NOTE = b"x" * (RECORD_BYTES - len(_TEMPLATE % (0, b"open", 0)) - 2)


def tenant_record(number: int, tenants: int, amount: int, sent_ns: int = 0) -> bytes:
    """The record with this number and two more fields: an amount and the tenant, of whom each has a turn.

    In topics of 4 partitions that are filled in turn each tenant gets records of all partitions, if `tenants` is a
    multiple of 4.
    """
    tenant = (number + number // tenants) % tenants
    return b'{"tenant":"%d","amount":%d,%b' % (tenant, amount, record(number, sent_ns)[1:])


def record(number: int, sent_ns: int = 0) -> bytes:
    """The record with this number; `sent_ns` is the time of production, for latency measurements."""
    return b'%b%b"}' % (_TEMPLATE % (number, _STATUS[number % PAID_EVERY], sent_ns), _NOTE)
