"""What the demo compares and reports, and the ports that it takes."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from gaugepost_ops.demo import ports, report, scenarios
from gaugepost_ops.demo.outcome import Outcome


def test_demos_started_together_use_different_ports() -> None:
    with ports.reserve_port(ports.FLOWER) as one, ports.reserve_port(ports.FLOWER) as another:
        port = one.getsockname()[1]
        assert another.getsockname()[1] > port
        with socket.create_server(("127.0.0.1", port)) as flower:  # which it can be, while it is kept
            one.close()
            with ports.reserve_port(ports.FLOWER) as third:
                assert third.getsockname()[1] != flower.getsockname()[1]


AS_IT_MUST = Outcome(scenarios.KINDS[0], "id", "delivered", ("delivered",), tries=1, has="1 record")


@pytest.mark.parametrize(
    ("odd", "difference"),
    [
        ({"state": "dead"}, "state delivered, not dead"),
        ({"verdicts": ("server_error", "delivered")}, "verdicts delivered, not server_error, delivered"),
        ({"has": "2 records"}, "1 record there, not 2 records"),
        ({"has": "nothing"}, "1 record there, not nothing"),
    ],
)
def test_job_with_an_unexpected_end_is_reported(
    odd: dict[str, str], difference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.show([AS_IT_MUST], [])
    outcome = replace(AS_IT_MUST, **odd)
    assert report.all_differences(outcome) == [difference]


def test_waits_and_reasons_are_part_of_it() -> None:
    case = next(case for case in scenarios.FAILURES if case.title == "no campaign fits")
    parked = Outcome(case, "id", "parked", ("no_campaign",), tries=1, reason="no_campaign", waits=290.0)
    assert report.all_differences(parked) == []
    assert len(report.all_differences(replace(parked, waits=20.0))) == 1
    assert len(report.all_differences(replace(parked, waits=None))) == 1
    assert len(report.all_differences(replace(parked, reason="lane"))) == 1
