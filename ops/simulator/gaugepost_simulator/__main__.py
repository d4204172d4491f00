"""The command line: ``python -m gaugepost_simulator --port 9000``."""

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from gaugepost_simulator.checking import SettingError
from gaugepost_simulator.environment import env_lines, environment
from gaugepost_simulator.knobs import Knobs
from gaugepost_simulator.server import ServeOptions, serve

_EXIT_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator. Return the exit code; 2 means wrong arguments."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING, format="%(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        knobs = Knobs().changed(json.loads(options.knobs.read_text("utf-8")) if options.knobs else {})
    except (OSError, ValueError) as error:
        name = "knobs" if isinstance(error, SettingError) else options.knobs
        sys.stderr.write(f"{name}: {error}\n")
        return _EXIT_USAGE
    serve_options = ServeOptions(options.host, options.port, options.allow_remote_control, options.parent)
    try:
        asyncio.run(serve(knobs, serve_options, lambda url: _announce(url, knobs, options)))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return _EXIT_USAGE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gaugepost_simulator", description="Simulate CustomerGauge's HTTP APIs.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--knobs", type=Path, metavar="FILE.json", help="knobs to start with")
    parser.add_argument("--env-file", type=Path, metavar="PATH", help="write the client's settings to this file")
    parser.add_argument("--print-env", action="store_true", help="print the client's settings after the first line")
    parser.add_argument("--allow-remote-control", action="store_true", help="let other machines use /_simulator/")
    parser.add_argument("--verbose", action="store_true", help="one line on stderr for each request")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this parent process ends")
    return parser


def _announce(url: str, knobs: Knobs, options: argparse.Namespace) -> None:
    credentials: dict[str, dict[str, str]] = {
        region: {"client_id": c.client_id, "client_secret": c.client_secret, "api_key": c.api_key}
        for region, c in knobs.credentials.items()
    }
    lines = env_lines(environment(url, credentials))
    if options.env_file:
        options.env_file.write_text(lines, "utf-8")
    # Write the file before the line: a program that waits for the line may read the file.
    sys.stdout.write(f"simulator listening on {url}\n" + (lines if options.print_env else ""))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
