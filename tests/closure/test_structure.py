"""The bounds of STYLE, held by a test: sizes, nesting, docstrings, names, sleeps.

Oracle: Python's own parser over the files that git would ship; nothing is doubled, nothing is imported.
"""

import ast
import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.closure.findings import told

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("webhookd", "api", "workers", "command", "migrations", "stack", "documentation", "tests", "load-test")

MODULE_LINES = 400
FUNCTION_LINES = 50
NESTING = 3
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc"}
CONTROL = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORT = (ast.Import, ast.ImportFrom)

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def none_of(paths: Iterable[Path], findings_of: Callable[[Path], Iterable[str]], what: str) -> None:
    """Fail with every finding. One test for all files of a rule: thousands of tests would cost more than they check."""
    found = [f"{relative(path)}: {finding}" for path in paths for finding in findings_of(path)]
    assert not found, told(what, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function, with the number of its lines, how deep its control blocks nest, and the lines of its imports."""

    named: str
    lines: int
    nesting: int
    imports: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What the rules ask about a module. Its tree is not kept: those of all modules would take a gigabyte."""

    docstring: bool
    functions: tuple[Function, ...]


@cache
def structure(path: Path) -> Structure:
    tree = parsed(path)
    found = [node for node in statements(tree) if isinstance(node, FUNCTION)]
    return Structure(docstring=ast.get_docstring(tree) is not None, functions=tuple(map(described, found)))


def described(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    return Function(
        named=f"{function.name}, line {function.lineno}",
        lines=(function.end_lineno or function.lineno) - function.lineno + 1,
        nesting=max(map(nesting, blocks(function))),
        imports=tuple(node.lineno for node in statements(function) if isinstance(node, IMPORT)),
    )


def parsed(path: Path) -> ast.Module:
    """Parse without garbage collection, which finds nothing in a tree and takes three times as long as the parser."""
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()


def blocks(node: ast.AST) -> Iterator[ast.AST]:
    """The statements, handlers and cases directly inside of it; expressions hold none."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        yield from getattr(node, name, ())


def statements(node: ast.AST) -> Iterator[ast.AST]:
    for child in blocks(node):
        yield child
        yield from statements(child)


def nesting(node: ast.AST) -> int:
    """How deep control blocks lie in each other; an `elif` is as deep as its `if`, a nested function starts anew."""
    children = [child for child in blocks(node) if not isinstance(child, FUNCTION)]
    deepest = max((nesting(child) - is_elif_of(node, child) for child in children), default=0)
    return deepest + isinstance(node, CONTROL)


def is_elif_of(node: ast.AST, child: ast.AST) -> bool:
    if not (isinstance(node, ast.If) and isinstance(child, ast.If)):
        return False
    return node.orelse == [child] and node.col_offset == child.col_offset


def test_modules_have_at_most_400_lines() -> None:
    def too_long(path: Path) -> Iterator[str]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MODULE_LINES:
            yield f"{lines} lines"

    none_of(MODULES, too_long, "modules that are too long")


def test_functions_have_at_most_50_lines() -> None:
    none_of(
        MODULES,
        lambda path: (one.named for one in structure(path).functions if one.lines > FUNCTION_LINES),
        "functions that are too long",
    )


def test_control_nests_three_deep_at_most() -> None:
    def too_deep(path: Path) -> Iterator[str]:
        return (one.named for one in structure(path).functions if one.nesting > NESTING)

    none_of(MODULES, too_deep, "functions that nest too deep")


def test_modules_say_what_they_are() -> None:
    none_of(MODULES, lambda path: [] if structure(path).docstring else ["no docstring"], "silent modules")


def test_modules_are_named_for_their_noun() -> None:
    def vague(path: Path) -> set[str]:
        return {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} & VAGUE_NAMES

    none_of(MODULES, vague, "modules with a vague name")


def test_modules_hide_no_standard_library_module() -> None:
    names = sys.stdlib_module_names - {"__init__", "__main__"}
    none_of(MODULES, lambda path: [path.stem] if path.stem in names else [], "modules that hide another")


def test_inits_hold_a_docstring_only() -> None:
    def beyond_docstring(path: Path) -> Iterator[str]:
        allowed = {"__version__"} if path.parent.name == "webhookd" else set()
        for node in parsed(path).body[1:]:
            if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in allowed):
                yield ast.unparse(node)

    none_of((path for path in MODULES if path.name == "__init__.py"), beyond_docstring, "code in an __init__.py")


def test_unit_tests_never_sleep() -> None:
    def sleeps(path: Path) -> Iterator[str]:
        called = (ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
        return (name for name in called if name.split(".")[-1] == "sleep")

    none_of((ROOT / "tests" / "unit").rglob("*.py"), sleeps, "unit tests that sleep")


def test_imports_stand_at_the_top() -> None:
    def hidden(path: Path) -> Iterator[str]:
        return (f"line {line}" for one in structure(path).functions for line in one.imports)

    none_of(MODULES, hidden, "imports inside functions")


def test_nesting_is_measured_as_people_see_it() -> None:
    source = """
def three_deep():
    if a:
        pass
    elif b:
        for c in d:
            while e:
                pass
    else:
        def inner():
            with f:
                pass
"""
    assert described(next(node for node in statements(ast.parse(source)) if isinstance(node, FUNCTION))).nesting == 3


def unprepared_conversions(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        decodes = node.func.attr == "decode" and any(keyword.arg == "type" for keyword in node.keywords)
        if decodes or ast.unparse(node.func) == "msgspec.convert":
            yield f"line {node.lineno}"


def test_threads_convert_only_to_types_that_are_known() -> None:
    product = [path for path in MODULES if relative(path).startswith(("webhookd/", "api/", "workers/", "command/"))]
    others = [path for path in product if relative(path) != "webhookd/conversion.py"]
    assert list(unprepared_conversions(ROOT / "webhookd/conversion.py"))
    none_of(others, unprepared_conversions, "conversions without webhookd.conversion or a decoder of the module")
