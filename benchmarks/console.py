"""Measure the console over a ledger of 1,000,000 jobs: pages, their bytes, Redis' slow log, and 50 open consoles.

    python -m benchmarks.console [--quick] [--keep FOLDER] [--rounds N] [--seconds S]

A real `gaugepost serve`, a real Redis, and people with a session. Every page is asked in turn, a round a second: so no
page profits from what another request has just read. The goals: 95 % of the answers within 200 ms, at most 60 kB, no
command of 10 ms in Redis, and 50 open consoles for less than 5 % of a core. With `--keep`, the ledger is written to the
folder, and a later run reads it from there. In [brackets]: goals that are missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from benchmarks.console_browser import NAME, PASSWORD, Addresses, Browser
from benchmarks.console_ledger import Filler, Sizes
from benchmarks.gateway import RedisServer, cpu_seconds, free_port, listens, process
from gaugepost import Producer, Region, Settings
from gaugepost.ledger.scripts import load_scripts
from gaugepost.ledger.users import Role, User
from gaugepost_ops.passwords import hash_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.console_browser import Answer

CONSOLES = 50
POLL_S = 2.0
SLOW_US = 10_000
MOST_MS, MOST_BYTES, MOST_SHARE = 200, 60_000, 0.05


@dataclass
class Page:
    """The answers of one page. `took`: seconds. `size`, `packed`: bytes as sent, and if they were packed by gzip."""

    took: list[float] = field(default_factory=list)
    size: int = 0
    packed: int = 0

    def add(self, answer: Answer, took: float) -> None:
        self.took.append(took)
        self.size = max(self.size, len(answer.body))
        if not self.packed:
            self.packed = len(gzip.compress(answer.body, 6))

    def ms(self, part: float) -> float:
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * part))] * 1000

    def row(self, path: str) -> str:
        p95 = self.ms(0.95)
        slow = " [slow]" if p95 >= MOST_MS else ""
        large = " [large]" if self.size > MOST_BYTES else ""
        longest = max(self.took) * 1000
        times = f"{self.ms(0.5):6.0f} {p95:6.0f} {longest:6.0f}"
        return f"{path[:90]:90} {times} {self.size:8,} {self.packed:7,}{slow}{large}"


@dataclass(frozen=True)
class Machine:
    """The processes that are measured. `ours`, `redis`: their process ids."""

    port: int
    ours: int
    redis: int
    client: Any
    filler: Filler

    async def consoles(
        self, people: list[Browser], seconds: float, work: Callable[[Browser], Any], *, jobs: bool = False
    ) -> str:
        """Let a console of each of these people do `work`. Return the CPU of both processes in percent of a core.

        `jobs`: meanwhile jobs end in each second.
        """
        browsers = [one.another() for one in people]
        stop = threading.Event()
        ending = asyncio.create_task(asyncio.to_thread(self._end_jobs, stop)) if jobs else None
        tasks = [asyncio.create_task(_later(n * POLL_S / CONSOLES, work, one)) for n, one in enumerate(browsers)]
        await asyncio.sleep(2 * POLL_S)  # the first answers are whole pages
        before = cpu_seconds(self.ours), cpu_seconds(self.redis), time.perf_counter()
        await asyncio.sleep(seconds)
        took = time.perf_counter() - before[2]
        ours, theirs = (cpu_seconds(self.ours) - before[0]) / took, (cpu_seconds(self.redis) - before[1]) / took
        stop.set()
        failed = [one.exception() for one in tasks if one.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if ending:
            await ending
        for one in browsers:
            one.close()
        assert not failed, failed[0]
        return f"gateway {ours:.1%}, Redis {theirs:.1%}{' [dear]' if ours > MOST_SHARE else ''}"

    def _end_jobs(self, stop: threading.Event) -> None:
        while not stop.wait(0.5):
            self.filler.end_some(5)


async def _later(seconds: float, work: Callable[[Browser], Any], browser: Browser) -> None:
    await asyncio.sleep(seconds)
    await work(browser)


async def poll(path: str, browser: Browser) -> None:
    """Ask for a page every 2 s as an open console does: with the version that it shows."""
    etag = ""
    while True:
        answer = await browser.ask(path, HX_Request="true", If_None_Match=etag)
        assert answer.status in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}, answer
        etag = answer.headers.get("etag", etag)
        await asyncio.sleep(POLL_S)


async def follow(path: str, browser: Browser) -> None:
    """Show a job as an open console does: read its events, and ask for the page again after each."""
    pages = browser.another()
    try:
        while True:
            reader, _ = await browser.begin(f"{path}/events", Accept="text/event-stream")
            while line := await reader.readline():
                if line.startswith(b"event: changed"):
                    assert (await pages.ask(path, HX_Request="true")).status == HTTPStatus.OK
            browser.close()
            await asyncio.sleep(1)
    finally:
        pages.close()


async def ask_all(browser: Browser, paths: list[str], rounds: int) -> Mapping[str, Page]:
    """Ask for all pages in turn, a round a second at most: what the gateway keeps for a second is old then."""
    pages = {path: Page() for path in paths}
    for number in range(rounds):
        began = time.perf_counter()
        for path, page in pages.items():
            asked = time.perf_counter()
            answer = await browser.ask(path)
            assert answer.status == HTTPStatus.OK, (path, answer)
            page.add(answer, time.perf_counter() - asked)
        if number % 20 == 0:
            print(f"round {number + 1} of {rounds}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
        await asyncio.sleep(max(0.0, 1.1 - (time.perf_counter() - began)))
    return pages


async def read_causes(browser: Browser) -> str:
    """Ask for the causes until they are whole. Return how long the first reading of all dead jobs takes."""
    began = time.perf_counter()
    while b"read so far" in (await browser.ask("/stuck")).body:  # noqa: ASYNC110 - another process reads them
        await asyncio.sleep(0.2)
    return f"the first reading of all causes: {time.perf_counter() - began:.1f} s"


def slow_commands(client: Any) -> Iterator[str]:
    """Yield what took 10 ms or more in Redis: the script or command, how often, and the longest, in ms."""
    names = {client.script_load(text): name for name, text in load_scripts().items()}
    found: dict[str, list[float]] = {}
    for entry in client.slowlog_get(-1):
        words = entry["command"].decode(errors="replace").split(" ", 2)
        name = names.get(words[1], "?") + ".lua" if words[0].upper() == "EVALSHA" else "single commands inside scripts"
        found.setdefault(name, []).append(entry["duration"] / 1000)
    for name, ms in sorted(found.items(), key=lambda row: -max(row[1])):
        yield f"  {name}: {len(ms)} of 10 ms or more, the longest {max(ms):.1f} ms"


def watch(client: Any) -> None:
    client.config_set("slowlog-max-len", 100_000)
    client.config_set("slowlog-log-slower-than", SLOW_US)
    client.slowlog_reset()


async def measure(machine: Machine, rounds: int, seconds: float) -> None:
    """Print all figures."""
    say = partial(print, flush=True)
    await listens(machine.port)
    watch(machine.client)
    browser = await Browser(machine.port).sign_in()
    say(await read_causes(browser))
    addresses = Addresses(machine.filler.producer, machine.client)
    pages = await ask_all(browser, addresses.all(), rounds)
    say(f"{'page':90} {'p50 ms':>6} {'p95 ms':>6} {'max ms':>6} {'bytes':>8} {'gzip':>7}")
    for path, page in sorted(pages.items(), key=lambda row: -row[1].ms(0.95)):
        say(page.row(path))
    say("commands of 10 ms or more:", *slow_commands(machine.client), sep="\n")
    job = f"/jobs/{addresses.held()}"
    before = cpu_seconds(machine.ours)
    await asyncio.sleep(seconds)
    say(f"no console is open: gateway {(cpu_seconds(machine.ours) - before) / seconds:.1%}")
    people = [await Browser(machine.port).sign_in() for _ in range(CONSOLES)]
    for what, work in (("/", partial(poll, "/")), ("/stuck", partial(poll, "/stuck")), (job, partial(follow, job))):
        for jobs in (False, True):
            found = await machine.consoles(people, seconds, work, jobs=jobs)
            say(f"{CONSOLES} consoles show {what}{', while jobs end' if jobs else ''}: {found}")
    for one in people:
        one.close()
    say("commands of 10 ms or more, with those of the consoles:", *slow_commands(machine.client), sep="\n")


@contextlib.contextmanager
def filled(folder: Path, sizes: Sizes, *, keep: bool) -> Iterator[tuple[Any, Filler, Any]]:
    """Yield a server with a ledger, the filler of the ledger, and a client."""
    server = RedisServer(folder, "--appendonly", "no").start()
    settings = Settings.given(redis_url=server.url, backlog_limit=10_000_000, store_timeout=60)
    try:
        with redis.Redis.from_url(server.url, socket_timeout=120) as client, Producer(settings) as producer:
            filler = Filler(producer, client, sizes, partial(print, file=sys.stderr, flush=True))
            if not client.dbsize():
                watch(client)
                filler.fill()
                print("commands of 10 ms or more while the ledger is filled, in calls for 200 jobs:")
                print(*slow_commands(client), sep="\n", flush=True)
                for region in Region:
                    user = User(NAME, Role.ADMIN, hash_password(PASSWORD), 1, "bench")
                    assert producer.ledger(region).users.put(user)
                if keep:
                    client.save()
            yield server, filler, client
    finally:
        server.stop()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="a hundredth of the jobs, and few rounds")
    options.add_argument("--keep", type=Path, help="the folder of the ledger")
    options.add_argument("--rounds", type=int, default=200, help="how often each page is asked")
    options.add_argument("--seconds", type=float, default=20.0, help="how long 50 consoles are watched")
    given = options.parse_args()
    sizes, rounds, seconds = (Sizes().scaled(0.01), 5, 2.0) if given.quick else (Sizes(), given.rounds, given.seconds)
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True, parents=True)
        began = time.perf_counter()
        server, filler, client = stack.enter_context(filled(folder, sizes, keep=given.keep is not None))
        summary = filler.ledger.summary()
        states = {name: number for name, number in summary.items() if isinstance(number, int) and number}
        gigabytes = client.info("memory")["used_memory"] / 1e9
        print(f"{states}, {gigabytes:.1f} GB, made in {time.perf_counter() - began:.0f} s", flush=True)
        port = free_port()
        env = {"GAUGEPOST_REDIS_URL": server.url, "GAUGEPOST_LOG_LEVEL": "warning"}
        ours = stack.enter_context(process("-m", "gaugepost_ops", "serve", "--port", str(port), env=env))
        asyncio.run(measure(Machine(port, ours.pid, server.process.pid, client, filler), rounds, seconds))


if __name__ == "__main__":
    main()
