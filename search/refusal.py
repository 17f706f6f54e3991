"""Why a configuration is refused, in the words of its file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_KINDS = {
    "model_type": "a section",
    "dict_type": "a section",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "path_type": "a path",
    "string_pattern_mismatch": "a letter or digit and up to 63 letters, digits, '.', '_' and '-'",
}
"""What pydantic expects, by the types of its errors, in words of the file."""

_BRANCHES = ("float", "constrained-float", "int", "constrained-int", "one", "several")


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Names the key that a model refused, what was expected of it and what came, in one line."""
    # A value that fits no member of a union fails each in its way: the most telling is shown.
    first, *others = sorted(error.errors(), key=_vagueness)
    key = _key(first)
    if not key:
        # What sections have to fit each other in; the message names the one that does not.
        return str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{key}: {_unknown(first['loc'], model)}"
    if first["type"] == "missing":
        return f"{key}: expected a value, found none; add it"
    if first["type"] == "value_error":
        return f"{key}: {str(first['msg']).removeprefix('Value error, ')}"
    alternatives = [each for each in others if _key(each) == key] if _vagueness(first) else []
    expected = " or ".join(dict.fromkeys(map(_expectation, [first, *alternatives])))
    return f"{key}: expected {expected}, got {first['input']!r}; correct it"


def _vagueness(error: ErrorDetails) -> int:
    """The sort of a value says the least, an unknown key the most: others follow from it."""
    if error["type"] == "extra_forbidden":
        return -1
    return int(error["type"] in _KINDS or error["type"] == "literal_error")


def _expectation(error: ErrorDetails) -> str:
    if error["type"] in _KINDS:
        return _KINDS[error["type"]]
    wanted = error["msg"].removeprefix("Input should be ").replace("'", '"')
    return f"a value {wanted}" if wanted.startswith(("greater", "less")) else wanted


def _key(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"] if not _is_branch(str(part)))


def _is_branch(part: str) -> bool:
    """Whether pydantic put this in to tell which member of a union it tried."""
    return "[" in part or part in _BRANCHES


def _unknown(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = _keys_beside(location, model)
    near = difflib.get_close_matches(str(location[-1]), known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"expected a known key, got {str(location[-1])!r}; {hint}"


def _keys_beside(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    fields: Mapping[str, Any] = model.model_fields
    for part in location[:-1]:
        if isinstance(part, str) and not _is_branch(part):
            fields = next(_models(fields[part].annotation)).model_fields
    return sorted(fields)


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from _models(part)
