"""What the API answers beside the subscription: warnings, and what is wrong with a stored one."""

from flask.testing import FlaskClient
from sqlalchemy import update

from tests.harness.subscriptions import document
from webhookd.store.database import Database
from webhookd.store.tables import SubscriptionRow
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"


def test_warnings_are_in_responses_to_changes_only(client: FlaskClient, kafka: MemoryKafkaAdmin) -> None:
    kafka.records["orders"] = [b'{"status": "open"}']
    posted = client.post(PATH, json=document("source.0.jmes_filters", ['status == "paid"'])).get_json()
    codes = [(warning["field"], warning["code"]) for warning in posted["warnings"]]
    assert codes == [
        ("source[0].jmes_filters[0]", "field_not_literal"),
        ("source[0].jmes_filters[0]", "filter_passes_nothing"),
    ]
    assert "'paid'" in posted["warnings"][0]["reason"]
    put = client.put(f"{PATH}/{posted['id']}", json=posted).get_json()
    assert put == posted | {"updated_at": put["updated_at"]}
    assert "warnings" not in client.get(f"{PATH}/{posted['id']}").get_json()


def test_stored_internal_topic_is_not_read_and_can_be_replaced(client: FlaskClient, database: Database) -> None:
    created = client.post(PATH, json=document()).get_json()
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).values(sources=[{"topic": "__consumer_offsets"}]))
    [listed] = client.get(PATH).get_json()
    assert listed["unusable"] == "sources: __consumer_offsets is internal to Kafka and is not read"
    status = client.get(f"{PATH}/{created['id']}/Status").get_json()
    assert (status["status"], status["reason"]) == ("unhealthy", "unusable_configuration")
    assert client.put(f"{PATH}/{created['id']}", json=document()).status_code == 200
