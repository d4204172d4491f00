"""The commands that run processes, which need more than the client: `worker`, `beat`, `flower`, `up` and others."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import structlog
import typer

from gaugepost.connection import redis_url
from gaugepost.ledger.rights import Part
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost.settings import PREFIX, Settings
from gaugepost_ops import embedded_redis
from gaugepost_ops.cli.common import operator_settings
from gaugepost_ops.cli.output.formatting import printable
from gaugepost_ops.cli.processes.supervisor import Supervisor, end_with_supervisor, run_processes
from gaugepost_workers.observers.logs import set_up_logs
from gaugepost_workers.permissions import require_rights

log = structlog.get_logger("gaugepost.process")


def process_settings(region: Region | None = None, *, finds_embedded: bool = False) -> Settings:
    """Read the settings of a long-running process, and set up its log.

    `region`: the region of a worker, for its log. `finds_embedded`: without GAUGEPOST_REDIS_URL, use the embedded Redis
    that `up` or `demo` runs in this folder. Raises SettingsError if there is no Redis: only `up` and `demo` start one.
    """
    end_with_supervisor()
    settings = Settings.load()
    set_up_logs(settings, region)  # first, so that errors of the settings are JSON too, if the log is JSON
    running = embedded_redis.join_running() if finds_embedded and settings.redis_url is None else None
    if running is not None:
        url, folder = running
        log.info("using the embedded Redis", folder=str(folder))
        settings = Settings.load(redis_url=url)
    if running is not None or embedded_redis.keep_alive(redis_url(settings, settings.regions[0])):
        # Until the process sets its own handler. If the signal killed it outright, Redis would run on without a user.
        signal.signal(signal.SIGTERM, _end_at_once)
    return settings


def _end_at_once(*_: object) -> None:
    for folder in (embedded_redis.home(), embedded_redis.home() / embedded_redis.DEMO):
        embedded_redis.leave(folder)
    os._exit(0)


def _check_files(settings: Settings) -> None:
    """Raise SettingsError for unusable TLS files, with which the supervisor would restart its workers for ever."""
    from gaugepost_tasks.http.tls import tls_context  # noqa: PLC0415 - requests takes a while to import

    tls_context(settings.ca_file, settings.client_cert, settings.client_key)


def _settings_of_all_parts() -> Settings:
    """Read the settings of `up`. If they name no Redis, start the embedded one and pass its URL to the processes."""
    settings = Settings.load()
    set_up_logs(settings)
    if settings.redis_url is not None:
        return settings
    sys.stderr.write(f"using the embedded Redis of {embedded_redis.home()}\n")
    os.environ[f"{PREFIX}REDIS_URL"] = embedded_redis.url()
    sys.stderr.write(f"for services: export {PREFIX}REDIS_URL_FILE={shlex.quote(str(embedded_redis.url_file()))}\n")
    return Settings.load()


def worker(
    region: Annotated[Region, typer.Option(help="The region whose jobs it delivers.")],
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time in each process.")] = 16,
    processes: Annotated[int, typer.Option(min=1, help="Number of processes; one that ends is restarted.")] = 1,
) -> None:
    """Deliver the jobs of one region.

    Example: `gaugepost worker --region eu --concurrency 32 --processes 2`
    """
    from gaugepost_workers.worker import Worker  # noqa: PLC0415 - celery takes a while to import

    settings = process_settings(region)
    require_rights(settings, Part.WORKER, [region])
    if processes > 1:
        _check_files(settings)
        arguments = ["worker", "--region", region, "--concurrency", str(concurrency)]
        raise typer.Exit(run_processes(arguments, processes, settings.metrics_port))
    raise typer.Exit(Worker(settings, region, concurrency).run())


def beat() -> None:
    """Send ticks, on which workers bring back parked jobs, rescue lost jobs and open the upload slot.

    Any number of beats may run. If none runs, workers run the ticks themselves after 5 seconds.

    Example: `gaugepost beat`
    """
    from gaugepost_workers.beat import run_beat  # noqa: PLC0415

    settings = process_settings()
    require_rights(settings, Part.BEAT, settings.regions)
    run_beat()


def flower(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of its pages.")] = 5555,
    address: Annotated[
        str, typer.Option(help="The address on which it listens. Other machines can reach it only behind a login.")
    ] = "127.0.0.1",
    region: Annotated[
        Region | None, typer.Option(help="The region whose Redis it shows, if each region has its own.")
    ] = None,
    conf: Annotated[Path | None, typer.Option(help="Options of Flower itself; see ops/flowerconfig.py.")] = None,
) -> None:
    """Show workers and jobs in Flower, read-only.

    Example: `gaugepost flower --address 0.0.0.0 --port 5555`
    """
    from gaugepost_ops.flower import serve  # noqa: PLC0415 - flower takes a while to import

    settings = process_settings()
    watched = region or settings.regions[0]
    require_rights(settings, Part.FLOWER, [watched])
    serve(settings, watched, address, port, conf)


def exporter(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: GAUGEPOST_METRICS_PORT, or 9464.")
    ] = None,
) -> None:
    """Serve the metrics of all regions' ledgers to Prometheus. One exporter is enough.

    Example: `gaugepost exporter --port 9464`
    """
    from gaugepost_ops.exporter import run  # noqa: PLC0415

    settings = process_settings()
    require_rights(settings, Part.EXPORTER, settings.regions)
    raise typer.Exit(run(settings, port))


def up(
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time in each region.")] = 16,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of Flower's pages.")] = 5555,
) -> None:
    """Run workers, beat and Flower on this machine, against the configured endpoints.

    Without GAUGEPOST_REDIS_URL it starts an embedded Redis in this folder, and stops it at the end.

    Example: `gaugepost up`
    """
    settings = _settings_of_all_parts()
    _check_files(settings)
    require_rights(settings, Part.WORKER, settings.regions)
    for _, _, watched, _, its_port in _flowers(settings, port):
        sys.stderr.write(f"Flower opens at http://127.0.0.1:{its_port}/ ({watched})\n")
    raise typer.Exit(Supervisor(parts(settings, concurrency, port), settings.metrics_port).run())


def parts(settings: Settings, concurrency: int, port: int) -> list[list[str]]:
    """Return the commands of a worker for each region, beat, Flower, and with METRICS_PORT the exporter."""
    start = [sys.executable, "-m", "gaugepost_ops"]
    workers = [[*start, "worker", "--region", region, "--concurrency", str(concurrency)] for region in settings.regions]
    exporter = [] if settings.metrics_port is None else [[*start, "exporter"]]
    return [*workers, [*start, "beat"], *exporter, *([*start, *flower] for flower in _flowers(settings, port))]


def _flowers(settings: Settings, port: int) -> list[list[str]]:
    """Return Flower's arguments: once, or for each region (on consecutive ports) if each region has its own Redis."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    watched = settings.regions if "{region}" in url else settings.regions[:1]
    return [["flower", "--region", region, "--port", str(port + i)] for i, region in enumerate(watched)]


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,  # noqa: FBT002 - a flag
    part: Annotated[Part, typer.Option(help="The part whose rights in Redis it checks.")] = Part.OPERATOR,
) -> None:
    """Check settings, Redis, the rights of its user, and credentials. It sends no record.

    A worker or beat that does not run is `absent`. That is no failure, since people check before they start them.

    Example: `gaugepost check --part worker`
    """
    from gaugepost_ops.check import checks  # noqa: PLC0415

    failed = False
    for found in checks(operator_settings(), part):
        failed = failed or not found.ok
        line = json.dumps(found.to_dict()) if as_json else printable(str(found))
        sys.stdout.write(line + os.linesep)
    raise typer.Exit(1 if failed else 0)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, and print its addresses.")] = False,  # noqa: FBT002
) -> None:
    """Run everything on this machine, against a simulator: a job of every kind and every failure, and its outcome.

    Example: `gaugepost demo --keep`
    """
    from gaugepost_ops.demo import run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(keep=keep))
