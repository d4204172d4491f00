"""The group of all commands: a table of names. A command's module is imported only when the command is called.

The table names functions as text (`module:name`). So `gaugepost --help` takes less than half a second, and it works on
a machine that has neither Celery nor Flower.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from gaugepost_ops.cli.common import Exit, Failure, reported_errors

if TYPE_CHECKING:
    from collections.abc import Callable

_OUR_PACKAGES = frozenset({"gaugepost", "gaugepost_ops", "gaugepost_simulator", "gaugepost_tasks", "gaugepost_workers"})


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its function (`module:name`), its summary in `--help`, and the extra of the package that it needs."""

    target: str
    summary: str
    extra: str = "cli"
    panel: str = "Jobs"
    passes_options_on: bool = False
    """Whether the command passes options that it does not know to another program."""


_PARTS = "Processes"

COMMANDS: dict[str, Command] = {
    "enqueue": Command(
        "gaugepost_ops.cli.jobs.enqueue:enqueue", "Queue jobs from a file of JSON lines, or from stdin."
    ),
    "upload": Command("gaugepost_ops.cli.uploads.upload:upload", "Check and split a file of any length, and queue it."),
    "uploads": Command(
        "gaugepost_ops.cli.uploads.uploads:app", "Show the upload lanes; rejected rows and undo of an upload."
    ),
    "job": Command("gaugepost_ops.cli.jobs.job:job", "Show everything about one job, or one upload."),
    "jobs": Command("gaugepost_ops.cli.jobs.jobs:jobs", "List jobs: all, or by state, kind, verdict and more."),
    "find": Command("gaugepost_ops.cli.jobs.find:find", "Find jobs by an address, an order number, a case and more."),
    "batch": Command("gaugepost_ops.cli.jobs.batches:batch", "Show the jobs of a batch, and its canary."),
    "batches": Command("gaugepost_ops.cli.jobs.batches:batches", "List batches: jobs enqueued under one name."),
    "cancel": Command(
        "gaugepost_ops.cli.jobs.cancel:cancel", "Cancel jobs, or the rest of an upload, before they are sent."
    ),
    "replay": Command("gaugepost_ops.cli.jobs.replay:replay", "Queue dead or parked jobs again."),
    "settle": Command("gaugepost_ops.cli.jobs.settle:settle", "Record what became of jobs whose answer was lost."),
    "erase": Command("gaugepost_ops.cli.jobs.erase:erase", "Remove a person: cancel jobs, and delete what others say."),
    "schema": Command("gaugepost_ops.cli.jobs.schema:schema", "Print the JSON Schema of every job."),
    "mappings": Command(
        "gaugepost_ops.cli.operations.mappings:mappings",
        "Compare mappings.toml with the fields that jobs sent.",
        panel="Operation",
    ),
    "status": Command(
        "gaugepost_ops.cli.operations.status:status",
        "Show each region: how many jobs wait, why, and for how long.",
        panel="Operation",
    ),
    "hold": Command(
        "gaugepost_ops.cli.operations.holds:hold", "Stop sending to a region or a configuration.", panel="Operation"
    ),
    "resume": Command("gaugepost_ops.cli.operations.holds:resume", "Lift a hold.", panel="Operation"),
    "holds": Command("gaugepost_ops.cli.operations.holds:holds", "List all holds.", panel="Operation"),
    "operations": Command(
        "gaugepost_ops.cli.operations.operations:app",
        "List, pause, resume and abort bulk actions of workers.",
        panel="Operation",
    ),
    "keys": Command(
        "gaugepost_ops.cli.operations.keys:app",
        "Create, list and revoke keys of the HTTP gateway.",
        panel="Operation",
    ),
    "users": Command(
        "gaugepost_ops.cli.operations.users:app",
        "Add, list and remove the people who sign in to the console.",
        "web",
        "Operation",
    ),
    "webhooks": Command(
        "gaugepost_ops.cli.operations.webhooks:app",
        "Tell other services by HTTP when jobs end and holds open.",
        panel="Operation",
    ),
    "audit": Command(
        "gaugepost_ops.cli.operations.audit:audit", "List who did what: changes and shown data.", panel="Operation"
    ),
    "move": Command("gaugepost_ops.cli.operations.move:move", "Move a region to another Redis.", panel="Operation"),
    "health": Command(
        "gaugepost_ops.cli.operations.health:app", "Check whether a process or a region is well.", panel="Operation"
    ),
    "check": Command(
        "gaugepost_ops.cli.processes.commands:check", "Check settings, Redis and credentials.", "worker", "Operation"
    ),
    "demo": Command(
        "gaugepost_ops.cli.processes.commands:demo",
        "Run everything on this machine, with one job of every kind.",
        "worker,simulator,embedded,web",
        _PARTS,
    ),
    "up": Command(
        "gaugepost_ops.cli.processes.commands:up", "Run everything: workers, beat and Flower.", "worker", _PARTS
    ),
    "worker": Command("gaugepost_ops.cli.processes.commands:worker", "Run a worker of one region.", "worker", _PARTS),
    "exporter": Command(
        "gaugepost_ops.cli.processes.commands:exporter", "Serve the ledger's metrics to Prometheus.", "metrics", _PARTS
    ),
    "serve": Command(
        "gaugepost_ops.web.command:serve",
        "Serve the HTTP gateway, for services in any language.",
        "web",
        _PARTS,
    ),
    "beat": Command(
        "gaugepost_ops.cli.processes.commands:beat",
        "Run beat, which sends the workers' ticks.",
        "worker",
        _PARTS,
    ),
    "flower": Command(
        "gaugepost_ops.cli.processes.commands:flower", "Run Flower, the dashboard of jobs.", "worker", _PARTS
    ),
    "simulate": Command(
        "gaugepost_ops.cli.processes.simulate:simulate",
        "Run the CustomerGauge simulator alone.",
        "simulator",
        _PARTS,
        passes_options_on=True,
    ),
}


