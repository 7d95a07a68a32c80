"""A bare libcurl multi loop that posts one rendered record again and again.

Its processor time per request is the unit of the benchmark, which is comparable between machines.
"""

from pathlib import Path

import pycurl

from webhookd.flow.batching.envelope import CONTENT_TYPE, Envelope, body
from webhookd_load_test.benchmarks.floors.stopwatch import Floor, Stopwatch
from webhookd_load_test.benchmarks.kafka.benchmark_record import record

CONNECTIONS = 8
WEBHOOK_ID = "msg_00000000000000000000000000000000"


def curl_floor(url: str, seconds: float, ca_file: Path | None) -> Floor:
    """Post over libcurl's multi interface, from one thread."""
    payload = body([Envelope("orders", 0).render(123_456, 1_790_000_000_000, None, None, record(1))])
    multi = pycurl.CurlMulti()
    handles = [_easy(url, payload, ca_file) for _ in range(CONNECTIONS)]
    for handle in handles:
        multi.add_handle(handle)
    watch = Stopwatch(seconds)
    going_on = True
    while going_on:
        multi.perform()
        _, done, failed = multi.info_read()
        if failed:
            raise RuntimeError(f"libcurl: {failed[0][2]}")
        for handle in done:
            multi.remove_handle(handle)
            multi.add_handle(handle)
        going_on = watch.count(len(done))
        if not done:
            multi.select(0.1)
    floor = watch.floor()
    for handle in handles:
        multi.remove_handle(handle)
    return floor


def _easy(url: str, payload: bytes, ca_file: Path | None) -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.POSTFIELDS, payload)
    handle.setopt(
        pycurl.HTTPHEADER,
        [f"Content-Type: {CONTENT_TYPE}", f"webhook-id: {WEBHOOK_ID}", "webhook-timestamp: 1790000000"],
    )
    handle.setopt(pycurl.WRITEFUNCTION, lambda _data: None)
    if ca_file is not None:
        handle.setopt(pycurl.CAINFO, str(ca_file))
    return handle
