"""Steps of producers in a random history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

from gaugepost.ledger import Entry
from gaugepost.together import ALONE, Together
from support.factories import case, file_delete, file_set, link, record, upload
from support.region_history.model import FILE_CONTENT, RegionHistory, Seen


def make_job(kind: str, mapping: int, **more: Any) -> Any:
    more["source"] = (None, "bulk")[mapping]
    match kind:
        case "record":
            return record(configuration=f"m{mapping}", **more)
        case "link":
            return link(configuration=f"m{mapping}", **more)
        case "case":
            return case(mapping, **more)
        case "file_delete":
            return file_delete(**more)
        case _:
            return upload(content=FILE_CONTENT, **more)


KINDS = st.sampled_from(["record", "link", "case", "case", "file_delete", "file"])


class ProducerRules(RegionHistory):
    """Producers enqueue jobs and file sets, and repeat calls."""

    @rule(
        kinds=st.lists(st.tuples(KINDS, st.integers(0, 1)), min_size=1, max_size=4),
        key=st.sampled_from([None, None, "k1", "k2"]),
        times=st.sampled_from([(None, None)] * 3 + [(None, 30), (None, 400), (20, None), (300, None), (20, 400)]),
        together=st.sampled_from([ALONE] * 3 + [Together.of("b1"), Together.of("b2", 2, 50), Together.of("b3", 3)]),
    )
    def enqueue(
        self,
        kinds: list[tuple[str, int]],
        key: str | None,
        times: tuple[int | None, int | None],
        together: Together,
    ) -> None:
        deliver_at, expires_at = map(self._in_seconds, times)
        more = {"deliver_at": deliver_at, "expires_at": expires_at, "idempotency_key": key}
        jobs = [together.named(make_job(kind, mapping, **more)) for kind, mapping in kinds]
        entries = [Entry.of(job, None, together.canary) for job in jobs]
        for entry, accepted in zip(entries, self.bench.ledger.enqueue(entries), strict=True):
            if entry.job.idempotency_key in self.keys:
                assert accepted.duplicate
                assert accepted.id == self.keys[key or ""]
                continue
            assert (accepted.id, accepted.duplicate) == (entry.id, False)
            due = int(deliver_at.timestamp() * 1000) if deliver_at else 0
            self.jobs[entry.id] = Seen(len(self.jobs), entry.job.lane, due)
            self.entries.append(entry)
            if key:
                self.keys[key] = entry.id

    def _in_seconds(self, seconds: int | None) -> datetime | None:
        return datetime.fromtimestamp(self.bench.clock.ms / 1000 + seconds, UTC) if seconds else None

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0))
    def repeat_an_enqueue(self, which: int) -> None:
        entry = self.entries[which % len(self.entries)]
        before = self.bench.truth()
        if entry.id not in before.jobs and entry.job.idempotency_key is None:
            return  # forgotten by now: no client repeats a call for an hour
        self.bench.ledger.enqueue([entry])
        assert self.bench.truth().jobs == before.jobs

    @rule(parts=st.integers(1, 3), content=st.sampled_from("ab"), again=st.booleans(), first=st.booleans())
    def enqueue_a_set(self, parts: int, content: str, again: bool, first: bool) -> None:
        files, entries = file_set(parts, content=content)
        for entry in entries:
            self.bench.ledger.file_sets.stage(entry.id, FILE_CONTENT)
        times = 2 if again else 1
        ids = {self.bench.ledger.file_sets.enqueue(files, entries, again=again, first=first) for _ in range(times)}
        self.bench.ledger.file_sets.unstage(files.parts)  # also after an answer that was lost: what was accepted stays
        if content in self.sets and not again:
            assert ids == {self.sets[content]}
            return
        assert ids == {files.id}
        self.sets[content] = files.id
        for entry in entries:
            self.jobs[entry.id] = Seen(len(self.jobs), "files")
