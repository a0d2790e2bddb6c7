"""IoT Hub's query language over twins: SELECT … FROM devices[.modules] [WHERE …]. Pure.

A condition compares members of a twin (deviceId, tags.a.b, properties.reported.c …) by = != <> <
<= > >= and IN. Conditions are joined by AND, OR, NOT and parentheses; is_defined(member) is true
if the member exists. A comparison with a missing member is false. HubError 400: a syntax error.
Source: docs/protocol/rest.md, "Queries".
"""

import operator
import re

from .errors import HubError

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[$A-Za-z_][$\w-]*(?:\.[$A-Za-z_][$\w-]*)*)
    |(?P<sign><>|!=|<=|>=|[=<>(),*\[\]]))""",
    re.VERBOSE,
)
_COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LITERALS = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 50
_MISSING = object()


def syntax_error(reason):
    return HubError(400, "IotHubQueryInvalid", reason, 400100)


class Query:
    """A parsed query. modules: it asks for modules; fields: the names in SELECT, None for *."""

    def __init__(self, text):
        self._tokens = _split(text)
        self._depth = 0
        self._expect("select")
        self.fields = self._fields()
        self._expect("from")
        source = self._next()[1].lower()
        if source not in ("devices", "devices.modules"):
            raise syntax_error("only devices and devices.modules can be queried")
        self.modules = source == "devices.modules"
        self._condition = None
        if self._is("where"):
            self._condition = self._disjunction()
        if self._tokens:
            raise syntax_error(f"unexpected: {self._tokens[0][1][:40]}")

    def matches(self, twin):
        return self._condition is None or bool(self._condition(twin))

    def project(self, twin):
        """The twin, or the members of it that SELECT names."""
        if self.fields is None:
            return twin
        found = {name.rpartition(".")[2]: _member(twin, name) for name in self.fields}
        return {name: value for name, value in found.items() if value is not _MISSING}

    # -- parsing: each method takes the tokens of its part ------------------------------------

    def _next(self):
        if not self._tokens:
            raise syntax_error("the query ends too early")
        return self._tokens.pop(0)

    def _is(self, word):
        """Whether `word` comes next; if so, take it."""
        if self._tokens and self._tokens[0][0] != "string" and self._tokens[0][1].lower() == word:
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, word):
        if not self._is(word):
            raise syntax_error(f"{word.upper()} is missing")

    def _fields(self):
        if self._is("*"):
            return None
        fields = [self._name()]
        while self._is(","):
            fields.append(self._name())
        return fields

    def _name(self):
        kind, text = self._next()
        if kind != "name":
            raise syntax_error(f"{text[:40]} is not the name of a member")
        return text

    def _disjunction(self):
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise syntax_error(f"parentheses are nested deeper than {_MAX_DEPTH} levels")
        parts = [self._conjunction()]
        while self._is("or"):
            parts.append(self._conjunction())
        self._depth -= 1
        return lambda twin: any(part(twin) for part in parts)

    def _conjunction(self):
        parts = [self._term()]
        while self._is("and"):
            parts.append(self._term())
        return lambda twin: all(part(twin) for part in parts)

    def _term(self):
        negated = False
        while self._is("not"):
            negated = not negated
        if self._is("("):
            inner = self._disjunction()
            self._expect(")")
        elif self._is("is_defined"):
            inner = self._defined()
        else:
            inner = self._comparison()
        return (lambda twin: not inner(twin)) if negated else inner

    def _defined(self):
        self._expect("(")
        name = self._name()
        self._expect(")")
        return lambda twin: _member(twin, name) is not _MISSING

    def _comparison(self):
        name = self._name()
        if self._is("in"):
            values = self._list()
            return lambda twin: any(_compare("=", _member(twin, name), v) for v in values)
        sign = self._next()[1]
        if sign not in _COMPARE:
            raise syntax_error(f"{sign[:40]} is not a comparison operator")
        value = self._literal()
        return lambda twin: _compare(sign, _member(twin, name), value)

    def _list(self):
        self._expect("[")
        values = [self._literal()]
        while self._is(","):
            values.append(self._literal())
        self._expect("]")
        return values

    def _literal(self):
        kind, text = self._next()
        if kind == "string":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return float(text) if set(text) & set(".eE") else int(text)
        if text.lower() in _LITERALS:
            return _LITERALS[text.lower()]
        raise syntax_error(f"{text[:40]} is not a string, a number, true, false or null")


def _split(text):
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise syntax_error(f"unexpected: {text[at : at + 20]}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return tokens


def _member(twin, name):
    value = twin
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _compare(sign, one, other):
    """Values of different kinds are never equal nor ordered; 1 is not true."""
    if one is _MISSING:
        return False
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (one, other))
    if not numbers and type(one) is not type(other):
        return sign in ("!=", "<>")
    if sign not in ("=", "!=", "<>") and not (numbers or isinstance(one, str)):
        return False
    return _COMPARE[sign](one, other)
