"""Run a worker that records time stamps: `python -m benchmarks.traced FILE worker --region eu`.

This process wraps the functions of the steps; gaugepost itself has no code for that. At its end it writes the time
stamps of each step to FILE, in monotonic ns, the clock of producer and stub too.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.trace import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

reached: dict[str, list[int]] = {}


def watch(step: str, place: str) -> None:
    """Record each call of `module:Class.method`, or with `:end` each return."""
    module, path, *end = place.split(":")
    *names, last = path.split(".")
    owner: Any = importlib.import_module(module)
    for name in names:
        owner = getattr(owner, name)
    setattr(owner, last, _watched(getattr(owner, last), reached.setdefault(step, []), at_end=bool(end)))


def _watched(function: Callable[..., Any], stamps: list[int], *, at_end: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **options: Any) -> Any:
        if at_end:
            answer = function(*args, **options)
            stamps.append(time.monotonic_ns())
            return answer
        stamps.append(time.monotonic_ns())
        return function(*args, **options)

    return watched


def main(file: Path) -> None:
    for step, place in STEPS.items():
        watch(step, place)
    atexit.register(lambda: file.write_text(json.dumps(reached), encoding="utf-8"))
    from gaugepost_ops.cli import main as run  # noqa: PLC0415 - after its steps are wrapped

    run()


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))
