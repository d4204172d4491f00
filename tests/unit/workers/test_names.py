"""Check public names against a second list: a change of a name needs a change here too."""

from __future__ import annotations

import pytest

from gaugepost import Region
from gaugepost.jobs import JOBS
from gaugepost.ledger import Claimed, Settlement
from gaugepost.ledger.history import History
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Held, Parked, Requeued, Transition, Unknown
from gaugepost.verdict import Verdict
from gaugepost_tasks.endpoints.handlers import HANDLERS
from gaugepost_workers.celery_app.app import SETTINGS, TICKS, make_app
from gaugepost_workers.observers.flower_events import ended


def test_task_names_are_frozen() -> None:
    app = make_app(Region.EU, "redis://127.0.0.1:1/0")
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == {
        "gaugepost.deliver", "gaugepost.promote", "gaugepost.rescue", "gaugepost.open_slot", "gaugepost.sweep",
    }  # fmt: skip
    assert set(TICKS) == ours - {"gaugepost.deliver"}


def test_queue_names_are_frozen_with_the_urgent_one_first() -> None:
    for region in Region:
        app = make_app(region, "redis://127.0.0.1:1/0")
        assert [queue.name for queue in app.conf.task_queues] == [
            f"gaugepost.{region}{which}" for which in (".urgent", "", ".ticks")
        ]


def test_no_task_of_ours_sends_events_of_its_own() -> None:
    app = make_app(Region.EU, "redis://127.0.0.1:1/0")
    assert not any(task.send_events for name, task in app.tasks.items() if name.startswith("gaugepost."))


def test_every_kind_has_its_handler() -> None:
    kinds = {"record", "personal_link", "close_loop", "response", "file", "file_delete"}
    assert set(JOBS) == set(HANDLERS) == kinds


def test_only_json_is_accepted() -> None:
    assert SETTINGS["accept_content"] == ["json"]


@pytest.mark.parametrize(
    ("transition", "event", "text"),
    [
        (Delivered(), "task-succeeded", "delivered"),
        (Parked(300_000, "no_campaign"), "task-retried", "parked: no_campaign until 2026-11-22 12:05:00 UTC"),
        (
            Held("configuration:x", "unknown_mapping"),
            "task-retried",
            "parked: unknown_mapping, until its hold is lifted",
        ),
        (
            Held("endpoints:imports", "throttled"),
            "task-retried",
            "parked: throttled (CustomerGauge asks to send more slowly), until its hold is lifted",
        ),
        (
            Held("credentials:oauth", "credentials", words="token endpoint: HTTP 401, Client authentication failed"),
            "task-retried",
            "parked: credentials (token endpoint: HTTP 401, Client authentication failed), until its hold is lifted",
        ),
        (Requeued(), "task-retried", "queued again (no_campaign)"),
        (Dead(Verdict.DUPLICATE), "task-failed", "dead: duplicate"),
        (Unknown("link lost"), "task-failed", "unknown: link lost"),
    ],
)
def test_event_names_and_texts_are_frozen(transition: Transition, event: str, text: str) -> None:
    job = JOBS["file_delete"].model_validate({"kind": "file_delete", "region": "eu", "upload_id": 1})
    claimed = Claimed("id", 1, 0, job, History())
    attempt = Attempt(1, 0, 250, 400, Verdict.NO_CAMPAIGN, "message with data")
    name, fields = ended(Settlement(claimed, Decision(transition), (attempt,)), 1795348800.0)
    assert name == event
    assert fields["uuid"] == "id"
    assert text in (fields.get("exception"), fields.get("result"))
    assert "data" not in str(fields)
