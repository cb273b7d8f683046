"""Makes what a dataclass describes of JSON, or says what does not fit."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from typing import Any, Literal, TypeVar

from runbooks.errors import short

T = TypeVar("T")

_Make = Callable[[object], Any]

#: What a value of JSON may be called. To Python, True is a number; here it is none.
_PLAIN = {
    str: "text",
    bool: "yes or no",
    int: "whole number",
    float: "number",
    list: "list",
    dict: "object",
}


class MisfitError(ValueError):
    """Something in the JSON is not as the dataclass has it."""


def made(kind: type[T], json: object) -> T:
    """`json` as a `kind`: a dataclass, or any type that a member of one may have.

    A member with a default may be absent. ``from_`` stands for a member ``from``, which could name
    no field. Members that the dataclass does not name are left out, or are those of its field
    ``rest``. A member's class that has a ``from_json`` is made by that. Raises MisfitError.
    """
    hint: Any = kind
    result: T = (_members if dataclasses.is_dataclass(kind) else _make)(hint)(json)
    return result


@cache
def _make(hint: Any) -> _Make:
    """What makes a value of the type `hint`, once it is known how."""
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint is object:
        return lambda json: json
    if hint in _PLAIN:
        return partial(_checked, hint)
    if origin is Literal:
        return partial(_one_of, {value: value for value in arguments})
    if origin in (types.UnionType, typing.Union):
        (some,) = (_make(one) for one in arguments if one is not type(None))
        return lambda json: None if json is None else some(json)
    if origin is tuple:
        return _tuple(arguments)
    if origin in (dict, Mapping):
        return _mapping(*arguments)
    if hasattr(hint, "from_json"):
        return lambda json: hint.from_json(_checked(dict, json))
    if issubclass(hint, Enum):
        return partial(_one_of, {one.value: one for one in hint})
    return _members(hint)


def _shown(json: object) -> str:
    text = repr(json)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _checked(plain: type[T], json: object) -> T:
    if type(json) is not plain and (plain is not float or type(json) is not int):
        raise MisfitError(f"is {_shown(json)} and no {_PLAIN[plain]}")
    return typing.cast(T, json)


def _one_of(known: Mapping[str, object], json: object) -> object:
    if type(json) is not str or json not in known:
        raise MisfitError(f"is {_shown(json)} and none of those that are known")
    return known[json]


def _tuple(arguments: tuple[Any, ...]) -> _Make:
    if arguments[1:] == (...,):
        one = _make(arguments[0])
        return lambda json: tuple(map(one, _checked(list, json)))
    each = [_make(argument) for argument in arguments]

    def make(json: object) -> tuple[object, ...]:
        values = _checked(list, json)
        if len(values) != len(each):
            raise MisfitError(f"is {_shown(json)} and no list of {len(each)}")
        return tuple(one(value) for one, value in zip(each, values, strict=True))

    return make


def _mapping(key: type, value: Any) -> _Make:
    """With numbers as keys where `key` is int: JSON has them as text."""
    one = _make(value)

    def make(json: object) -> dict[object, object]:
        found = {}
        for name, member in _checked(dict, json).items():
            if key is int and not (name.isascii() and name.isdigit()):
                raise MisfitError(f"has {short(name)}, which is no whole number")
            try:
                found[key(name)] = one(member)
            except MisfitError as e:
                raise _named(name, e) from None
        return found

    return make


def _named(name: str, misfit: MisfitError) -> MisfitError:
    return MisfitError(f"has {short(name)} that {misfit}")


def _is_plain(hint: Any) -> bool:
    """Whether the type of a value says all about it: it is what it was in JSON, or None."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return all(one is type(None) or one in _PLAIN for one in arguments)
    return hint is object or hint in _PLAIN


@cache
def _members(kind: Any) -> _Make:
    """What makes a dataclass; a TypedDict is the JSON object itself, looked through."""
    getattr(kind, "complete", lambda: None)()
    hints = typing.get_type_hints(kind, localns=getattr(kind, "late_names", dict)())
    is_typed_dict = typing.is_typeddict(kind)
    if is_typed_dict:
        names, needed = set(hints), set(kind.__required_keys__)
    else:
        fields = dataclasses.fields(kind)
        names = {field.name for field in fields}
        needed = {
            field.name
            for field in fields
            if field.default is field.default_factory is dataclasses.MISSING
        }
    makers = {name.rstrip("_"): (name, _make(hints[name])) for name in names - {"rest"}}
    plain = {name for name in names if _is_plain(hints[name])} if not is_typed_dict else set()
    #: names and types of members with which it has been made, where these say that it can be.
    #: There may be thousands of a kind, and nearly all are alike
    fitting: set[tuple[object, ...]] = set()

    def make(json: object) -> object:
        shape: tuple[object, ...] = ()
        if type(json) is dict and plain.issuperset(json):
            shape = (*json, *map(type, json.values()))
            if shape in fitting:
                return kind(**json)
        found: dict[str, object] = {}
        rest: dict[str, object] = {}
        for key, value in _checked(dict, json).items():
            if key in makers:
                name, one = makers[key]
                try:
                    found[name] = one(value)
                except MisfitError as e:
                    raise _named(key, e) from None
            else:
                rest[key] = value
        if lacking := needed - found.keys():
            raise MisfitError(f"has no {short(min(lacking))}")
        if is_typed_dict:
            return json
        result = kind(**found, rest=rest) if "rest" in names else kind(**found)
        if shape:
            fitting.add(shape)
        return result

    return make
