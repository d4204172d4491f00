"""Groups of options that several commands share: a command has one parameter for all options of a group."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def option_group(name: str, read: Callable[..., Any]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator: the parameter `name` of a command gets what `read` returns for the options of a group.

    The keyword parameters of `read` are the options. The help lists them at the position of the parameter.
    """
    options = inspect.signature(read, eval_str=True).parameters

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def call(**given: Any) -> int:  # noqa: ANN401 - what typer has parsed
            return command(**{name: read(**{option: given.pop(option) for option in options})}, **given)

        own = inspect.signature(command, eval_str=True).parameters.values()
        shown = [new for one in own for new in (options.values() if one.name == name else [one])]
        shown = [one.replace(kind=one.KEYWORD_ONLY) for one in shown]
        call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # typer reads both
        call.__annotations__ = {one.name: one.annotation for one in shown}
        return call

    return decorate
