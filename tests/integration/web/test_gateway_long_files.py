"""Files of thousands of parts: shown in bounded memory, with the same answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from gaugepost import Region
from gaugepost.ledger.entry import new_job_id
from gaugepost.set_view import read_brief_set, read_set
from gaugepost_ops.cli.uploads.file_set import to_dict
from gaugepost_ops.cli.uploads.lanes import DueTimes
from support.gateway import GatewayProcess
from support.redis_server import RedisServer
from support.stack import Stack
from support.wait import wait_until

ROWS = b"Email\na@example.net\n"
PARTS, CHECKS = 2_000, 300


def peak_mb(gateway: GatewayProcess) -> float:
    """Return the most memory that the gateway has used since this was asked last."""
    assert gateway.process is not None
    folder = Path(f"/proc/{gateway.process.pid}")
    found = (folder / "status").read_text().partition("VmHWM:")[2].split()[0]
    (folder / "clear_refs").write_text("5")
    return int(found) / 1024


def test_file_of_thousands_of_parts_is_shown_in_bounded_memory(
    gateway: GatewayProcess, server: RedisServer, key: str
) -> None:
    form, content = {"region": "eu", "family": "contact"}, {"file": ("people.csv", ROWS)}
    small = gateway.call("POST", "/v1/files", key, data=form, files=content).json()
    ledger = gateway.producer.ledger(Region.EU)
    [files] = filter(None, [ledger.file_sets.find(small["id"])])
    check = {"event": "check", "at": 1_795_305_600_000, "status": 200, "found": False}
    large = replace(files, parts=tuple(new_job_id() for _ in range(PARTS)))
    with server.client() as client, client.pipeline(transaction=False) as pipe:
        keys = ledger.keys
        client.hset(keys.of("job:", files.parts[0]), "history", "\n".join([json.dumps(check)] * CHECKS))
        for one in large.parts:
            pipe.copy(keys.of("job:", files.parts[0]), keys.of("job:", one))
        pipe.set(keys.of("set:", files.id), large.to_json())
        pipe.execute()
    gateway.call("GET", f"/v1/files/{small['id']}?x=warm", key)
    peak_mb(gateway)
    before = gateway.memory_mb()
    shown = gateway.call("GET", f"/v1/files/{files.id}", key).json()
    assert len(shown["parts"]) == PARTS
    assert peak_mb(gateway) - before < 60


def test_brief_set_has_the_answer_of_a_whole_one(tmp_path: Path) -> None:
    with Stack(tmp_path, regions="eu") as stack:
        made = tmp_path / "people.csv"
        made.write_bytes(ROWS + b"b@example.net\n" * 4_100)
        upload, parts = stack.producer.uploads.plan(made, Region.EU, "contact")
        with upload:
            files = stack.producer.uploads.upload(upload, parts, Region.EU, "contact")
        ledger = stack.producer.ledger(Region.EU)
        stack.worker()
        wait_until(lambda: stack.producer.uploads.view(files.id).uploads(), what=stack.undelivered)
        ledger.hold("", "stop here", "bob")
        wait_until(lambda: not ledger.summary()["sending"])
        stack.producer.uploads.cancel(files.id)

        def answers() -> list[dict[str, Any]]:
            views = [read(ledger, files) for read in (read_set, read_brief_set)]
            return [to_dict(view, ledger, DueTimes(stack.producer), show_data=True) for view in views]

        whole, brief = answers()
        assert whole == brief
        assert whole["states"]["delivered"] >= 1
