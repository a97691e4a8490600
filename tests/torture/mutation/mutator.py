# SPDX-License-Identifier: GPL-2.0-or-later
"""Make mutants of a module: each has one fault in the body of one function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import NamedTuple

__all__ = ("Mutant", "code_of", "functions", "mutants")

_COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip
_JOINED = {ast.And: ast.Or, ast.Or: ast.And}


class Mutant(NamedTuple):
    """A fault in `file`: in the outermost function `name`, which begins at line `first`.

    `line` is where the fault is, `what` says what became what. `place` and `number` count the nodes
    of the function that can be changed, and the changes of a node.
    """

    file: Path
    name: str
    first: int
    line: int
    what: str
    place: int
    number: int


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions and methods that are in no other function, with their full names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def mutants(file: Path) -> Iterator[Mutant]:
    """Yield all mutants of the module `file`."""
    for name, function in functions(ast.parse(file.read_text())):
        begins = min(node.lineno for node in (function, *function.decorator_list))
        for place, (line, changes) in enumerate(_changes(function)):
            for number, (what, _) in enumerate(changes):
                yield Mutant(file, name, begins, line, what, place, number)


def code_of(mutant: Mutant) -> CodeType:
    """Return the code of the faulty function."""
    tree = ast.parse(mutant.file.read_text())
    function = next(each for name, each in functions(tree) if name == mutant.name)
    _, changes = list(_changes(function))[mutant.place]
    changes[mutant.number][1]()
    whole = compile(ast.fix_missing_locations(tree), str(mutant.file), "exec", dont_inherit=True)
    return next(code for code in _codes(whole) if code.co_qualname == mutant.name)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


_Changes = list[tuple[str, Callable[[], None]]]


def _changes(function: ast.FunctionDef) -> Iterator[tuple[int, _Changes]]:
    """Yield the lines of the nodes in the body of `function` that can be changed, and how."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]  # its docstring
    line = function.lineno
    for statement in body:
        for node in _walk(statement):
            line = getattr(node, "lineno", line)
            changes = list(_changes_of(node))
            if changes:
                yield line, changes


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield `node` and what is in it, without annotations, docstrings and format specifications."""
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "format_spec", "decorator_list", "cause"):
            continue
        for inner in value if isinstance(value, list) else [value]:
            docstring = isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant)
            if isinstance(inner, ast.AST) and not docstring:
                yield from _walk(inner)


def _changes_of(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            yield _swap(node.ops, i, _COMPARED[type(operator)])
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _COMPUTED:
        yield _set(node, "op", _COMPUTED[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _set(node, "op", _JOINED[type(node.op)]())
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(
        node.test, ast.Compare
    ):
        yield _set(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, (ast.Return, ast.Assign, ast.Yield)) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield _set(node, "value", ast.Constant(None))
    elif isinstance(node, ast.comprehension):
        for i, test in enumerate(node.ifs):
            yield _put(node.ifs, i, ast.UnaryOp(ast.Not(), test))


def _constants(node: ast.Constant) -> Iterator[tuple[str, Callable[[], None]]]:
    value = node.value
    if isinstance(value, bool):
        yield _set(node, "value", not value)
    elif isinstance(value, (int, float)):
        yield _set(node, "value", value + 1)
    elif isinstance(value, str):
        yield _set(node, "value", f"XX{value}")
    elif isinstance(value, bytes):
        yield _set(node, "value", b"XX" + value)


def _said(node: object) -> str:
    return (
        ast.unparse(node)
        if isinstance(node, ast.expr)
        else getattr(node, "__name__", "")
        or (type(node).__name__ if isinstance(node, ast.AST) else repr(node))
    )


def _set(node: ast.AST, field: str, value: object) -> tuple[str, Callable[[], None]]:
    old = getattr(node, field)
    return f"{_said(old)} -> {_said(value)}"[:120], lambda: setattr(node, field, value)


def _put(items: list[ast.expr], at: int, value: ast.expr) -> tuple[str, Callable[[], None]]:
    return f"{_said(items[at])} -> {_said(value)}"[:120], lambda: items.__setitem__(at, value)


def _swap(items: list, at: int, kind: type) -> tuple[str, Callable[[], None]]:
    return f"{_said(items[at])} -> {kind.__name__}", lambda: items.__setitem__(at, kind())
