"""Text from jobs, answers and people reaches a terminal escaped: it cannot change colours, or hide or reorder text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost import File, Region
from gaugepost.transitions import Dead, Delivered, Parked, Phase, Unknown
from gaugepost.verdict import Verdict
from support.terminal import on_terminal, plain

if TYPE_CHECKING:
    from conftest import Cli, EuWorker

CONTROLS = "\x1b]0;owned\x07\x1b[2J\u202egnp\u2066\x9b31m\r"
CALLS = [
    ("job", "{record}"),
    ("job", "{record}", "--show-data"),
    ("jobs",),
    ("jobs", "--show-data"),
    ("jobs", "--group"),
    ("job", "{file}", "--show-data"),
    ("job", CONTROLS),
    ("cancel", CONTROLS),
    ("settle", CONTROLS, "--as", "dead"),
    ("replay", CONTROLS),
    ("holds",),
    ("status",),
    ("uploads",),
]


@pytest.fixture
def ids(eu_worker: EuWorker) -> dict[str, str]:
    """Make a job, a file and holds whose texts are full of control characters."""
    configuration = CONTROLS.replace("[", "").replace("]", "").replace("\r", "")
    eu_worker.put(
        configuration=configuration,
        record={"Email": "a@example.com", f"Head{CONTROLS}": f"Cell{CONTROLS}"},
        labels=[CONTROLS],
        idempotency_key=CONTROLS,
    )
    found = {"record": eu_worker.settle(Dead(Verdict.MISSING_FIELD), Verdict.MISSING_FIELD, f"Message{CONTROLS}")}
    eu_worker.put(configuration=configuration)
    eu_worker.settle(Unknown(f"Reason{CONTROLS}"), Verdict.LOST_ANSWER, CONTROLS)
    name = "\u202evsc.csv"
    eu_worker.producer.enqueue(
        File(region=Region.EU, family="contact", filename=name, content_base64="RW1haWwKYUBiLmV4YW1wbGUK")
    )
    eu_worker.settle(Parked(0, "processing", Phase.PROCESSING), Verdict.DELIVERED)
    eu_worker.ledger.promote()
    result = {"total": 2, "successful": 1, "unsuccessful": 1, "messages": [f"Record 2: {CONTROLS}"], "upload_id": 9}
    found["file"] = eu_worker.settle(Delivered(result, (CONTROLS,)), Verdict.DELIVERED)
    for scope in ("", f"configuration:{configuration}"):
        eu_worker.ledger.hold(scope, f"Why{CONTROLS}", CONTROLS)
    return found


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call).replace(CONTROLS, "CONTROLS"))
def test_no_control_character_reaches_the_terminal(cli: Cli, ids: dict[str, str], call: tuple[str, ...]) -> None:
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
