"""Text from jobs, answers and people reaches a terminal escaped: it cannot colour, ring, hide or reorder anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost import File, Region
from gaugepost.transitions import Dead, Delivered, Parked, Phase, Unknown
from gaugepost.verdict import Verdict
from support.terminal import on_terminal, plain

if TYPE_CHECKING:
    from conftest import Cli, Hands

ORDERS = "\x1b]0;owned\x07\x1b[2J\u202egnp\u2066\x9b31m\r"
CALLS = [
    ("job", "{record}"),
    ("job", "{record}", "--show-data"),
    ("jobs",),
    ("jobs", "--show-data"),
    ("jobs", "--group"),
    ("job", "{file}", "--show-data"),
    ("job", ORDERS),
    ("cancel", ORDERS),
    ("settle", ORDERS, "--as", "dead"),
    ("replay", ORDERS),
    ("holds",),
    ("status",),
    ("uploads",),
]


@pytest.fixture
def ids(hands: Hands) -> dict[str, str]:
    """Have a job, a file and holds that are full of orders to a terminal."""
    configuration = ORDERS.replace("[", "").replace("]", "").replace("\r", "")
    hands.put(
        configuration=configuration,
        record={"Email": "a@example.com", f"Head{ORDERS}": f"Cell{ORDERS}"},
        labels=[ORDERS],
        idempotency_key=ORDERS,
    )
    found = {"record": hands.settle(Dead(Verdict.MISSING_FIELD), Verdict.MISSING_FIELD, f"Message{ORDERS}")}
    hands.put(configuration=configuration)
    hands.settle(Unknown(f"Reason{ORDERS}"), Verdict.LOST_ANSWER, ORDERS)
    name = "\u202evsc.csv"
    hands.producer.enqueue(
        File(region=Region.EU, family="contact", filename=name, content_base64="RW1haWwKYUBiLmV4YW1wbGUK")
    )
    hands.settle(Parked(0, "processing", Phase.PROCESSING), Verdict.DELIVERED)
    hands.ledger.promote()
    result = {"total": 2, "successful": 1, "unsuccessful": 1, "messages": [f"Record 2: {ORDERS}"], "upload_id": 9}
    found["file"] = hands.settle(Delivered(result, (ORDERS,)), Verdict.DELIVERED)
    for scope in ("", f"configuration:{configuration}"):
        hands.ledger.hold(scope, f"Why{ORDERS}", ORDERS)
    return found


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call).replace(ORDERS, "ORDERS"))
def test_no_order_reaches_the_terminal(cli: Cli, ids: dict[str, str], call: tuple[str, ...]) -> None:
    arguments = [part.format(**ids) if part.startswith("{") else part for part in call]
    piped = cli(*arguments)
    _, shown = on_terminal(cli.start, *arguments)
    for text in (piped.out, piped.err, plain(shown).replace("\r\n", "\n")):
        assert "Traceback" not in text
        assert [letter for letter in text if not letter.isprintable() and letter != "\n"] == []


def test_escaped_text_says_which_character_it_was(cli: Cli, ids: dict[str, str]) -> None:
    shown = cli("job", ids["record"], "--show-data").out
    assert r"record.Head\x1b]0;owned\x07\x1b[2J\u202egnp" in shown
    assert r"Cell\x1b]0;owned\x07" in shown
