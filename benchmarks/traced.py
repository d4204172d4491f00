"""A worker whose steps leave time stamps: `python -m benchmarks.traced FILE worker --region eu`.

The steps are wrapped from outside, in this process alone: gaugepost has no code for it. At its end the process writes
to FILE when each step was reached, in ns of the clock that producer and stub read too.
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
    """Note each time the function `module:Class.method` begins; with `:end` behind it, each time it returns."""
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
