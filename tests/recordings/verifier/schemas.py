"""Field checks. A check is a function (value, place) that raises SchemaError; `unknown` tells an unlisted field."""

import re

from canonical import HEX64, unb64u

SAFE = 2**53 - 1
U32_MAX = 2**32 - 1
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z\Z", re.ASCII)


class SchemaError(ValueError):
    def __init__(self, place, what, unknown=False):
        super().__init__(f"{place or 'value'}: {what}")
        self.unknown = unknown


def need(ok, place, what):
    if not ok:
        raise SchemaError(place, what)


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def integer(low, high):
    def check(value, place=""):
        need(is_int(value) and low <= value <= high, place, f"an integer from {low} to {high}")
    return check


INT = integer(0, SAFE)
U32 = integer(0, U32_MAX)


def text(longest, shortest=1):
    def check(value, place=""):
        need(isinstance(value, str), place, "a string")
        try:
            units = len(value.encode("utf-16-le")) // 2
        except UnicodeEncodeError:
            raise SchemaError(place, "a lone surrogate") from None
        need(shortest <= units <= longest, place, f"{shortest} to {longest} characters")
    return check


def text0(longest):
    return text(longest, 0)


def pattern(expression):
    compiled = re.compile("(?:" + expression + r")\Z", re.ASCII)

    def check(value, place=""):
        need(isinstance(value, str) and compiled.match(value), place, "matching " + expression)
    return check


def uuid(value, place=""):
    need(isinstance(value, str) and _UUID.match(value), place, "a uuid")


def hex64(value, place=""):
    need(isinstance(value, str) and HEX64.match(value), place, "a hash")


def boolean(value, place=""):
    need(isinstance(value, bool), place, "true or false")


def days_from_civil(year, month, day):
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def instant_ms(value):
    """Milliseconds since 1970 of an instant; ValueError when it is none."""
    match = _INSTANT.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("not an instant")
    year, month, day, hour, minute, second, milli = map(int, match.groups())
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        raise ValueError("no such time")
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if not 1 <= day <= length:
        raise ValueError("no such day")
    return ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000 + milli


def instant(value, place=""):
    try:
        instant_ms(value)
    except ValueError as error:
        raise SchemaError(place, str(error)) from None


def one_of(*values):
    def check(value, place=""):
        need(any(value == v and type(value) is type(v) for v in values), place, "one of " + repr(values))
    return check


ONE = one_of(1)


def null_or(inner):
    def check(value, place=""):
        if value is not None:
            inner(value, place)
    return check


def array(inner, longest, shortest=0):
    def check(value, place=""):
        need(isinstance(value, list), place, "an array")
        need(shortest <= len(value) <= longest, place, f"{shortest} to {longest} elements")
        first = None
        for i, element in enumerate(value):
            try:
                inner(element, f"{place}[{i}]")
            except SchemaError as error:
                first = _worse(first, error)
        if first:
            raise first
    return check


def base64url(shortest=0, longest=None):
    def check(value, place=""):
        try:
            length = len(unb64u(value))
        except ValueError as error:
            raise SchemaError(place, str(error)) from None
        need(shortest <= length <= (shortest if longest is None else longest), place, "bytes of the right length")
    return check


def obj(fields, optional=()):
    """A strict object. An unlisted field, at any depth, is reported before anything else."""
    def check(value, place=""):
        need(isinstance(value, dict), place, "an object")
        for name in value:
            if name not in fields:
                raise SchemaError(f"{place}.{name}"[:200], "unknown field", unknown=True)
        first = None
        for name, inner in fields.items():
            try:
                if name in value:
                    inner(value[name], f"{place}.{name}" if place else name)
                else:
                    need(name in optional, f"{place}.{name}", "missing")
            except SchemaError as error:
                first = _worse(first, error)
        if first:
            raise first
    return check


def _worse(first, error):
    """The error to keep; an unlisted field is raised at once."""
    if error.unknown:
        raise error
    return first or error


def either(choose):
    """A union: `choose` gives the check for a value (an object), or None."""
    def check(value, place=""):
        need(isinstance(value, dict), place, "an object")
        inner = choose(value)
        need(inner is not None, place, "none of the listed kinds")
        inner(value, place)
    return check


def strict(check, value):
    """None when the value keeps the schema, else 'unknown' or 'malformed'."""
    try:
        check(value)
    except SchemaError as error:
        return "unknown" if error.unknown else "malformed"
    except RecursionError:
        return "malformed"
    return None


STREAM = one_of("screen", "input")
KEY32 = base64url(32)
