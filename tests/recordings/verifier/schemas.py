"""Strict schemas (section 1): one walk tells unknown fields from any other violation."""
import re
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

import base

MALFORMED = "malformed"
UNKNOWN = "unknown-field"
NOT_CANONICAL = "not-canonical"


class State:
    """What a walk has found: an unlisted field (at any depth), another violation."""

    __slots__ = ("unknown", "bad")

    def __init__(self) -> None:
        self.unknown = False
        self.bad = False


Schema = Callable[[Any, State], None]


def obj(fields: Dict[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """A strict object: each listed field present, an unlisted one refused."""
    optional = frozenset(optional)

    def check(value: Any, state: State) -> None:
        if type(value) is not dict:
            state.bad = True
            return
        if not value.keys() <= fields.keys():
            state.unknown = True
        for name, schema in fields.items():
            if name in value:
                schema(value[name], state)
            elif name not in optional:
                state.bad = True
    return check


def variant(field: str, choices: Dict[str, Schema], names: Iterable[str]) -> Schema:
    """Objects told apart by one field; names are the fields that any of them lists."""
    names = frozenset(names)

    def check(value: Any, state: State) -> None:
        if type(value) is not dict:
            state.bad = True
            return
        kind = value.get(field)
        schema = choices.get(kind) if isinstance(kind, str) else None
        if schema is not None:
            schema(value, state)
            return
        state.bad = True
        if not value.keys() <= names:
            state.unknown = True
    return check


def array(item: Schema, most: int, least: int = 0) -> Schema:
    """An array of least to most items."""
    def check(value: Any, state: State) -> None:
        if type(value) is not list:
            state.bad = True
            return
        if not least <= len(value) <= most:
            state.bad = True
        for element in value:
            item(element, state)
    return check


def nullable(schema: Schema) -> Schema:
    """`x | null`."""
    def check(value: Any, state: State) -> None:
        if value is not None:
            schema(value, state)
    return check


def test(accept: Callable[[Any], bool]) -> Schema:
    """A schema out of a predicate on a value without fields of its own."""
    def check(value: Any, state: State) -> None:
        if not accept(value):
            state.bad = True
    return check


def text(most: int, least: int = 1) -> Schema:
    """text(n), with least 0 text0(n): UTF-16 code units, no lone surrogates."""
    def accept(value: Any) -> bool:
        length = base.text_length(value) if type(value) is str else None
        return length is not None and least <= length <= most
    return test(accept)


def integer(low: int = 0, high: int = base.MAX_INT) -> Schema:
    """A JSON integer in a range; True is none."""
    return test(lambda value: type(value) is int and low <= value <= high)


def pattern(expression: str) -> Schema:
    """A string that matches the whole expression."""
    compiled = re.compile(expression)
    return test(lambda value: type(value) is str and compiled.fullmatch(value) is not None)


def one_of(*choices: str) -> Schema:
    """One of these strings."""
    return test(lambda value: type(value) is str and value in choices)


def b64url(most: int, least: int = 0) -> Schema:
    """base64url of least to most bytes."""
    def accept(value: Any) -> bool:
        raw = base.b64url_decode(value)
        return raw is not None and least <= len(raw) <= most
    return test(accept)


ONE = test(lambda value: type(value) is int and value == 1)
BOOLEAN = test(lambda value: type(value) is bool)
TRUE = test(lambda value: value is True)
UUID = test(lambda value: type(value) is str and base.UUID.fullmatch(value) is not None)
HEX64 = test(lambda value: type(value) is str and base.HEX64.fullmatch(value) is not None)
INSTANT = test(lambda value: base.instant_ms(value) is not None)
INT = integer()
U32 = integer(0, base.MAX_U32)


def violation(schema: Schema, value: Any) -> Optional[str]:
    """Section 1, "which reason", for a value: an unlisted field before anything else."""
    state = State()
    schema(value, state)
    if state.unknown:
        return UNKNOWN
    return MALFORMED if state.bad else None


def read(data: Any, schema: Schema, canonical: bool = False) -> Tuple[Any, Optional[str]]:
    """Parse and check a document. Returns (value, None) or (None, what is wrong)."""
    try:
        value = base.parse_json(data)
    except base.NotJson:
        return None, MALFORMED
    wrong = violation(schema, value)
    if wrong is None and canonical:
        raw = data.encode("utf-8") if isinstance(data, str) else data
        if base.jcs(value) != raw:
            wrong = NOT_CANONICAL
    return (None, wrong) if wrong else (value, None)
