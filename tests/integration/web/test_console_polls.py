"""What an open console gets: the part that changes, rendered once for a role; nothing while nothing changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gaugepost import Region
from gaugepost.ledger.holds import iso
from gaugepost.ledger.users import Role
from gaugepost.verdict import Verdict
from gaugepost_ops.web.console import causes
from gaugepost_ops.web.console.causes import RegionCauses, _OfRegion, _Reading
from gaugepost_ops.web.console.snapshots import Snapshot
from gaugepost_ops.web.stopping import Stopping
from support.console import Person, signed_in
from support.console_jobs import die
from support.gateway import GatewayProcess

NOW = 1_795_305_600_000
SUMMARY = {"region": "eu", "queued": 3, "beat_age_s": 1.0, "oldest_queued_s": 5.0, "oldest_age": 5.0}


def poll(person: Person, path: str, etag: str = "") -> tuple[int, str, str]:
    """Ask as an open page does. Return the status, the body and the version."""
    answer = person.get(path, HX_Request="true", **({"If_None_Match": etag} if etag else {}))
    return answer.status_code, answer.text, answer.headers["ETag"]


def test_open_page_gets_only_the_part_that_changes(ann: Person) -> None:
    whole = ann.get("/")
    status, part, etag = poll(ann, "/")
    assert (status, etag) == (200, whole.headers["ETag"])
    assert part.strip().startswith('<div id="live"')
    assert part.strip() in whole.text
    assert "<nav" in whole.text


def test_people_of_one_role_share_the_part_that_changes(gateway: GatewayProcess, ann: Person) -> None:
    bob, victor = signed_in(gateway, "bob", Role.OPERATOR), signed_in(gateway, "victor", Role.VIEWER)
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "carl")
    (_, of_ann, etag), (_, of_bob, same), (_, of_victor, other) = (poll(one, "/holds") for one in (ann, bob, victor))
    assert (of_ann, etag) == (of_bob, same)
    assert "/holds/lift" in of_ann
    assert "/holds/lift" not in of_victor
    assert poll(bob, "/holds", etag)[:2] == (304, "")
    assert poll(victor, "/holds", etag)[0] == 200 != other
    for one in ("ann", "bob"):
        assert one not in of_ann


def test_change_is_in_the_next_part(gateway: GatewayProcess, ann: Person) -> None:
    _, _, etag = poll(ann, "/holds")
    gateway.producer.ledger(Region.EU).hold("", "maintenance", "carl")
    status, part, _ = poll(ann, "/holds", etag)
    assert (status, "maintenance" in part) == (200, True)


def test_moment_that_passes_is_no_change_of_a_region() -> None:
    """The next slot of an idle lane is always now, and ages grow: neither makes consoles load the page again."""
    first = Snapshot(Region.EU, NOW, SUMMARY | {"next_slot": iso(NOW)})
    later = Snapshot(Region.EU, NOW + 2_000, SUMMARY | {"next_slot": iso(NOW + 2_000), "beat_age_s": 3.0})
    assert (first.version, first.next_slot) == (later.version, None)
    assert Snapshot(Region.EU, NOW, SUMMARY | {"queued": 4}).version != first.version
    waits = replace(later, summary=SUMMARY | {"next_slot": iso(NOW + 60_000)})
    assert (waits.version != first.version, waits.next_slot) == (True, NOW + 60_000)


def test_reading_in_which_nothing_has_changed_keeps_the_causes(
    gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causes, "_half_minute", lambda: 0)
    die(gateway.producer, 3, Verdict.MISSING_FIELD)
    of, ledger = _OfRegion(), gateway.producer.ledger(Region.EU)

    def read() -> RegionCauses:
        _Reading(ledger, of, Stopping()).run()
        assert of.last is not None
        return of.last

    first = read()
    again = read()
    assert again.causes is first.causes, "no job was read again"
    of.last = RegionCauses(Region.EU, first.at, None)  # Redis was away meanwhile
    assert read().causes == first.causes
    die(gateway.producer, 1, Verdict.MISSING_FIELD)
    [(_, group)] = read().causes or ()
    assert group.count == 4