def _missing_extra(error: ModuleNotFoundError, name: str) -> Failure:
    """Return the failure for a missing extra. If one of our own modules is missing, raise `error`: that is a bug."""
    if (error.name or "").partition(".")[0] in _OUR_PACKAGES:
        raise error
    missing = f"gaugepost {name} needs a package that is not installed ({error.name})"
    return Failure(Exit.USAGE, missing, f"pip install 'gaugepost[{COMMANDS[name].extra}]'")


def load(name: str) -> TyperCommand | TyperGroup:
    """Import the function, or the group, of the command `name`, and return a command that calls it.

    Raises Failure if the command's extra is not installed.
    """
    command = COMMANDS[name]
    module, _, attribute = command.target.partition(":")
    try:
        function: Callable[..., Any] | typer.Typer = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise _missing_extra(error, name) from None
    if isinstance(function, typer.Typer):
        group = cast("TyperGroup", typer.main.get_command(function))
        group.name = name
        return group
    settings = {"ignore_unknown_options": True, "allow_extra_args": True} if command.passes_options_on else None
    alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    alone.command(name, context_settings=settings)(function)
    return cast("TyperCommand", typer.main.get_command(alone))


class Gaugepost(TyperGroup):
    """The group of all commands. Each command is a stub with a summary until it is called."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**attributes)
        for name, command in COMMANDS.items():
            self.add_command(
                TyperCommand(name, help=command.summary, rich_help_panel=command.panel, rich_markup_mode="markdown")
            )

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - typer's own
        """List the commands in the order of the table: the most used first."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's own
        """Load only the command that is called."""
        if args and args[0] in COMMANDS:
            # A shell that asks for completions must not print an error. It gets the options of the stub.
            with suppress(Failure) if ctx.resilient_parsing else nullcontext():
                self.add_command(load(args[0]), args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> None:  # noqa: ANN401 - typer's own
        """Run the command. If it returns a number, that is the exit code."""
        with reported_errors():
            try:
                code = super().invoke(ctx)
            except ModuleNotFoundError as error:  # some commands import their extra only when they run
                raise _missing_extra(error, ctx.invoked_subcommand) from None
            except typer.BadParameter as error:
                error.message = error.message.removeprefix("Value error, ")  # pydantic adds it
                raise
        if isinstance(code, int) and code:
            raise typer.Exit(code)


def _version() -> str:
    try:
        return version("gaugepost")
    except PackageNotFoundError:
        return "(not installed: run from its sources)"


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer calls it
    if value:
        sys.stdout.write(f"gaugepost {_version()}\n")
        raise typer.Exit


def _root(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Deliver jobs to CustomerGauge.

    Settings come from the environment (GAUGEPOST_REDIS_URL and others) and from a .env file. Every listing has
    --json. Exit codes: 0 done, 1 something failed, 2 the call or the input is wrong, 3 Redis cannot be reached, 4 Redis
    does not let gaugepost work: its user lacks a right, or it is a cluster.

    To begin:

    - `gaugepost demo` runs everything on this machine, against a simulator
    - `gaugepost enqueue jobs.jsonl > receipts.jsonl` queues jobs from a file
    - `gaugepost status --watch` shows how many jobs are in which state, and why
    """


def build() -> Gaugepost:
    """Return the group of all commands."""
    app = typer.Typer(cls=Gaugepost, no_args_is_help=True, rich_markup_mode="markdown")
    app.callback()(_root)
    return cast("Gaugepost", typer.main.get_command(app))


def run() -> None:
    """Run the command line on this process' arguments."""
    build()(prog_name="gaugepost")
