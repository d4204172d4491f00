"""Read typed settings from JSON, and name every setting that is wrong.

If a simulator ignored a misspelt knob, a test could pass for the wrong reason. So this module reads all JSON of the
control API and of knobs files into frozen dataclasses, and refuses what does not fit.
"""

import math
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class SettingError(ValueError):
    """A setting does not exist, or has a wrong value. ``name`` is its dotted path."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


def read(cls: type[T], data: object, where: str = "") -> T:
    """Build the dataclass ``cls`` from parsed JSON. Absent members keep their defaults.

    ``where``: dotted path of ``data``, for the error text. Raises :class:`SettingError` for unknown members, wrong
    types, and values outside of ``at_least`` and ``at_most`` in the field's metadata.
    """
    if not isinstance(data, dict):
        raise SettingError(where or cls.__name__.lower(), "must be an object")
    if not is_dataclass(cls):
        raise TypeError(cls)
    known = {field.name: field for field in fields(cls)}
    hints = get_type_hints(cls)
    values: dict[str, object] = {}
    for name, raw in data.items():
        if name not in known:
            raise SettingError(_join(where, name), f"is not known; known are {', '.join(sorted(known))}")
        values[name] = _value(hints[name], raw, _join(where, name))
        _check_bounds(values[name], dict(known[name].metadata), _join(where, name))
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise SettingError(_join(where, name), "is required")
    return cast("T", cls(**values))


def merge_patch(target: object, patch: object) -> object:
    """Apply an RFC 7396 merge patch: merge objects member by member; ``null`` resets a member to its default."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, object] = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _check_bounds(value: object, bounds: dict[str, float], where: str) -> None:
    if not isinstance(value, (int, float)):
        return
    if value < bounds.get("at_least", -math.inf) or value > bounds.get("at_most", math.inf):
        raise SettingError(
            where, "must be " + " and ".join(f"{word.replace('_', ' ')} {n}" for word, n in bounds.items())
        )


def _value(hint: object, raw: object, where: str) -> object:
    origin, args = get_origin(hint), get_args(hint)
    if hint is object:
        return raw
    if origin in (Union, UnionType):
        inner = next(arg for arg in args if arg is not NoneType)
        return None if raw is None and NoneType in args else _value(inner, raw, where)
    if origin is Literal:
        if raw not in args or isinstance(raw, bool):
            raise SettingError(where, f"must be one of {', '.join(map(str, args))}")
        return raw
    if origin is tuple:
        return _items(args[0], raw, where)
    if origin is dict:
        return _members(args, raw, where)
    return read(cast("type[object]", hint), raw, where) if is_dataclass(hint) else _scalar(hint, raw, where)


def _items(hint: object, raw: object, where: str) -> tuple[object, ...]:
    if not isinstance(raw, (list, tuple)):
        raise SettingError(where, "must be a list")
    return tuple(_value(hint, item, f"{where}[{n}]") for n, item in enumerate(raw))


def _members(hints: tuple[object, ...], raw: object, where: str) -> dict[object, object]:
    if not isinstance(raw, dict):
        raise SettingError(where, "must be an object")
    return {_value(hints[0], k, _join(where, k)): _value(hints[1], v, _join(where, k)) for k, v in raw.items()}


def _scalar(hint: object, raw: object, where: str) -> object:
    # bool is an int to Python: "times": true must not pass as 1.
    whole = isinstance(raw, int) and not isinstance(raw, bool)
    if hint is float and (whole or (isinstance(raw, float) and math.isfinite(raw))):
        return float(cast("float", raw))
    fits = whole if hint is int else isinstance(raw, {bool: bool, str: str}.get(cast("type", hint), NoneType))
    if not fits:
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise SettingError(where, f"must be {names[cast('type', hint)]}")
    return raw
