"""`gaugepost uploads`: the upload lanes, on a real Redis. The tests do what a worker would do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gaugepost import Region
from support.cli_uploads import WHERE, deliver, export, follow, minutes, on_terminal, uploaded

if TYPE_CHECKING:
    from conftest import Cli, EuWorker


@pytest.mark.parametrize("call", [("upload", "export.csv", *WHERE), ("uploads",), ("uploads", "rejects", "set-1")])
def test_unreachable_redis_is_exit_code_3(cli: Cli, call: tuple[str, ...]) -> None:
    cli.environment["GAUGEPOST_REDIS_URL"] = "redis://127.0.0.1:1/0"
    export(cli, 1)
    done = cli(*call)
    assert (done.code, done.out) == (3, "")
    assert "Redis cannot be reached" in done.err


def test_a_first_file_goes_before_others_and_the_listing_says_so(cli: Cli) -> None:
    slow = uploaded(cli, 4_500).rows
    early = uploaded(cli, 5, "--first", name="early.csv").rows
    again = uploaded(cli, 6, "--first", name="again.csv").rows
    [lane] = cli("uploads", "--region", "eu", "--json").rows
    listed = lane["waiting"]
    assert [one["id"] for one in listed] == [row["id"] for row in early + again + slow]
    assert [one["first"] for one in listed] == [True, True, False, False, False]
    assert minutes(listed) == [0, 10, 20, 30, 40]
    assert minutes([listed[0], *again]) == [0, 10], "it goes behind those that were wanted first before"
    assert re.search(r"early\.\w{10}\.csv +5  first$", cli("uploads").out, re.MULTILINE)


def test_lane_lists_sent_files_with_their_next_check(cli: Cli, eu_worker: EuWorker) -> None:
    rows = uploaded(cli, 6_000).rows
    delivered, followed = deliver(eu_worker), follow(eu_worker)
    lanes = cli("uploads", "--json").rows
    assert [lane["region"] for lane in lanes] == ["eu", "us", "au"]
    lane = lanes[0]
    assert delivered == rows[0]["id"]
    assert [one["id"] for one in lane["waiting"]] == [rows[2]["id"]]
    assert [(one["id"], one["reason"]) for one in lane["processing"]] == [(followed, "processing")]
    assert lane["processing"][0]["next_look"]
    assert minutes([{"due": lane["last_start"]}, {"due": lane["next_slot"]}, *lane["waiting"]]) == [0, 10, 10]
    assert "processing, next look in" in cli("uploads").out


def test_a_held_lane_says_why_and_until_when(cli: Cli, eu_worker: EuWorker) -> None:
    uploaded(cli, 3)
    eu_worker.ledger.hold("", "maintenance", "joe")
    dry = cli("upload", export(cli, 4), *WHERE, "--dry-run", "--json")
    assert [row["due"] for row in dry.rows] == [None]
    lane = cli("uploads", "--region", "eu", "--json").rows[0]
    assert (lane["next_slot"], lane["hold"]) == (None, {"reason": "maintenance", "by": "joe", "until": None})
    assert [one["due"] for one in lane["waiting"]] == [None]
    assert "held: maintenance, until a person resumes it" in cli("uploads").out
    assert "the lane is held" in cli("upload", "export.csv", *WHERE, "--dry-run").out
    eu_worker.ledger.resume("")
    assert cli("uploads", "--region", "eu", "--json").rows[0]["waiting"][0]["due"]


def test_families_have_lanes_of_their_own_if_the_setting_says_so(cli: Cli) -> None:
    cli.environment["GAUGEPOST_UPLOAD_SCOPE"] = "family"
    uploaded(cli, 2_001)
    other = cli("upload", "export.csv", "--region", "eu", "--family", "contact", "--json").rows
    lanes = {lane["lane"]: lane for lane in cli("uploads", "--region", "eu", "--json").rows}
    assert [len(lane["waiting"]) for lane in lanes.values()] == [2, 2, 0, 0]
    assert minutes([lanes["files:transactional"]["waiting"][0], other[0]]) == [0, 0]


def test_a_lane_is_a_picture_that_fits_a_terminal(cli: Cli, eu_worker: EuWorker) -> None:
    uploaded(cli, 24_000)
    deliver(eu_worker)
    follow(eu_worker)
    code, shown = on_terminal(cli, "uploads")
    assert code == 0
    assert re.search(r"^eu  10 waiting ──● \S+.* sent ──○ .*export\.part-03.*…\r$", shown, re.MULTILINE)
    job, table = on_terminal(cli, "upload", export(cli, 4_001, "x.csv"), *WHERE), on_terminal(cli, "job", _set(cli))
    for text in (shown, job[1], table[1]):
        assert max(map(len, text.splitlines())) <= 80, text


def _set(cli: Cli) -> str:
    return str(cli("uploads", "--region", "eu", "--json").rows[0]["waiting"][0]["set"])


def test_regions_are_listed_apart(cli: Cli) -> None:
    uploaded(cli, 1)
    assert [len(lane["waiting"]) for lane in cli("uploads", "--region", str(Region.US), "--json").rows] == [0]
