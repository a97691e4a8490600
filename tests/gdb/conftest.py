# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the gdb tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gdb_harness import Compiler
from gdb_terminal import Terminal


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    """Return what compiles programs, each at most once per session."""
    return Compiler(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="session")
def kernel44(compiler: Compiler) -> Path:
    """Return the program that imitates Linux 4.4.60."""
    return compiler()


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """Return a terminal that is closed in the end; the parameter has its environment."""
    made = Terminal(**getattr(request, "param", {}))
    yield made
    made.gdb.close(force=True)
