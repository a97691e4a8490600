# SPDX-License-Identifier: GPL-2.0-or-later
"""Which guest programs a CPU runs, as the tests of booted kernels take it."""

from __future__ import annotations

from qemu.guest.compiler import PROGRAMS
from tests.vm.oracle import NEEDS, runnable


def test_all_run_where_there_is_avx():
    assert runnable(PROGRAMS, frozenset({"fxsr", "xsave", "avx"})) == list(PROGRAMS)


def test_without_xsave_the_legacy_program_stands_for_the_wide_one():
    asked = ("ymmall", "x87calc", "coredump", "badxcomp")
    assert runnable(asked, frozenset({"fxsr"})) == ["fxall", "x87calc"]


def test_every_program_that_needs_something_is_one():
    assert NEEDS.keys() <= set(PROGRAMS)
