"""The bounds of STYLE, held by a test: sizes, nesting, docstrings, names, sleeps.

Oracle: Python's own parser over the files that git would ship; nothing is doubled, nothing is imported.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


every_module = pytest.mark.parametrize("path", MODULES, ids=relative)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTION))


def nesting(node: ast.AST) -> int:
    """How deep control blocks lie in each other; an `elif` is as deep as its `if`, a nested function starts anew."""
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, FUNCTION)]
    deepest = max((nesting(child) - is_elif_of(node, child) for child in children), default=0)
    return deepest + isinstance(node, CONTROL)


def is_elif_of(node: ast.AST, child: ast.AST) -> bool:
    if not (isinstance(node, ast.If) and isinstance(child, ast.If)):
        return False
    return node.orelse == [child] and node.col_offset == child.col_offset


def line_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def named(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{function.name}, line {function.lineno}"


@every_module
def test_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


@every_module
def test_functions_have_at_most_50_lines(path: Path) -> None:
    assert [named(f) for f in functions(parsed(path)) if line_count(f) > FUNCTION_LINES] == []


@every_module
def test_control_nests_three_deep_at_most(path: Path) -> None:
    assert [named(f) for f in functions(parsed(path)) if max(map(nesting, ast.iter_child_nodes(f))) > NESTING] == []


@every_module
def test_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


@every_module
def test_module_is_named_for_its_noun(path: Path) -> None:
    parts = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    assert not parts & VAGUE_NAMES


@every_module
def test_module_hides_no_standard_library_module(path: Path) -> None:
    assert path.stem not in sys.stdlib_module_names - {"__init__", "__main__"}


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=relative)
def test_init_holds_a_docstring_only(path: Path) -> None:
    allowed = ["__version__"] if path.parent.name == "webhookd" else []
    beyond_docstring = parsed(path).body[1:]
    targets = [ast.unparse(node.targets[0]) for node in beyond_docstring if isinstance(node, ast.Assign)]
    assert len(targets) == len(beyond_docstring)
    assert targets == allowed


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "unit").rglob("*.py")), ids=relative)
def test_unit_tests_never_sleep(path: Path) -> None:
    called = [ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    assert [name for name in called if name.split(".")[-1] == "sleep"] == []


@every_module
def test_imports_stand_at_the_top(path: Path) -> None:
    hidden = [node.lineno for f in functions(parsed(path)) for node in ast.walk(f) if isinstance(node, IMPORT)]
    assert hidden == []


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
    assert max(map(nesting, ast.iter_child_nodes(next(functions(ast.parse(source)))))) == 3
