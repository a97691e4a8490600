# SPDX-License-Identifier: GPL-2.0-or-later
"""The package itself: what it offers in GDB's Python, and that it is no trap elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gdbfpu

PACKAGE = Path(gdbfpu.__file__).parent


def test_its_names_are_those_of_the_interface() -> None:
    """With TraceOn, which start_trace takes; type checkers see the same names."""
    api = ast.parse((PACKAGE / "dbg/api.py").read_text())
    exported = next(
        ast.literal_eval(node.value)
        for node in api.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert set(gdbfpu._IN_GDB) == {*exported, "TraceOn"}
    own = ast.walk(ast.parse((PACKAGE / "__init__.py").read_text()))
    typed = {
        alias.asname for node in own if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed - {None} == set(gdbfpu._IN_GDB)


@pytest.mark.parametrize("name", gdbfpu._IN_GDB)
def test_outside_of_gdb_there_is_one_clear_error(name: str) -> None:
    with pytest.raises(ImportError, match=rf"^gdbfpu.{name} works in GDB's Python alone: use it"):
        getattr(gdbfpu, name)


def test_other_names_are_no_concern_of_gdb() -> None:
    """A submodule is found, another name is not there, and `dir` has nothing that fails."""
    assert not hasattr(gdbfpu, "nonsense")
    from gdbfpu import cli

    assert cli.main is not None
    assert all(hasattr(gdbfpu, name) for name in dir(gdbfpu))
