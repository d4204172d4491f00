"""Files that were sent to the console and not confirmed: they are deleted when their time is over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from gaugepost_ops.web.console.file_plans import MOST, FilePlans
from gaugepost_ops.web.files import NewFile
from support.wait import wait_until

WANTED = NewFile(region="eu", family="contact")  # type: ignore[arg-type]  # texts, as in a form


def add(plans: FilePlans, parent: Path) -> tuple[str, Path]:
    """Add a file. Return its token and its folder."""
    folder = TemporaryDirectory(dir=parent)
    path = Path(folder.name) / "people.csv"
    path.write_text("Email\njoe@example.com\n")
    return plans.add("ann", WANTED, path, folder), Path(folder.name)


def test_unconfirmed_file_is_deleted_without_a_further_upload(tmp_path: Path) -> None:
    async def scenario() -> None:
        plans = FilePlans(kept_s=0.05)
        token, folder = add(plans, tmp_path)
        assert (folder / "people.csv").exists()
        await asyncio.to_thread(wait_until, lambda: not folder.exists())
        assert plans.take(token, "ann") is None

    asyncio.run(scenario())


def test_taken_file_is_not_deleted_under_the_person_who_confirms(tmp_path: Path) -> None:
    async def scenario() -> None:
        plans = FilePlans(kept_s=0.05)
        kept = plans.take(add(plans, tmp_path)[0], "ann")
        assert kept is not None
        _, later = add(plans, tmp_path)
        await asyncio.to_thread(wait_until, lambda: not later.exists())
        assert kept.path.exists()
        plans.give_back("token", kept)
        assert not kept.path.exists(), "its time is over"

    asyncio.run(scenario())


def test_file_that_could_not_be_queued_can_be_confirmed_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        plans = FilePlans()
        token, folder = add(plans, tmp_path)
        kept = plans.take(token, "ann")
        assert kept is not None
        plans.give_back(token, kept)
        assert plans.take(token, "bob") is None
        assert plans.take(token, "ann") is kept
        assert folder.exists()

    asyncio.run(scenario())


def test_oldest_file_gives_way_to_a_further_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        plans = FilePlans()
        folders = [add(plans, tmp_path)[1] for _ in range(MOST + 2)]
        assert [one.exists() for one in folders] == [False] * 2 + [True] * MOST

    asyncio.run(scenario())
