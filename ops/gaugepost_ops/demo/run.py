"""Run the demo once, from the first process to the exit code."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gaugepost.client import Producer
from gaugepost.errors import GaugepostError, StoreUnreachable
from gaugepost_ops.demo import report, scenarios
from gaugepost_ops.demo.bulk_steps import BulkSteps
from gaugepost_ops.demo.control import answers
from gaugepost_ops.demo.environment import Environment, ignored
from gaugepost_ops.demo.gateway import is_installed
from gaugepost_ops.demo.job_runner import JobRunner
from gaugepost_ops.demo.kept_jobs import enqueue_kept_jobs
from gaugepost_ops.demo.report import Fact, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.ledger.finding import Found
    from gaugepost_ops.demo.outcome import Outcome

_JOBS = len((*scenarios.KINDS, *scenarios.SCHEDULED, *scenarios.FAILURES, *scenarios.THROTTLED)) + 5
_SHOWN_NAMES = 3
_LOOK_S = 0.5
_DONE, _FAILED, _NO_REDIS, _INTERRUPTED = 0, 1, 3, 130


def run_demo(*, keep: bool = False) -> int:
    """Run the demo and return its exit code; with `keep`, only after Ctrl-C or SIGTERM."""
    with _signals():
        try:
            with Environment() as environment:
                code = _perform(environment, keep=keep)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            return _INTERRUPTED
        except (GaugepostError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return _NO_REDIS if isinstance(error, StoreUnreachable) else _FAILED
        with suppress(OSError):  # the demo may have ended because its terminal was closed
            report.hint(kept=keep)
        return code


class _Interrupted(KeyboardInterrupt):
    """A signal that ends the demo.

    After a plain KeyboardInterrupt inside `exec`, which an import may use, `python -m` ends by SIGINT, with no exit
    code, even if it was handled.
    """


@contextmanager
def _signals() -> Iterator[None]:
    """Handle SIGTERM and a closed terminal as Ctrl-C, so that the demo stops all its processes."""

    def interrupt(*_: object) -> None:
        raise _Interrupted

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _perform(environment: Environment, *, keep: bool) -> int:
    started = time.monotonic()
    reporter = Reporter(_JOBS)
    with reporter.bar(), Producer(environment.settings()) as producer:
        _start_environment(environment, producer, reporter)
        runner = JobRunner(environment, producer, reporter)
        runner.run()
        bulk = BulkSteps(environment, producer, reporter).run()
        found = producer.find(email=scenarios.FOUND_EMAIL)
    state = environment.control.state()
    effects = environment.control.effects()
    outcomes = [outcome.holding(effects) for outcome in runner.outcomes]
    outcomes.sort(key=_place)
    as_it_must_be = report.show(outcomes, [*_facts(environment, state, effects, outcomes, found), *bulk])
    seconds = time.monotonic() - started
    report.close(outcomes, sum(state["requests"].values()), seconds, as_it_must_be=as_it_must_be)
    if keep:
        with Producer(environment.settings()) as producer:
            enqueue_kept_jobs(producer)
        _keep(environment)
    return _DONE if as_it_must_be else _FAILED


def _start_environment(environment: Environment, producer: Producer, reporter: Reporter) -> None:
    if names := ignored():
        more = ", …" if len(names) > _SHOWN_NAMES else ""
        reporter.step(f"your own settings are ignored: {', '.join(names[:_SHOWN_NAMES])}{more}")
    parts = "three workers, beat, Flower and the gateway" if is_installed() else "three workers, beat and Flower"
    reporter.step(f"Redis runs in {environment.folder}; now {parts} start")
    if not is_installed():
        reporter.step("the HTTP gateway is left out, since it needs more: pip install 'gaugepost[web]'")
    environment.start_parts()
    environment.start_gateway(producer)


def _place(outcome: Outcome) -> int:
    """Return the place of a scenario in the table: kinds first, then failures."""
    order = (
        *scenarios.KINDS,
        scenarios.DELETE,
        *scenarios.SCHEDULED,
        scenarios.OVER_HTTP,
        *scenarios.FAILURES,
        scenarios.UNREACHABLE,
        scenarios.UNAUTHENTICATED,
        *scenarios.THROTTLED,
    )
    titles = [scenario.title for scenario in order]
    title = outcome.scenario.title
    return titles.index(title) if title in titles else len(titles)


def _facts(
    environment: Environment,
    state: dict[str, Any],
    effects: list[dict[str, Any]],
    outcomes: list[Outcome],
    found: Found,
) -> Iterator[Fact]:
    tokens = state["tokens_issued"]
    counts = ", ".join(f"{region} {number}" for region, number in tokens.items())
    yield Fact(
        f"tokens fetched: {counts} (one a region, and one when they were revoked)",
        tokens == {"eu": 2, "us": 1, "au": 1},
    )
    statuses = [effect["body"]["status"] for effect in effects if _is_of_case(effect, "53499")]
    yield Fact(f"order of the case's statuses: {', '.join(statuses)}", statuses == ["open", "progress", "closed"])
    uploads = [effect["received_at"] for effect in effects if effect["kind"] == "file"]
    apart = f"{uploads[-1] - uploads[0]:.1f} s apart" if len(uploads) > 1 else "missing"
    yield Fact(f"two files of a region: {apart}", len(uploads) > 1 and not any(state["limits_broken"].values()))
    twice, lost = sum(state["doubled"].values()), sum(_was_sent_again(outcome) for outcome in outcomes)
    yield Fact(f"sent twice: {twice}, each because its answer was lost", twice == lost)
    ids = {outcome.id for outcome in outcomes if scenarios.FOUND_EMAIL in str(outcome.scenario.job)} - {""}
    yield Fact(
        f"found by the address {scenarios.FOUND_EMAIL}: {len(found)} jobs",
        {job.id for job in found} == ids,
    )
    for name, url in environment.probes().items():
        yield Fact(f"{name} answers", answers(url))


def _is_of_case(effect: dict[str, Any], number: str) -> bool:
    return effect["kind"] == "close_loop" and str(effect["body"]["number_customergauge"]) == number


def _was_sent_again(outcome: Outcome) -> bool:
    return outcome.verdicts == ("lost_answer", "delivered")


def _keep(environment: Environment) -> None:
    """Print the addresses, and wait for Ctrl-C. Raises DemoFailed if a process ends."""
    report.print_addresses(environment)
    try:
        while True:
            environment.check()
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        return
