"""Check the ledger with GAUGEPOST_DATA_KEY: what is encrypted, what a process without the key does, rotation."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis

from gaugepost import DataSealed, JobDead, Producer, Settings
from gaugepost.jobs import JobBase
from gaugepost.jobs.base import SealedJob
from gaugepost.ledger import FileSet, Settlement
from gaugepost.ledger.producer_calls import Edit
from gaugepost.results import read_result
from gaugepost.transitions import Dead, Decision, Delivered, Parked
from gaugepost.verdict import Verdict
from gaugepost_tasks.policy import SEALED, missing_data_key
from gaugepost_workers.rescuer import judge_lost
from support.factories import MAPPING, case, file_delete, file_set, link, record, response, upload
from support.ledger_harness import LEASE_MS, SLOT_MS, Bench, attempt, mapping_hold

NAME, MAIL, NOTE, LINK = "Desdemona Quill", "desdemona@quill.example", "call her on Friday", "https://s.example/hJk3"
PERSONAL = (NAME, MAIL, NOTE, LINK, "quill-contacts", "Desdemona", "her-ticket")
Keyed = Callable[..., Bench]


def key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


OLD, NEW = key(), key()


@pytest.fixture
def keyed(bench: Bench) -> Keyed:
    """Make benches on one store and one clock, each with its own keys."""

    def make(*keys: str, **settings: Any) -> Bench:
        made = Bench(bench.client, **settings, **({"data_key": ",".join(keys)} if keys else {}))
        made.clock, made._tokens = bench.clock, bench._tokens
        made.clock.go(0)
        return made

    return make


def every_kind() -> list[JobBase]:
    cells = {"First Name": NAME, "Email": MAIL}
    return [
        record(record=cells, idempotency_key="her-ticket", labels=(NAME,)),
        link(record=cells),
        case(note=NOTE, assignee=MAIL),
        response(fields=cells, comment=NOTE),
        upload("quill-contacts.csv", f"Email,Name\n{MAIL},{NAME}\n".encode()),
        file_delete(labels=(NAME,)),
    ]


def everything(client: redis.Redis) -> bytes:
    """Return all keys with their whole content."""
    found = []
    for name in client.keys("*"):
        found.append(name)
        match client.type(name):
            case b"string":
                found.append(client.get(name) or b"")
            case b"hash":
                found += [part for pair in client.hgetall(name).items() for part in pair]
            case b"list":
                found += client.lrange(name, 0, -1)
            case b"set":
                found += client.smembers(name)
            case b"zset":
                found += client.zrange(name, 0, -1)
    return b"\n".join(found)


def test_redis_never_holds_personal_data_in_plain_text(bench: Bench, keyed: Keyed) -> None:
    sealed = keyed(NEW)
    ids = sealed.put(*every_kind())
    seen = [everything(bench.client)]
    result = {"survey_link": LINK, "messages": [f"Record 2: {NAME}"]}
    for claimed in sealed.claim():
        said = attempt(claimed, Verdict.SERVER_ERROR, message=f"no {NAME}", field_errors={NAME: [f"bad {MAIL}"]})
        sealed.ledger.settle([Settlement(claimed, Decision(Parked(1000, "server_error")), (said,))])
    seen.append(everything(bench.client))
    sealed.tick(2_000)
    for claimed in sealed.claim():
        sealed.settle(claimed, Delivered(result))
    seen.append(everything(bench.client))
    assert sum(state == "delivered" for state in sealed.states(ids)) >= 5
    for text in seen:
        assert not [word for word in PERSONAL if re.search(re.escape(word.encode()), text, re.IGNORECASE)]
    view = sealed.view(ids[0])
    assert (view.result, view.sealed) == (result, None)
    [first, *_] = view.history.attempts()
    assert (first.message, first.field_errors) == (f"no {NAME}", {NAME: [f"bad {MAIL}"]})
    assert [view.data() for view in keyed(OLD, NEW).ledger.read(ids) if view] == [
        view.data() for view in sealed.ledger.read(ids) if view
    ]


def test_search_finds_personal_data_when_no_key_is_set(bench: Bench) -> None:
    """Without this, the test before could not fail."""
    bench.put(*every_kind())
    text = everything(bench.client)
    assert {word for word in PERSONAL if word.encode() in text} >= {NAME, MAIL, NOTE, "quill-contacts", "her-ticket"}


def test_jobs_from_before_the_key_are_delivered_under_it(bench: Bench, keyed: Keyed) -> None:
    ids = bench.put(record(record={"Email": MAIL}), upload(content=b"Email\nx@y.example\n"))
    sealed = keyed(NEW)
    for claimed in sealed.claim():
        assert not isinstance(claimed.job, SealedJob)
        if claimed.job.kind == "file":
            assert sealed.ledger.file_sets.content(claimed.id) == b"Email\nx@y.example\n"
        sealed.settle(claimed, Delivered({"survey_link": LINK}), verdict=Verdict.DELIVERED)
    assert sealed.view(ids[0]).result == {"survey_link": LINK}
    without = bench.view(ids[0])
    assert (without.job["record"], without.result) == ({"Email": MAIL}, None)
    with pytest.raises(DataSealed, match=f"job {ids[0]} is encrypted, and GAUGEPOST_DATA_KEY is not set here"):
        read_result(without)


@pytest.mark.parametrize("keys", [(), (OLD,)], ids=["no key", "another key"])
def test_worker_without_data_key_parks_encrypted_jobs_and_loses_none(
    bench: Bench, keyed: Keyed, keys: tuple[str, ...]
) -> None:
    sealed, other = keyed(NEW), keyed(*keys)
    shut = sealed.put(record(record={"Email": MAIL}), case(note=NOTE), case(note="second"))
    plain = bench.put(record())
    claimed = {one.id: one for one in other.claim()}
    assert set(claimed) == {*shut[:2], *plain}
    for one in claimed.values():
        if isinstance(one.job, SealedJob):
            assert other.settle(one, missing_data_key(0).transition, counted=False)
        else:
            assert other.settle(one)
    assert bench.states([*shut, *plain]) == ["parked", "parked", "waiting", "delivered"]
    assert {bench.view(job_id).reason for job_id in shut[:2]} == {SEALED}
    assert sealed.ledger.summary()["parked_by_reason"] == {SEALED: 2}
    sealed.tick(11_000)
    for expected in (set(shut[:2]), {shut[2]}):
        again = sealed.claim()
        assert {one.id for one in again} == expected
        for one in again:
            sealed.settle(one)
    assert bench.states(shut) == ["delivered"] * 3


@pytest.mark.parametrize("waited_s", [0, 60, 86_400])
def test_job_without_its_key_is_retried_less_and_less_often(waited_s: int) -> None:
    decision = missing_data_key(waited_s * 1000)
    assert isinstance(decision.transition, Parked)
    assert decision.transition.delay_ms == {0: 10_000, 60: 60_000, 86_400: 600_000}[waited_s]
    assert not decision.counted
    assert decision.hold is None


def test_operator_without_the_key_sees_all_but_the_data(bench: Bench, keyed: Keyed) -> None:
    ids = keyed(NEW).put(record(record={"Email": MAIL}, source="crm"))
    view = bench.view(ids[0])
    row = view.to_dict(show_data=True)
    assert (row["kind"], row["state"], row["configuration"], row["data"]) == ("record", "queued", MAPPING, None)
    assert row["sealed"] == f"job {ids[0]} is encrypted, and GAUGEPOST_DATA_KEY is not set here"
    with pytest.raises(DataSealed):
        view.data()
    with pytest.raises(DataSealed):
        view.job["record"]
    assert bench.ledger.cancel(ids)[0][1]


def test_dead_job_shows_its_verdict_when_its_messages_are_encrypted(bench: Bench, keyed: Keyed) -> None:
    [job_id] = keyed(NEW).put(record())
    [claimed] = keyed(NEW).claim()
    said = attempt(claimed, Verdict.MISSING_FIELD, message="Email is required")
    keyed(NEW).ledger.settle([Settlement(claimed, Decision(Dead(Verdict.MISSING_FIELD)), (said,))])
    with pytest.raises(JobDead) as dead:
        read_result(bench.view(job_id))
    assert (dead.value.verdict, dead.value.message) == ("missing_field", "")
    with pytest.raises(JobDead, match="Email is required"):
        read_result(keyed(NEW).view(job_id))


def test_warnings_are_our_own_words_to_which_the_script_may_add(bench: Bench, keyed: Keyed) -> None:
    sealed = keyed(NEW)
    ids = sealed.put(*(case(n, happened_at=f"2026-01-0{day} 00:00:00") for n, day in ((1, 2), (1, 1))))
    for _ in ids:
        [claimed] = sealed.claim()
        sealed.settle(claimed, Delivered({"status": True}, ("ours",)))
    first, second = (bench.view(job_id).warnings for job_id in ids)
    assert (first, second[0], len(second)) == (("ours",), "ours", 2)


def test_hold_on_a_mapping_applies_to_encrypted_jobs(keyed: Keyed) -> None:
    sealed = keyed(NEW)
    ids = sealed.put(record(), record(), record(configuration="other"))
    [first] = sealed.claim(1)
    hold = mapping_hold(MAPPING)
    sealed.settle(first, Parked(1000, "unknown_mapping"), verdict=Verdict.UNKNOWN_MAPPING, hold=hold)
    assert sealed.claim_ids() == [ids[2]]
    assert sealed.view(ids[1]).reason == "unknown_mapping"


def test_jobs_under_way_survive_a_rotation_of_keys(keyed: Keyed) -> None:
    before, between, after = keyed(OLD), keyed(NEW, OLD), keyed(NEW)
    old = before.put(record(record={"Email": MAIL}), upload(content=b"Email\nold@y.example\n"))
    new = between.put(record(record={"Email": "new@y.example"}))
    claimed = {one.id: one for one in between.claim()}
    assert not any(isinstance(one.job, SealedJob) for one in claimed.values())
    assert between.ledger.file_sets.content(old[1]) == b"Email\nold@y.example\n"
    between.settle(claimed[old[0]], Dead(Verdict.MISSING_FIELD), verdict=Verdict.MISSING_FIELD)
    assert between.settle(claimed[new[0]])
    between.settle(claimed[old[1]], Delivered({"total": 1}))
    assert between.ledger.replay(old[:1])[0][1]
    [again] = between.claim()
    assert again.job == record(record={"Email": MAIL})
    between.settle(again, Delivered({"n": 1}))
    assert between.view(old[0]).result == {"n": 1}
    assert after.view(new[0]).sealed is None
    assert "a key that GAUGEPOST_DATA_KEY does not have" in after.view(old[0]).sealed


def test_edited_job_is_encrypted_under_the_newest_key(bench: Bench, keyed: Keyed) -> None:
    [job_id] = keyed(OLD).put(record(record={"Email": MAIL}))
    between = keyed(NEW, OLD)
    between.settle(between.claim()[0], Dead(Verdict.MISSING_FIELD), verdict=Verdict.MISSING_FIELD)
    edit = Edit(record(record={"Email": MAIL, "First Name": NAME}), between.view(job_id).revision, ("First Name",))
    assert between.ledger.replay([job_id], edits={job_id: edit})[0][1]
    text = everything(bench.client)
    assert not [word for word in PERSONAL if word.encode() in text]
    assert keyed(NEW).claim()[0].job == edit.job


def lost_by(sealed: Bench, other: Bench, job: JobBase, *, marked: bool) -> tuple[str, str | None]:
    """Kill the worker with the key while it holds a job, and let a worker without the key take the job back."""
    [job_id] = sealed.put(job)
    [claimed] = sealed.claim()
    if marked:
        assert sealed.ledger.mark(claimed) == (1, 0)
    sealed.clock.go(LEASE_MS + 1)
    [lost] = [one for one in other.ledger.ended_leases() if one.claimed.id == job_id]
    assert isinstance(lost.claimed.job, SealedJob)
    assert other.ledger.settle([judge_lost(lost, {})], rescue=True) == [True]
    view = other.view(job_id)
    return str(view.state), view.reason


def test_rescuer_without_data_key_decides_like_one_with_it(keyed: Keyed) -> None:
    sealed, other = keyed(NEW), keyed()
    assert lost_by(sealed, other, record(), marked=False) == ("parked", "lost_answer")
    assert lost_by(sealed, other, response(), marked=True) == ("unknown", "answer lost")
    assert lost_by(sealed, other, response(), marked=False)[0] == "queued"
    assert sealed.settle(sealed.claim()[0])
    assert lost_by(sealed, other, upload(), marked=True) == ("parked", "lost_answer")
    sealed.tick(SLOT_MS)
    assert {one.phase for one in sealed.claim() if one.job.kind == "file"} == {"lookup"}


def test_file_set_and_its_staged_contents_are_encrypted(bench: Bench, keyed: Keyed) -> None:
    sealed = keyed(NEW)
    files, entries = file_set(2)
    files = FileSet(files.id, "eu", files.family, "quill-contacts.csv", files.sha256, files.rows, files.parts)
    for entry in entries:
        sealed.ledger.file_sets.stage(entry.id, f"Email\n{MAIL}\n".encode())
    assert sealed.ledger.file_sets.enqueue(files, entries, again=False, first=False) == files.id
    text = everything(bench.client)
    assert b"quill-contacts" not in text
    assert b"e.part-1-of-2.csv" not in text
    assert sealed.ledger.file_sets.find(files.id) == files
    assert sealed.ledger.file_sets.content(files.parts[0]) == f"Email\n{MAIL}\n".encode()
    with pytest.raises(DataSealed, match=f"upload {files.id} is encrypted"):
        bench.ledger.file_sets.find(files.id)
    with pytest.raises(DataSealed):
        bench.ledger.file_sets.content(files.parts[0])


def test_the_limit_of_contents_counts_what_is_stored(bench: Bench, keyed: Keyed) -> None:
    [job_id] = keyed(NEW).put(upload(content=b"Email\n" + os.urandom(2000).hex().encode() + b"\n"))
    stored = bench.client.strlen(f"gaugepost:{{eu}}:content:{job_id}")
    assert int(bench.client.get("gaugepost:{eu}:content_bytes")) == stored


def test_idempotency_key_is_recognised_under_any_data_key(bench: Bench, keyed: Keyed) -> None:
    ids = keyed(OLD).put(record(idempotency_key="k"))
    assert keyed(NEW).put(record(idempotency_key="k")) == ids
    assert bench.put(record(idempotency_key="k")) == ids


def test_producer_encrypts_as_its_settings_say() -> None:
    settings = Settings.load(redis_url="redis://127.0.0.1:1", data_key=NEW)
    assert Producer(settings).ledger(record().region).producer_calls.cipher.encrypts
