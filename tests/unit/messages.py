# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages that gdbfpu prints when something is wrong, found in its syntax trees.

A message is the text of an error (any GdbFpuError, gdb.GdbError, argparse.ArgumentTypeError), of
`Parser.error`, `remark` or `tell`, or a text for GDB's standard error. In it, `…` stands for each
value. A text that is nothing but values is another message passed on, and is left out. So is the
text of a reason, which a message has as one of its values.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from doc_pages import ROOT

PACKAGE = ROOT / "gdbfpu"
VALUE = "…"
_FOREIGN = {"GdbError", "ArgumentTypeError"}
_CALLS = {"error", "remark", "tell"}


@functools.cache
def messages() -> dict[str, str]:
    """Return each message of gdbfpu and a place that has it."""
    return messages_of(PACKAGE)


def messages_of(folder: Path) -> dict[str, str]:
    """Return each message in the modules of `folder` and a place that has it."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    errors = _errors(trees.values())
    anywhere: dict[str, list[ast.expr]] = {}
    for tree in trees.values():
        anywhere.update(_functions(tree))
    found: dict[str, str] = {}
    for path, tree in trees.items():
        for text, line in _of_module(tree, errors, anywhere):
            if any(part.strip(" :;,.`'()") for part in text.split(VALUE)):
                found.setdefault(text, f"{path.relative_to(folder.parent)}:{line}")
    return found


def _errors(trees: Iterable[ast.Module]) -> dict[str, bool]:
    """Return the names of the classes of errors, and whether each is made of a text."""
    classes = {n.name: n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    own = {"GdbFpuError"}
    while True:
        more = {name for name, node in classes.items() if {_name(b) for b in node.bases} & own}
        if more <= own:
            break
        own |= more

    def made_of_text(name: str) -> bool:
        node = classes[name]
        for made in node.body:
            if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                return _passes_on(made)
        return all(made_of_text(b) for base in node.bases if (b := _name(base)) in own)

    return {**{name: made_of_text(name) for name in own}, **dict.fromkeys(_FOREIGN, True)}


def _passes_on(init: ast.FunctionDef) -> bool:
    """Return whether an __init__ hands its first argument to that of the base class."""
    first = init.args.args[1].arg if len(init.args.args) > 1 else ""
    calls = (n for n in ast.walk(init) if isinstance(n, ast.Call) and _name(n.func) == "__init__")
    return any(call.args and _name(call.args[0]) == first != "" for call in calls)


def _functions(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Return the functions of a module that return a text, and what each returns."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {f"{f.name}()": returned for f in functions if (returned := _returned(f))}


def _of_module(
    tree: ast.Module, errors: dict[str, bool], anywhere: dict[str, list[ast.expr]]
) -> Iterator[tuple[str, int]]:
    """Yield the messages of a module and their lines; `anywhere` are the functions of all."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    shared = {**anywhere, **_assigned(tree), **_functions(tree)}
    for scope in (tree, *functions):
        names = {**shared, **(_assigned(scope) if scope is not tree else {})}
        for node in _inside(scope):
            if isinstance(node, ast.Call) and node.args and _is_message(node, errors, tree):
                for text in _texts(node.args[0], names):
                    yield " ".join(text.split()), node.lineno


def _is_message(call: ast.Call, errors: dict[str, bool], tree: ast.Module) -> bool:
    name = _name(call.func)
    if errors.get(name) or name in _CALLS:
        return True
    if name == "write":
        return any(_name(argument) == "STDERR" for argument in call.args[1:])
    if name == "__init__":  # of an error that is made of values
        return any(
            isinstance(node, ast.ClassDef) and node.name in errors and call in ast.walk(node)
            for node in ast.walk(tree)
        )
    return False


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function or module, but for those of the functions within."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, ast.FunctionDef):
            yield from _inside(node)


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return the values that names of a scope are given."""
    found: dict[str, list[ast.expr]] = {}
    for node in _inside(scope):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    """Return what a function returns, if that is a text."""
    if _name(function.returns or function) != "str":
        return []
    returns = (node for node in _inside(function) if isinstance(node, ast.Return))
    return [node.value for node in returns if node.value is not None]


def _texts(node: ast.expr, names: dict[str, list[ast.expr]]) -> list[str]:
    """Return the texts that an expression can be."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = (p.value if isinstance(p, ast.Constant) else VALUE for p in node.values)
        return ["".join(map(str, parts))]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, names), *_texts(node.orelse, names)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [a + b for a in _texts(node.left, names) for b in _texts(node.right, names)]
    name = f"{_name(node.func)}()" if isinstance(node, ast.Call) else _name(node)
    inner = {other: values for other, values in names.items() if other != name}
    return [text for value in names.get(name, ()) for text in _texts(value, inner)] or [VALUE]


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
