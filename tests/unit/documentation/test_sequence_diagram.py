"""Sequence diagrams as SVG.

Oracle: Python's own XML parser over what is drawn; the places of lifelines and texts are compared with each other.
"""

import xml.etree.ElementTree as ET

import pytest

from documentation.sequence_diagram import UnknownLine, draw, parse

SOURCE = """
sequenceDiagram
participant K as Kafka
participant I as ingest
participant W as worker
I->>K: poll & wait
K-->>I: records
alt on time
I->>I: settle
else too late
Note over K,W: a remark over all of them
end
W->>I: a report with a text that needs much room
"""


def drawn(source: str) -> ET.Element:
    return ET.fromstring(draw(parse(source)))  # noqa: S314 - the XML is our own


def texts(svg: ET.Element) -> list[str]:
    return [element.text or "" for element in svg.iter("text")]


def lifelines(svg: ET.Element) -> list[float]:
    return [float(line.attrib["x1"]) for line in svg.iter("line") if line.attrib["class"] == "life"]


def test_every_text_is_drawn_once() -> None:
    assert sorted(texts(drawn(SOURCE))) == sorted(
        [
            "Kafka",
            "ingest",
            "worker",
            "poll & wait",
            "records",
            "alt: on time",
            "settle",
            "else: too late",
            "a remark over all of them",
            "a report with a text that needs much room",
        ]
    )


def test_lifelines_stand_in_the_order_of_the_participants() -> None:
    places = lifelines(drawn(SOURCE))
    assert len(places) == 3
    assert places == sorted(set(places))


def test_longer_text_moves_lifelines_apart() -> None:
    source = "sequenceDiagram\nparticipant A as a\nparticipant B as b\nA->>B: {}"
    near, far = (lifelines(drawn(source.format("x" * length))) for length in (5, 60))
    assert far[1] - far[0] > near[1] - near[0]


def test_answer_is_dashed_and_request_is_not() -> None:
    styles = [line.attrib["class"] for line in drawn(SOURCE).iter("line") if "message" in line.attrib["class"]]
    assert styles == ["message", "message dashed", "message"]


def test_everything_lies_inside_the_picture() -> None:
    svg = drawn(SOURCE)
    width = float(svg.attrib["width"])
    rights = [float(box.attrib["x"]) + float(box.attrib["width"]) for box in svg.iter("rect")]
    assert max(*rights, *lifelines(svg)) <= width


@pytest.mark.parametrize(
    "source",
    [
        "flowchart LR\nA-->B",
        "sequenceDiagram\nparticipant A as a\nA->>B: to a stranger",
        "sequenceDiagram\nparticipant A as a\nactivate A",
        "sequenceDiagram\nparticipant A as a\nloop for ever\nA->>A: x",
        "sequenceDiagram\nparticipant A as a\nA->>A: x\nend",
    ],
    ids=["another kind", "unknown participant", "unknown line", "frame without end", "end without frame"],
)
def test_what_is_not_known_is_an_error(source: str) -> None:
    with pytest.raises(UnknownLine):
        draw(parse(source))
