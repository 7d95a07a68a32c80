"""Traces of real processes: ingest and worker send their parts of one trace to a collector.

Oracles: the collector's decoded spans, and the endpoint's requests.
"""

from tests.acceptance.conftest import Starts
from tests.harness.otlp_receiver import OtlpReceiver, values
from tests.harness.receiver import Receiver


def test_ingest_and_worker_make_one_trace_and_send_the_rest_when_they_stop(start_pipeline: Starts) -> None:
    with OtlpReceiver() as collector, Receiver() as receiver:
        with start_pipeline(WEBHOOKD_TRACES_ENDPOINT=collector.url, WEBHOOKD_TRACES_SAMPLE_RATIO="1") as pipeline:
            topic = pipeline.topic(1)
            pipeline.produce(topic, [b"{}"] * 50, partitions=1)
            id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
            receiver.wait_for_records(50)
            pipeline.wait_committed(id_, topic)
            pipeline.send_term("ingest")
            pipeline.send_term("worker")
            codes = [pipeline.exit_code("ingest"), pipeline.exit_code("worker")]
            logged = {
                f'"trace_id":"{span.trace_id.hex()}"' in pipeline.log("worker") for span in collector.deliveries()
            }
        attempts = [span for delivery in collector.deliveries() for span in collector.attempts(delivery)]
    assert (codes, logged) == ([0, 0], {True})
    assert sum(values(delivery)["messaging.batch.message_count"] for delivery in collector.deliveries()) >= 50
    sent = sorted(request.headers["traceparent"] for request in receiver.requests)
    assert sorted(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03" for span in attempts) == sent
    instances = {resource["service.instance.id"] for resource in collector.resources}
    assert (len(instances), len(sent)) == (2, 50)
