# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a task may be in a signal handler, told by what it blocks and what it handles."""

from __future__ import annotations

import pytest
from fake_kernel import BLOCKED, NIVCSW, NVCSW, PF_KTHREAD, SIGHAND, World, layouts_44

from gdbfpu.kernel.signals import blocked, blocked_and_switches, may_be_in_handler
from gdbfpu.kernel.tasks import Kernel

SIGUSR1, SIGALRM, LAST = 10, 14, 64
NODEFER, RESETHAND, RESTART = 0x40000000, 0x80000000, 0x10000000


@pytest.fixture
def world():
    world = World()
    world.add(0, flags=PF_KTHREAD)
    return world


def bit(signal):
    return 1 << (signal - 1)


@pytest.mark.parametrize(
    ("handled", "flags", "mask", "may"),
    [
        (SIGALRM, RESTART, 0, False),
        (SIGALRM, RESTART, bit(SIGALRM), True),
        (SIGALRM, RESTART, bit(SIGUSR1), False),
        (SIGALRM, NODEFER, 0, True),
        (LAST, 0, bit(LAST), True),
        (1, 0, bit(1), True),
    ],
)
def test_a_handler_runs_with_its_signal_blocked(world, handled, flags, mask, may):
    task = world.add(5)
    world.handle(task, handled, flags=flags)
    kernel = Kernel(world.target, layouts_44())
    assert may_be_in_handler(kernel, task, mask) is may
    world.target.put_int(task + BLOCKED, mask)
    world.target.reads.clear()
    assert may_be_in_handler(kernel, task) is may
    assert len(world.target.reads) == 2  # two members of the task at once, and the handlers


@pytest.mark.parametrize(
    ("handler", "flags", "may"), [(0, 0, False), (1, 0, False), (0, RESETHAND, True)]
)
def test_no_handler_runs_where_none_is_installed(world, handler, flags, may):
    task = world.add(5)
    world.handle(task, SIGALRM, handler, flags)
    kernel = Kernel(world.target, layouts_44())
    assert may_be_in_handler(kernel, task, (1 << 64) - 1) is may


def test_a_task_that_has_ended_is_in_none(world):
    task = world.add(5)
    world.target.put_int(task + SIGHAND, 0)
    assert not may_be_in_handler(Kernel(world.target, layouts_44()), task, (1 << 64) - 1)


def test_types_that_do_not_tell_leave_it_open(world):
    task = world.add(5)
    kernel = Kernel(world.target, layouts_44(without=("sighand_struct",)))
    assert may_be_in_handler(kernel, task, 0)


def test_what_a_task_blocks_and_how_often_it_left_a_cpu(world):
    task = world.add(5)
    world.target.put_int(task + BLOCKED, bit(SIGALRM) | bit(LAST))
    world.target.put_int(task + NVCSW, 40)
    world.target.put_int(task + NIVCSW, 2)
    kernel = Kernel(world.target, layouts_44())
    assert blocked(kernel, task) == 0x8000000000002000
    assert blocked_and_switches(kernel, kernel.task(task)) == (0x8000000000002000, 43)


@pytest.mark.parametrize(("stub", "reads"), [("qemu", 0), ("kgdb", 1)])
def test_a_walk_reads_it_along_where_that_takes_no_read(stub, reads):
    world = World(stub)
    world.add(0, flags=PF_KTHREAD)
    task = world.add(5)
    world.target.put_int(task + BLOCKED, bit(LAST))
    world.target.put_int(task + NVCSW, 40)
    kernel = Kernel(world.target, layouts_44())
    _, walked = kernel.tasks()
    world.target.reads.clear()
    assert blocked_and_switches(kernel, walked) == (1 << 63, 41)
    assert len(world.target.reads) == reads
