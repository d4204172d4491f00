"""Upload files by the command line, and do a worker's steps with them on the real ledger."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Decision, Delivered, Parked, Phase
from gaugepost.verdict import Verdict
from support import terminal

if TYPE_CHECKING:
    from conftest import Cli, Done, EuWorker


WHERE = ("--region", "eu", "--family", "transactional")


def export(cli: Cli, rows: int, name: str = "export.csv") -> str:
    lines = "".join(f"person{n}@example.com,{n}\r\n" for n in range(1, rows + 1))
    (cli.folder / name).write_bytes(f"Email,Number\r\n{lines}".encode())
    return name


def uploaded(cli: Cli, rows: int, *more: str, name: str = "export.csv") -> Done:
    done = cli("upload", export(cli, rows, name), *WHERE, "--json", *more)
    assert done.code == 0, done.err
    return done


def send(eu_worker: EuWorker) -> Any:
    """Claim the next file and take its slot, as a worker does, as if the previous slot were over."""
    eu_worker.ledger._client.delete(eu_worker.ledger.keys["slot"])
    [claimed] = eu_worker.ledger.claim("eu-worker", os.urandom(4).hex(), 1).jobs
    assert eu_worker.ledger.mark(claimed)[0] == 1
    return claimed


def settle(
    eu_worker: EuWorker, claimed: Any, transition: Delivered | Parked, verdict: Verdict = Verdict.DELIVERED
) -> str:
    attempt = Attempt(claimed.history.last_n + 1, 1_790_000_000_000, 12, 200, verdict, "")
    assert eu_worker.ledger.settle([Settlement(claimed, Decision(transition), (attempt,))]) == [True]
    return str(claimed.id)


def deliver(
    eu_worker: EuWorker, *rejected: int, upload_id: int | None = 12, rows: int = 2_000, why: str = "Duplicate Record"
) -> str:
    messages = [f"Record {row}: {why}" for row in rejected]
    result = {"total": rows, "successful": rows - len(rejected), "unsuccessful": len(rejected)}
    return settle(
        eu_worker,
        send(eu_worker),
        Delivered(result | {"messages": messages, "rejected": rejected, "upload_id": upload_id}),
    )


def follow(eu_worker: EuWorker) -> str:
    return settle(eu_worker, send(eu_worker), Parked(60_000, "processing", Phase.PROCESSING))


def on_terminal(cli: Cli, *arguments: str, answer: str = "") -> tuple[int, str]:
    code, shown = terminal.on_terminal(cli.start, *arguments, answer=answer)
    return code, terminal.plain(shown)


def minutes(rows: list[dict[str, Any]]) -> list[int]:
    times = [datetime.fromisoformat(row["due"]) for row in rows]
    return [round((time - times[0]).total_seconds() / 60) for time in times]
