"""Check the charts of the console: what they draw of few periods, and what they say of it."""

from __future__ import annotations

import re

from gaugepost.ledger import Period, RegionHistory
from gaugepost_ops.web.console.charts import MINUTE_MS, Chart, charts_of, day_of, hour_of

NOW = 100 * MINUTE_MS


def period(minutes_ago: int, p95_s: float | None = None, **more: int) -> Period:
    given = {"delivered": 0 if p95_s is None else 4, "dead": 0, "waiting": 1} | more
    return Period(NOW - minutes_ago * MINUTE_MS, **given, p50_s=p95_s, p95_s=p95_s)


def hour(*periods: Period) -> list[Chart]:
    return charts_of(hour_of(RegionHistory(NOW, periods, ())))


def lines(chart: Chart) -> list[str]:
    return re.findall(r'class="line[^"]*" d="([^"]+)"', str(chart.svg))


def test_latency_without_a_delivery_is_none() -> None:
    *_, latency = hour(period(1))
    assert (latency.highest, latency.summary) == ("none yet", "nothing was delivered in this hour")
    assert lines(latency) == []


def test_period_between_two_gaps_is_a_line_that_can_be_seen() -> None:
    *_, latency = hour(period(5, 2.0), period(3))
    assert latency.highest == "peak 2.0 s"
    for line in lines(latency):
        assert re.fullmatch(r"M[\d.]+ [\d.]+h3\.0", line), line


def test_gap_interrupts_a_line() -> None:
    _, waiting, _ = hour(period(9), period(8), period(3, waiting=4))
    [line] = lines(waiting)
    assert [line.count(letter) for letter in "ML"] == [2, 1]
    assert waiting.summary == "at most 4 jobs not yet delivered, 0 at the end"


def test_quarters_are_named_in_words() -> None:
    quarter = Period(0, delivered=3, dead=1, waiting=0, p50_s=0.1, p95_s=0.2)
    deliveries, *_ = charts_of(day_of(RegionHistory(NOW, (), (quarter,))))
    assert deliveries.title == "Delivered, and dead (outlined), per quarter of an hour"
    assert deliveries.summary == "3 delivered and 1 dead in this day, at most 4 in a quarter of an hour"
