# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the gdb tier."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_harness import Compiler


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    """Return what compiles programs, each at most once per session."""
    return Compiler(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="session")
def kernel44(compiler: Compiler) -> Path:
    """Return the program that imitates Linux 4.4.60."""
    return compiler()
