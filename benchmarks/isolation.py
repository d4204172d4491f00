"""Measure whether trouble in one region or source delays another one, from enqueue to effect.

    python benchmarks/isolation.py [region|fairness|batch|all] [ROUNDS]

`region`: `au` cannot be reached and 50,000 jobs wait there, while urgent jobs go to `eu`. `fairness`: one source
enqueues 100,000 records in `eu`, while another one enqueues a normal and an urgent job there every 100 ms. `batch`: the
canary of 100,000 wrong records has stopped them, and they wait, while another source does the same.

The effect is the moment at which the simulator commits it. Both sides use this machine's clock. Rounds with and without
trouble alternate on the same workers, so other load on the machine hits both alike. Each round has its p99; the result
is the ratio of their medians. The noise is the same ratio between the odd and the even rounds without trouble. A result
within the noise proves nothing.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gaugepost import PersonalLink, Record, Region
from gaugepost.jobs import JobBase
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

ROUNDS = 6
"""Rounds with trouble, and as many without."""
STUCK, BULK = 50_000, 100_000
MAPPING = "multi-object"
Make = Callable[[int], JobBase]
Latencies = dict[str, list[float]]
"""Sort of job → ms from enqueue to effect."""


def record(n: int, region: Region = Region.EU, source: str = "bulk") -> Record:
    return Record(region=region, configuration=MAPPING, record={"Email": f"p{n}@example.net"}, source=source)


def normal(n: int) -> Record:
    return record(n, source="desk")


def urgent(n: int) -> PersonalLink:
    row = {"Email": f"u{n}@example.net"}
    return PersonalLink(region=Region.EU, configuration=MAPPING, record=row, source="desk")


def fill(stack: Stack, region: Region, count: int) -> None:
    for _ in stack.producer.enqueue_many(record(n, region) for n in range(count)):
        pass


class Experiment:
    """Runs rounds with and without trouble on one stack, and keeps their latencies."""

    def __init__(self, stack: Stack, makers: Mapping[str, Make], samples: int, every_s: float) -> None:
        self.stack = stack
        self._makers, self._samples, self._every_s = makers, samples, every_s
        self._numbers = itertools.count()
        self.rounds: dict[bool, list[Latencies]] = {False: [], True: []}

    def clean(self) -> None:
        """Delete all jobs, then run some, so that tokens, connections and configurations are warm."""
        with self.stack.redis.client() as client:
            client.flushall()
        self.stack.sim.reset(keep=("knobs", "faults", "tokens"))
        for _, make in itertools.product(range(20), self._makers.values()):
            self.stack.producer.enqueue(make(next(self._numbers))).result(timeout=60)

    def round(self, *, troubled: bool) -> None:
        """Enqueue jobs of each sort at even intervals, and wait until all have arrived."""
        begun = int(self.stack.sim.state()["effects"])
        sent: dict[str, tuple[str, float]] = {}
        start = time.monotonic()
        for n in range(self._samples):
            time.sleep(max(0.0, start + n * self._every_s - time.monotonic()))
            for sort, make in self._makers.items():
                job, at = make(next(self._numbers)), time.time()
                sent[self.stack.producer.enqueue(job).id] = sort, at
        arrived = self._arrivals(set(sent), begun)
        latencies: Latencies = defaultdict(list)
        for job_id, (sort, at) in sent.items():
            latencies[sort].append(1000 * (arrived[job_id] - at))
        self.rounds[troubled].append(latencies)

    def _arrivals(self, ids: set[str], after: int) -> dict[str, float]:
        arrived: dict[str, float] = {}

        def all_arrived() -> bool:
            nonlocal after
            for effect in self.stack.sim.effects(region="eu", after=after):
                after = effect["n"]
                arrived.setdefault(effect["idempotency_key"], effect["at"])
            return ids <= arrived.keys()

        wait_until(all_arrived, within=900, what="all measured jobs have arrived")
        return arrived

    def print_report(self) -> None:
        for sort in self._makers:
            without, with_ = ([p99(one[sort]) for one in self.rounds[troubled]] for troubled in (False, True))
            before, after = statistics.median(without), statistics.median(with_)
            halves = sorted((statistics.median(without[::2]), statistics.median(without[1::2])))
            middle = [statistics.median(ms for one in self.rounds[t] for ms in one[sort]) for t in (False, True)]
            print(f"  {sort}: p50 {middle[0]:.1f} → {middle[1]:.1f} ms, p99 {before:.1f} → {after:.1f} ms: ratio "
                  f"{after / before:.2f}, noise {halves[1] / halves[0]:.2f}")  # fmt: skip
            print(f"      p99 of each round: without {whole(without)}, with {whole(with_)}")


def p99(latencies: Sequence[float]) -> float:
    return statistics.quantiles(latencies, n=100, method="inclusive")[98]


def whole(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.0f}" for number in numbers)


def take_turns(experiment: Experiment, trouble: Callable[[], None], rounds: int) -> None:
    for n in range(rounds):
        for troubled in (False, True) if n % 2 else (True, False):  # alternate which one is first
            experiment.clean()
            if troubled:
                trouble()
            experiment.round(troubled=troubled)
    experiment.print_report()


def stacks() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        yield stack


def region(rounds: int) -> None:
    print(f"au unreachable with {STUCK:,} jobs queued there; the target for eu is a ratio of at most 1.2")
    nowhere = f"http://127.0.0.1:{free_port()}/{{region}}"
    for stack in stacks():
        own = stack.variables  # only au's worker gets URLs where no server listens
        stack.variables = own | {f"GAUGEPOST_{name}_URL": nowhere for name in ("AUTH", "IMPORTS", "API")}
        stack.worker("au")
        stack.variables = own
        stack.worker("eu")
        stack.beat()

        def trouble(stack: Stack = stack) -> None:
            fill(stack, Region.AU, STUCK)
            wait_until(lambda: stack.counts("au")["holds"], what="au's breaker has opened")

        take_turns(Experiment(stack, {"urgent in eu": urgent}, samples=500, every_s=0.02), trouble, rounds)


def fairness(rounds: int) -> None:
    print(f"{BULK:,} records of one source in eu, an exchange takes 50 ms; another source's latency")
    for stack in stacks():
        stack.sim.knobs(latency_ms={"all": 50})
        stack.worker("eu")
        stack.beat()
        makers: dict[str, Make] = {"normal": normal, "urgent": urgent}

        def trouble(stack: Stack = stack) -> None:
            fill(stack, Region.EU, BULK)

        take_turns(Experiment(stack, makers, samples=150, every_s=0.1), trouble, rounds)


def requests(stack: Stack) -> int:
    """Return how many requests CustomerGauge got, without those for tokens."""
    counts: Any = stack.sim.state()["requests"]
    return sum(number for name, number in counts.items() if ".token." not in name)


def batch(rounds: int) -> None:
    print(f"{BULK:,} records without a required column wait for their canary; the target is a ratio of at most 1.1")
    for stack in stacks():
        stack.sim.knobs(mappings={"named": {"required": ["Email", "Name"]}})
        stack.worker("eu")
        stack.beat()
        met: list[int] = []

        def trouble(stack: Stack = stack, met: list[int] = met) -> None:
            before = requests(stack)
            wrong = (record(n).model_copy(update={"configuration": "named"}) for n in range(BULK))
            stack.producer.enqueue_many(wrong, batch="wrong", canary=50)
            wait_until(lambda: "not clean" in stopped(stack), what="the canary has stopped the batch")
            wait_until(lambda: is_indexed(stack), within=300, what="workers have indexed the batch")
            met.append(requests(stack) - before)
            print(f"  {stopped(stack)}; {stack.producer.batch('wrong').held:,} wait")

        take_turns(Experiment(stack, {"normal": normal, "urgent": urgent}, samples=300, every_s=0.05), trouble, rounds)
        print(f"  requests of the {BULK:,} records in each round: {whole(met)}")


def is_indexed(stack: Stack) -> bool:
    """Return whether no arrival is left: indexing 100,000 jobs takes a tenth of Redis' time for some seconds."""
    with stack.redis.client() as client:
        return client.llen(stack.producer.ledger(Region.EU).keys["arrivals"]) == 0


def stopped(stack: Stack) -> str:
    """Return the reason of the batch's hold; empty if it has none."""
    hold = stack.producer.ledger(Region.EU).holds().get("batch:wrong")
    return hold.reason if hold else ""


def main(which: str, rounds: int) -> None:
    for name, experiment in (("region", region), ("fairness", fairness), ("batch", batch)):
        if which in {name, "all"}:
            experiment(max(2, rounds))


if __name__ == "__main__":
    which, rounds = [*sys.argv[1:], *["all", str(ROUNDS)][len(sys.argv) - 1 :]]
    main(which, int(rounds))
