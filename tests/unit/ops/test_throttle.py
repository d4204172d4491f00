"""Ctrl-C is noticed at every moment of a throttled call."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost_ops.cli.jobs.throttle import Throttle

if TYPE_CHECKING:
    from types import FrameType


def pause_with_ctrl_c_before_line(number: int) -> Throttle:
    """Wait in a throttle, and press Ctrl-C before its `number`-th line of Python runs, if it has so many lines."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == number:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    with Throttle(rate=1_000) as throttle:
        sys.settrace(trace)
        throttle.wait_until_due(20)
        sys.settrace(before)
    return throttle


@pytest.mark.timeout(30)
def test_ctrl_c_at_any_moment_of_a_pause_is_noticed() -> None:
    number = 1
    while pause_with_ctrl_c_before_line(number).interrupted:
        number += 1
    assert number > 2, "no line was interrupted, so the test proves nothing"
