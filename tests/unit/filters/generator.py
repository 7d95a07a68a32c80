"""A seeded generator of random records and of random expressions that use the same field names."""

from collections.abc import Callable
from random import Random

KEYS = ("a", "b", "c", "été", "x y", 'q"', "")
"""Field names, valid Python identifiers or not. They are few, so that expressions often name a field that exists."""

SCALARS = (
    *(
        "null",
        "true",
        "false",
        "0",
        "1",
        "-0",
        "-0.0",
        "0.0",
        "1.0",
        "2",
        "1.5",
        "-7",
        "1e3",
        "1E-2",
        "1e400",
        "-1e400",
    ),
    *("12345678901234567890123", "9007199254740993", "9007199254740993.0", "18446744073709551616"),
    *(
        '""',
        '"a"',
        '"b"',
        '"abc"',
        '"1"',
        '"0"',
        '"été"',
        '"\\u00e9t\\u00e9"',
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        '"\\n\\/"',
    ),
)

LITERALS = ("'a'", "'abc'", "''", "`0`", "`1`", "`1.0`", "`2`", "`true`", "`false`", "`null`", "`[]`", "`{}`", "'été'")
LITERALS_BUILT = ('`[1, true, "a"]`', '`{"a": 1}`', "`[[1]]`", "`12345678901234567890123`", "`1e400`")
COMPARATORS = ("==", "!=", "<", "<=", ">", ">=")
UNARY = (
    *("abs", "avg", "ceil", "floor", "keys", "length", "max", "min", "not_null", "reverse", "sort", "sum"),
    *("to_array", "to_number", "to_string", "type", "values", "merge"),
)
BINARY = ("contains", "starts_with", "ends_with", "join", "not_null", "merge")
BY = ("max_by", "min_by", "sort_by")


class Generator:
    """Generates records and expressions as text; the same seed gives the same sequence."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - the same every time is the point

    def record(self, depth: int = 4) -> str:
        """A JSON value with repeated and escaped keys, whitespace between tokens, and numbers of every kind."""
        kind = self._random.random()
        if depth == 0 or kind < 0.25:
            return self._random.choice(SCALARS)
        if kind < 0.45:
            return f"[{','.join(self.record(depth - 1) for _ in range(self._random.randrange(4)))}]"
        return self.object(depth)

    def object(self, depth: int = 4) -> str:
        """A JSON object: most records are objects."""
        members = (f"{self._name()} :{self.record(depth - 1)}" for _ in range(self._random.randrange(8)))
        return f"{{ {', '.join(members)}}}"

    def expression(self, depth: int | None = None) -> str:
        """A valid JMESPath expression; one of small depth raises an error less often."""
        if depth is None:
            depth = self._random.randrange(1, 4)
        if depth == 0:
            return self._leaf()
        makers: tuple[Callable[[int], str], ...] = (
            *(self._chain, self._chain, self._comparison, self._comparison, self._comparison, self._logic, self._logic),
            *(
                self._negation,
                self._projection,
                self._projection,
                self._selection,
                self._call,
                self._call_by,
                self._pipe,
            ),
        )
        return self._random.choice(makers)(depth - 1)

    def _name(self) -> str:
        key = self._random.choice(KEYS)
        if key == "a" and self._random.random() < 0.2:
            return '"\\u0061"'
        return '"' + key.replace('"', '\\"') + '"'

    def _field(self) -> str:
        key = self._random.choice(KEYS)
        return key if key in {"a", "b", "c"} else '"' + key.replace('"', '\\"') + '"'

    def _leaf(self) -> str:
        kind = self._random.random()
        if kind < 0.65:
            return ".".join(self._field() for _ in range(self._random.randrange(1, 4)))
        if kind < 0.97:
            return self._random.choice((*LITERALS, *LITERALS_BUILT))
        return "@"

    def _chain(self, depth: int) -> str:
        step = self._random.choice(
            (".a", ".b", "[0]", "[-1]", "[1:]", "[::-1]", ".[a, b]", ".{a: a, b: c}", "[]", ".c.a")
        )
        return f"{self._field()}{step}" if depth == 0 else f"({self.expression(depth)}){step}"

    def _comparison(self, depth: int) -> str:
        return f"{self.expression(depth)} {self._random.choice(COMPARATORS)} {self._leaf()}"

    def _logic(self, depth: int) -> str:
        operator = self._random.choice(("&&", "||"))
        return f"({operator.join(self.expression(depth) for _ in range(self._random.randrange(2, 4)))})"

    def _negation(self, depth: int) -> str:
        return f"!{self.expression(depth)}"

    def _projection(self, depth: int) -> str:
        base = self._random.choice((self._field(), self._field(), "@", f"({self.expression(depth)})"))
        projected = self._random.choice(("[*]", "[]", ".*", f"[?{self.expression(depth)}]", "[:2]"))
        return base + projected + self._random.choice(("", ".a", "[0]", ".b.c", ".[a, @]", "[*]", "[]", " | [0]"))

    def _selection(self, depth: int) -> str:
        one, other = self.expression(depth), self.expression(depth)
        return self._random.choice((f"[{one}, {other}]", f"{{a: {one}, b: {other}, a: {one}}}", "['a', 'b']"))

    def _call(self, depth: int) -> str:
        if self._random.random() < 0.5:
            return f"{self._random.choice(UNARY)}({self.expression(depth)})"
        return f"{self._random.choice(BINARY)}({self.expression(depth)}, {self.expression(depth)})"

    def _call_by(self, depth: int) -> str:
        if self._random.random() < 0.5:
            return f"map(&{self.expression(depth)}, {self.expression(depth)})"
        return f"{self._random.choice(BY)}({self.expression(depth)}, &{self.expression(depth)})"

    def _pipe(self, depth: int) -> str:
        return f"{self.expression(depth)} | {self.expression(depth)}"
