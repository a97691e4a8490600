# SPDX-License-Identifier: GPL-2.0-or-later
"""One read of a task_struct that proves that the task runs on the stopped CPU."""

from __future__ import annotations

import pytest
from fake_kernel import FLAGS, PF_KTHREAD, World, layouts_44, struct, task_struct

from gdbfpu.kernel import bounded
from gdbfpu.kernel.running import find_reader
from gdbfpu.kernel.tasks import Kernel, Task
from gdbfpu.layouts.types import Layouts

# As in task_struct of 5.10 on x86-64: thread_info first, then the stack; FLAGS is in between.
THREAD_FLAGS, STACK, ON_CPU, CPU = 0, 8, 24, 28
STACK_AT = 0xFFFFC90000100000
THREAD_SIZE = 16384
INFO = struct("thread_info", 8, ("flags", 0, 8))
MEMBERS = {
    "thread_info": ("thread_info", THREAD_FLAGS, 8, "thread_info"),
    "stack": ("stack", STACK, 8),
    "on_cpu": ("on_cpu", ON_CPU, 4),
    "cpu": ("cpu", CPU, 4),
}


def layouts(*without):
    members = [member for name, member in MEMBERS.items() if name not in without]
    others = (layouts_44().struct(n) for n in layouts_44().names() if n != "task_struct")
    return Layouts([task_struct(*members), INFO, *others])


@pytest.fixture
def world():
    world = World()
    world.target.sizes["init_stack"] = THREAD_SIZE
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    return world


def running(world, pid, cpu=0, comm=b"task"):
    """Add a task that runs on the CPU that stopped, on a stack of its own."""
    task = world.add(pid, comm)
    world.target.put_int(task + STACK, STACK_AT + pid * 0x10000)
    run(world, task, cpu)
    return task


def run(world, task, cpu=0):
    world.run(task, cpu)
    world.target.put_int(task + ON_CPU, 1, 4)
    world.target.put_int(task + CPU, cpu, 4)
    world.target.registers["rsp"] = world.read(task + STACK, 8) + THREAD_SIZE - 0x200


def reads(world, kernel):
    world.target.reads.clear()
    found = kernel.current()
    return found, list(world.target.reads)


def test_a_known_task_costs_one_read_and_its_name(world):
    task = running(world, 7, 1)
    kernel = Kernel(world.target, layouts())
    kernel.current()
    world.target.put_int(task + THREAD_FLAGS, 0x4000)
    (cpu, found), asked = reads(world, kernel)
    assert (cpu, found) == (1, Task(task, 7, 7, "task", False))
    assert found.thread_flags == 0x4000
    assert asked == [(task, CPU + 4), (task + 1144, 16)]
    world.target.put_int(task + THREAD_FLAGS, 0)
    assert kernel.current()[1].thread_flags == 0


def test_a_task_that_moves_is_found_on_its_new_cpu(world):
    task = running(world, 7, 1)
    kernel = Kernel(world.target, layouts())
    assert kernel.current()[0] == 1
    run(world, task, 0)
    assert kernel.current()[0] == 0


def test_a_name_and_a_kind_that_change_are_told(world):
    task = running(world, 7)
    world.target.put_int(task + FLAGS, PF_KTHREAD, 4)
    kernel = Kernel(world.target, layouts())
    assert kernel.current()[1].kthread is True
    world.target.put_int(task + FLAGS, 0, 4)  # the kernel thread executed a program
    world.target.put(task + 1144, b"program\0")
    assert kernel.current()[1] == Task(task, 7, 7, "program", False)


@pytest.mark.parametrize("off", [-0x100, THREAD_SIZE])
def test_a_stack_pointer_elsewhere_proves_nothing(world, off):
    task = running(world, 7)
    kernel = Kernel(world.target, layouts())
    kernel.current()
    world.target.registers["rsp"] = world.read(task + STACK, 8) + off
    (_, found), asked = reads(world, kernel)
    assert found.address == task
    assert found.thread_flags is None
    assert (world.target.symbols["kgdb_info"] + 8, 8) in asked


def test_a_dead_task_whose_pid_and_stack_are_used_again_is_not_believed(world):
    task = running(world, 7)
    kernel = Kernel(world.target, layouts())
    assert kernel.current()[1].address == task
    world.target.put_int(task + ON_CPU, 0, 4)
    successor = running(world, 7, comm=b"successor")
    assert world.read(successor + STACK, 8) == world.read(task + STACK, 8)
    assert kernel.current()[1] == Task(successor, 7, 7, "successor", False)


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_a_kernel_without_one_of_the_members_has_no_reader(world, name):
    assert find_reader(world.target, layouts()) is not None
    assert find_reader(world.target, layouts(name)) is None


def test_a_stack_of_unknown_size_proves_nothing(world):
    world.target.sizes.clear()
    assert find_reader(world.target, layouts()) is None
    world.target.sizes["init_thread_union"] = 8192  # its name up to 4.17
    reader = find_reader(world.target, layouts())
    assert reader is not None
    assert reader.stack_size == 8192


def test_what_is_known_of_tasks_does_not_grow_for_ever(world, monkeypatch):
    monkeypatch.setattr(bounded, "MAX_KNOWN", 20)
    kernel = Kernel(world.target, layouts())
    for pid in range(1, 100):
        task = running(world, pid)
        assert kernel.current() == (0, Task(task, pid, pid, "task", False))
        assert len(kernel._known) <= 20
        assert len(kernel._last) <= 20
