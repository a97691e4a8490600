# SPDX-License-Identifier: GPL-2.0-or-later
"""TIF_NEED_FPU_LOAD of a dump that lacks a task: those that it has tell which bit it is."""

from __future__ import annotations

from audit_machines import M510
from fake_kernel import TASKS

from gdbfpu.kernel.thread_flags import OLDER_NEED_FPU_LOAD, need_fpu_load_bit


def test_list_of_tasks_that_breaks_off():
    m = M510()
    m.target.put_int(m.carol + TASKS, 0xDEAD000000000000)
    assert need_fpu_load_bit(m.snapshot().model.kernel) == OLDER_NEED_FPU_LOAD
