# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks, CPUs and names of a kernel whose lists may be torn, looped or hostile."""

from __future__ import annotations

import re

import pytest
from fake import FakeMemory
from fake_kernel import (
    COMM,
    COMMON,
    CPU_OFFSETS,
    FLAGS,
    GOLDEN,
    PF_KTHREAD,
    PID,
    SIGNAL,
    SYMBOLS,
    TASK_BASE,
    TASKS,
    TGID,
    THREAD_NODE,
    World,
    layouts_44,
    struct,
    task_struct,
)
from hypothesis import example, given
from hypothesis import strategies as st

from gdbfpu.errors import (
    CorruptState,
    MemoryFault,
    MissingMember,
    MissingSymbol,
    MissingType,
    UsageError,
)
from gdbfpu.kernel import tasks as kernel_module
from gdbfpu.kernel.kgdb import MAX_READ
from gdbfpu.kernel.tasks import Kernel, Task
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Thread
from gdbfpu.text.printable import printable


@pytest.fixture
def world():
    world = World()
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    return world


def kernel_of(world):
    return Kernel(world.target, layouts_44())


# --- the walk over the tasks


def test_walk_yields_leaders_and_their_threads_in_list_order(world):
    init = world.add(1, b"init")
    player = world.add(20, b"player")
    threads = [world.add(21, b"decoder", leader=player), world.add(22, b"mixer", leader=player)]
    worker = world.add(30, b"kworker/0:1", flags=PF_KTHREAD | 0x40)
    assert list(kernel_of(world).tasks()) == [
        Task(TASK_BASE, 0, 0, "swapper/0", True),
        Task(init, 1, 1, "init", False),
        Task(player, 20, 20, "player", False),
        Task(threads[0], 21, 20, "decoder", False),
        Task(threads[1], 22, 20, "mixer", False),
        Task(worker, 30, 30, "kworker/0:1", True),
    ]


def test_walk_of_a_kernel_with_one_task(world):
    assert [task.pid for task in kernel_of(world).tasks()] == [0]


def test_flags_other_than_kthread_make_no_kernel_thread(world):
    task = world.add(5, b"user", flags=0xFFFFFFFF & ~PF_KTHREAD)
    assert kernel_of(world).task(task).kthread is False


def test_pid_is_signed(world):
    task = world.add(-1, b"broken")
    assert kernel_of(world).task(task).pid == -1


def test_walk_stops_at_a_list_that_loops_past_its_head(world):
    first, second = world.add(1, b"a"), world.add(2, b"b")
    world.target.put_int(second + TASKS, first + TASKS)
    with pytest.raises(CorruptState, match=f"{first:#x}"):
        list(kernel_of(world).tasks())


def test_walk_stops_at_a_thread_list_that_loops(world):
    leader = world.add(1, b"a")
    one, two = world.add(2, b"b", leader=leader), world.add(3, b"c", leader=leader)
    world.target.put_int(two + THREAD_NODE, one + THREAD_NODE)
    seen = []
    with pytest.raises(CorruptState, match=f"{one:#x}"):
        for task in kernel_of(world).tasks():
            seen.append(task.pid)
    assert seen == [0, 1, 2, 3]


def test_thread_list_that_leads_back_to_the_leader_ends_there(world):
    leader = world.add(1, b"a")
    thread = world.add(2, b"b", leader=leader)
    world.target.put_int(thread + THREAD_NODE, leader + THREAD_NODE)  # past the list's head
    assert [task.pid for task in kernel_of(world).tasks()] == [0, 1, 2]


@pytest.mark.parametrize("pointer", [0, 8, 0xDEAD000000000100, (1 << 64) - 1])
@pytest.mark.parametrize("member", [TASKS, THREAD_NODE])
def test_torn_list_is_a_memory_fault(world, member, pointer):
    task = world.add(1, b"a")
    world.target.put_int(task + member, pointer)
    with pytest.raises((CorruptState, MemoryFault)):
        list(kernel_of(world).tasks())


def test_walk_believes_no_more_than_a_cap_of_tasks(world, monkeypatch):
    for pid in range(1, 6):
        world.add(pid)
    monkeypatch.setattr(kernel_module, "MAX_TASKS", 4)
    seen = []
    with pytest.raises(CorruptState):
        for task in kernel_of(world).tasks():
            seen.append(task.pid)
    assert seen == [0, 1, 2, 3]
    monkeypatch.setattr(kernel_module, "MAX_TASKS", 6)
    assert len(list(kernel_of(world).tasks())) == 6


def test_no_read_of_a_walk_is_longer_than_the_stub_bears(world):
    world.run(world.add(1))
    kernel = kernel_of(world)
    list(kernel.tasks())
    kernel.current()
    assert max(length for _, length in world.target.reads) <= MAX_READ


def test_task_costs_few_packets(world):
    kernel = kernel_of(world)
    world.target.reads.clear()
    kernel.task(TASK_BASE)
    assert len(world.target.reads) == 3  # flags; pid and tgid; comm


# --- names


@pytest.mark.parametrize(
    ("comm", "text"),
    [
        (b"Xorg\0\0\0\0garbage\0", "Xorg"),
        (b"sixteen_bytes_xx", "sixteen_bytes_xx"),
        (b"", ""),
        (b"kworker/0:1H", "kworker/0:1H"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"a\nb\rc\td\x7f", r"a\x0ab\x0dc\x09d\x7f"),
        (b"\xff\xfeab", r"\xff\xfeab"),
        (b"caf\xc3\xa9", "café"),
        (b"\xc3", r"\xc3"),
        (b"a\\x1b", r"a\\x1b"),
        ("\u202eevil".encode(), r"\u202eevil"),  # right-to-left override
        ("\x9bm".encode(), r"\u009bm"),  # C1 CSI, which terminals obey
        (b"\x9bm", r"\x9bm"),
        ("\U000e0001".encode(), r"\U000e0001"),
        ("\ue000".encode(), r"\ue000"),
        (b"two words", "two words"),
        (b" edge ", r"\x20edge\x20"),
        (b" ", r"\x20"),
        (b"  ", r"\x20\x20"),
    ],
)
def test_printable(comm, text):
    assert printable(comm) == text


AWKWARD = st.one_of(
    st.binary(max_size=16),
    st.text(
        st.sampled_from("\\xu0e8520 \x1b\x85\u0085\ue000\U000e0000\U000f0000a"), max_size=8
    ).map(str.encode),
    st.lists(
        st.sampled_from([b"\\", b"x", b"u", b"0", b"8", b"5", b"\x85", b"\xc2\x85", b" ", b"e"]),
        max_size=8,
    ).map(b"".join),
)


def unescape(text):
    """Undo `printable` by the rules of its documentation, as a second formulation."""

    def meaning(found):
        escape = found[0]
        if escape == rb"\\":
            return b"\\"
        code = int(escape[2:], 16)
        return bytes([code]) if escape[1:2] == b"x" else chr(code).encode()

    return re.sub(rb"\\\\|\\x..|\\u....|\\U........", meaning, text.encode())


@given(AWKWARD)
@example(b"\x85")
@example(b"\xc2\x85")
@example("\ue0000".encode())
@example("\U000e0000".encode())
@example(b"\\xff")
@example(b"\xff")
def test_printable_obeys_nothing_and_can_be_undone(comm):
    text = printable(comm)
    assert text.isprintable()
    assert text == text.strip()
    assert unescape(text) == comm.split(b"\0")[0]


@given(AWKWARD, AWKWARD)
def test_no_two_names_look_alike(one, other):
    same = one.split(b"\0")[0] == other.split(b"\0")[0]
    assert (printable(one) == printable(other)) == same


# --- CPUs and the current task


def test_per_cpu_addresses_wrap(world):
    kernel = kernel_of(world)
    assert kernel.cpu_offsets == CPU_OFFSETS
    assert kernel.per_cpu("current_task", 1) == 0xFFFF88003FD0C000
    world.target.symbols["late"] = 0xFFFFFFFF82000000  # a static object, 64 bits wrap
    assert kernel.per_cpu("late", 0) == 0xFFFF87FFC1C00000


@pytest.mark.parametrize("cpu", [0, 1])
@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_current_is_the_stopped_cpus_task(stub, cpu):
    world = World(stub)
    tasks = [world.add(0, b"swapper/0", flags=PF_KTHREAD), world.add(1, b"init")]
    kernel = kernel_of(world)
    world.run(tasks[0], 1 - cpu, active=False)
    world.run(tasks[1], cpu)
    assert kernel.current() == (cpu, Task(tasks[1], 1, 1, "init", False))
    world.run(tasks[0], 1 - cpu)
    assert kernel.current() == (1 - cpu, Task(tasks[0], 0, 0, "swapper/0", True))


def test_no_task_is_current_in_a_dump():
    world = World(target=FakeMemory())
    task = world.add(1, b"init")
    world.run(task, 1, active=False)
    kernel = kernel_of(world)
    for ask in (kernel.current, kernel.selected, kernel.stopped):
        with pytest.raises(UsageError) as caught:
            ask()
        assert str(caught.value) == "a dump has no stopped CPU: attach to a running kernel"
    assert kernel.running_on(task) == 1
    assert [each.pid for each in kernel.tasks()] == [1]


def test_current_follows_a_task_that_moves(world):
    one, two = world.add(1, b"one"), world.add(2, b"two")
    kernel = kernel_of(world)
    for cpu in (0, 1, 0, 0, 1):
        world.run(two, 1 - cpu, active=False)
        world.run(one, cpu)
        assert kernel.current() == (cpu, Task(one, 1, 1, "one", False))
    world.run(one, 0, active=False)
    world.run(two, 1)
    assert kernel.current() == (1, Task(two, 2, 2, "two", False))


def test_current_costs_less_when_the_task_stays(world):
    task = world.add(1)
    kernel = kernel_of(world)
    world.run(task, 1)
    kernel.current()
    world.target.reads.clear()
    assert kernel.current()[0] == 1
    assert len(world.target.reads) == 2  # kgdb_info[1].task and the name


def test_current_sees_exec_and_a_new_task_in_an_old_ones_place(world):
    task = world.add(7, b"shell")
    kernel = kernel_of(world)
    world.run(task)
    assert kernel.current()[1] == Task(task, 7, 7, "shell", False)
    world.target.put(task + COMM, b"editor\0")
    assert kernel.current()[1] == Task(task, 7, 7, "editor", False)
    for offset, value in ((PID, 9), (TGID, 8), (FLAGS, PF_KTHREAD)):
        world.target.put_int(task + offset, value, 4)
    assert kernel.task(task) == Task(task, 9, 8, "editor", True)
    world.run(task)
    assert kernel.current() == (0, Task(task, 9, 8, "editor", True))


def test_a_pid_told_beforehand_is_believed_of_a_known_task_only(world):
    task = world.add(7, b"shell")
    kernel = kernel_of(world)
    assert kernel.task(task, 6) == Task(task, 7, 7, "shell", False)
    assert kernel.task(task, 7) == Task(task, 7, 7, "shell", False)
    world.target.put_int(task + PID, 8, 4)
    world.target.put_int(task + TGID, 5, 4)
    assert kernel.task(task, 8) == Task(task, 8, 5, "shell", False)


@pytest.mark.parametrize("cpu", [0, 1])
def test_idle_cpu_over_kgdb(world, cpu):
    world.run(TASK_BASE, cpu)
    kernel = kernel_of(world)
    for _ in range(2):
        assert kernel.current() == (cpu, Task(TASK_BASE, 0, 0, "swapper/0", True))
        assert kernel.selected() == Task(TASK_BASE, 0, 0, "swapper/0", True)


def test_current_over_kgdb_does_not_need_per_cpu_variables(world):
    task = world.add(1)
    world.run(task, 1)
    del world.target.symbols["current_task"]
    cpu, current = kernel_of(world).current()
    assert (cpu, current.address) == (1, task)


@pytest.mark.parametrize("cpu", [0, 1])
def test_gs_base_of_a_program_leaves_the_vcpus_number(cpu):
    world = World("qemu")
    task = world.add(1)
    world.run(task, cpu)
    world.target.registers["gs_base"] = 0x7F0000000000
    assert kernel_of(world).current() == (cpu, Task(task, 1, 1, "task", False))


@pytest.mark.parametrize("vcpu", [0, 3, 1 << 31])
def test_vcpu_that_the_kernel_does_not_have(vcpu):
    world = World("qemu")
    world.run(world.add(1))
    world.target.registers["gs_base"] = 0
    world.target.stopped = Thread(1, vcpu)
    with pytest.raises(CorruptState, match="gs_base"):
        kernel_of(world).current()


def test_gs_base_of_another_kernel():
    world = World("qemu")
    world.run(world.add(1))
    world.target.registers["gs_base"] = CPU_OFFSETS[0] + 0x1000
    with pytest.raises(CorruptState, match="gs_base"):
        kernel_of(world).current()


def test_stub_without_gs_base():
    world = World("core")
    world.run(world.add(1))
    del world.target.registers["gs_base"]
    with pytest.raises(CorruptState, match="gs_base"):
        kernel_of(world).current()


def test_selected_thread_over_kgdb_is_the_task_of_its_pid(world):
    leader = world.add(1, b"a")
    thread = world.add(2, b"b", leader=leader)
    world.run(leader)
    kernel = kernel_of(world)
    world.target.stopped = Thread(9, 2)
    assert kernel.selected() == Task(thread, 2, 1, "b", False)
    world.target.stopped = Thread(9, 3)
    with pytest.raises(CorruptState, match="3"):
        kernel.selected()


def test_selected_thread_over_the_gdbstub_is_the_vcpus_task():
    world = World("qemu")
    tasks = [world.add(1, b"a"), world.add(2, b"b")]
    world.run(tasks[0], 0, active=False)
    world.run(tasks[1], 1)
    assert kernel_of(world).selected() == Task(tasks[1], 2, 2, "b", False)


def test_running_on(world):
    tasks = [world.add(pid) for pid in (1, 2, 3)]
    world.run(tasks[0], 1)
    world.run(tasks[1], 0)
    kernel = kernel_of(world)
    assert [kernel.running_on(task) for task in tasks] == [1, 0, None]


@pytest.mark.parametrize("active", [-1, 2, 0x7FFFFFFF])
def test_kgdb_active_out_of_range(world, active):
    world.target.put_int(SYMBOLS["kgdb_active"], active, 4)
    with pytest.raises(CorruptState, match=r"kgdb_active.*, but there are 2 CPUs"):
        kernel_of(world).current()


def test_kgdb_without_its_type(world):
    world.run(world.add(1))
    with pytest.raises(MissingType, match="debuggerinfo_struct"):
        Kernel(world.target, layouts_44(without=["debuggerinfo_struct"])).current()


def test_kgdb_symbols_that_are_missing_are_named(world):
    kernel = kernel_of(world)
    for name in ("kgdb_info", "kgdb_active"):
        del world.target.symbols[name]
        with pytest.raises(MissingSymbol) as caught:
            kernel.current()
        assert caught.value.name == name


def test_current_task_in_pcpu_hot():
    world = World("qemu")
    task = world.add(0)
    hot = struct("pcpu_hot", 64, ("preempt_count", 0, 4), ("current_task", 8, 8))
    # what current_task says is not what counts
    world.target.put_int(CPU_OFFSETS[1] + SYMBOLS["current_task"], 0x1234)
    world.target.symbols["pcpu_hot"] = 0x1F000
    world.target.put_int(CPU_OFFSETS[1] + 0x1F000 + 8, task)
    kernel = Kernel(world.target, Layouts([task_struct(), *COMMON, hot]))
    assert kernel.current_task(1) == task
    del world.target.symbols["pcpu_hot"]  # the type without the object: 6.15 and later
    assert kernel.current_task(1) == 0x1234


@pytest.mark.parametrize("name", ["__cpu_online_mask", "cpu_online_bits"])
@pytest.mark.parametrize(
    ("count", "mask", "online"),
    [
        (2, 0b11, (0, 1)),
        (2, 0b10, (1,)),
        (2, 0xFF, (0, 1)),  # bits of CPUs that the kernel cannot have
        (9, 0x101, (0, 8)),
        (16, 0x8002, (1, 15)),
    ],
)
def test_online_cpus(world, name, count, mask, online):
    world.target.put_int(SYMBOLS["nr_cpu_ids"], count, 4)
    world.target.symbols["__per_cpu_offset"] = 0xFFFFFFFF82000000
    world.target.put(0xFFFFFFFF82000000, bytes(8 * count))
    world.target.symbols[name] = 0xFFFFFFFF82001000
    world.target.put_int(0xFFFFFFFF82001000, mask, (count + 7) // 8)
    kernel = kernel_of(world)
    world.target.reads.clear()
    assert kernel.online_cpus() == online
    assert world.target.reads == [(0xFFFFFFFF82001000, (count + 7) // 8)]


def test_newer_name_of_the_online_mask_counts(world):
    for at, name in enumerate(("cpu_online_bits", "__cpu_online_mask")):
        world.target.symbols[name] = 0xFFFFFFFF82001000 + 0x1000 * at
        world.target.put_int(world.target.symbols[name], 1 << at)
    assert kernel_of(world).online_cpus() == (1,)
    del world.target.symbols["cpu_online_bits"], world.target.symbols["__cpu_online_mask"]
    assert kernel_of(world).online_cpus() == (0, 1)


def test_selected_vcpu_is_no_pid():
    """QEMU's gdbstub numbers its threads from 1 as the kernel does its tasks."""
    world = World("qemu")
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    world.add(2, b"kthreadd", flags=PF_KTHREAD)
    world.run(world.add(40, b"player"), 1)
    assert world.target.stopped.lwp == 2
    assert kernel_of(world).selected().comm == "player"


SLIDE = 0x1C200000


@pytest.mark.parametrize("slide", [0, SLIDE])
def test_per_cpu_symbols_that_count_from_zero_do_not_move(world, slide):
    """Up to 6.14: the debugger moved them with all others, the kernel did not."""
    world.target.slide = slide
    world.target.symbols.update(__per_cpu_start=slide, current_task=0xC000 + slide)
    world.run(TASK_BASE, 1, active=False)
    world.target.put_int(CPU_OFFSETS[1] + 0xC000, TASK_BASE)
    kernel = kernel_of(world)
    assert kernel.per_cpu("current_task", 1) == CPU_OFFSETS[1] + 0xC000
    assert kernel.current_task(1) == TASK_BASE
    world.target.symbols["in_kernel_fpu"] = 0xC101 + slide  # one byte, at any address
    assert kernel.per_cpu("in_kernel_fpu", 1) == CPU_OFFSETS[1] + 0xC101


@pytest.mark.parametrize("start", [0xFFFFFFFF83000000, None])
def test_per_cpu_symbols_at_real_addresses_move_with_the_kernel(world, start):
    """Since 6.15 __per_cpu_offset is counted from where they are."""
    world.target.slide = SLIDE
    world.target.symbols["current_task"] = 0xFFFFFFFF83001000 + SLIDE
    if start is not None:
        world.target.symbols["__per_cpu_start"] = start + SLIDE
    expected = (CPU_OFFSETS[1] + 0xFFFFFFFF83001000 + SLIDE) % (1 << 64)
    assert kernel_of(world).per_cpu("current_task", 1) == expected


def test_pcpu_hot_without_its_type(world):
    world.target.symbols["pcpu_hot"] = 0x1F000
    world.run(TASK_BASE, 1)
    assert kernel_of(world).current_task(1) == TASK_BASE


def test_pcpu_hot_of_a_kernel_that_was_moved():
    world = World("qemu")
    task = world.add(0)
    hot = struct("pcpu_hot", 64, ("preempt_count", 0, 4), ("current_task", 8, 8))
    world.target.slide = SLIDE
    world.target.symbols.update(__per_cpu_start=SLIDE, pcpu_hot=0x1F000 + SLIDE)
    world.target.put_int(CPU_OFFSETS[1] + 0x1F000 + 8, task)
    kernel = Kernel(world.target, Layouts([task_struct(), *COMMON, hot]))
    assert kernel.current_task(1) == task


@pytest.mark.parametrize("name", ["__per_cpu_offset", "nr_cpu_ids"])
def test_uniprocessor_kernel_has_one_cpu_at_offset_zero(world, name):
    del world.target.symbols[name]
    world.target.put_int(SYMBOLS["current_task"], TASK_BASE)
    kernel = kernel_of(world)
    assert kernel.cpu_offsets == (0,)
    assert kernel.current_task(0) == TASK_BASE


@pytest.mark.parametrize("count", [0, 8193, 0xFFFFFFFF])
def test_absurd_number_of_cpus(world, count):
    world.target.put_int(SYMBOLS["nr_cpu_ids"], count, 4)
    with pytest.raises(CorruptState, match=f"nr_cpu_ids is {count}"):
        kernel_of(world)


def test_an_smp_kernel_on_one_cpu(world):
    world.target.put_int(SYMBOLS["nr_cpu_ids"], 1, 4)
    assert kernel_of(world).cpu_offsets == CPU_OFFSETS[:1]


def test_the_most_cpus_a_kernel_can_have(world):
    world.target.put_int(SYMBOLS["nr_cpu_ids"], 8192, 4)
    table = world.target.symbols["__per_cpu_offset"] = 0xFFFFFFFF82000000
    world.target.put(table, bytes(8 * 8191) + b"\0\x50".ljust(8, b"\0"))
    kernel = kernel_of(world)
    assert len(kernel.cpu_offsets) == 8192
    assert kernel.cpu_offsets[8191] == 0x5000


# --- what is missing


def test_banner(world):
    assert kernel_of(world).banner() == GOLDEN["kernel"].rstrip("\n")
    world.target.put(SYMBOLS["linux_banner"], b"Linux version \x1b[0m evil\nrest")
    assert kernel_of(world).banner() == r"Linux version \x1b[0m evil"


def test_missing_symbols_types_and_members_are_named(world):
    kernel = kernel_of(world)
    with pytest.raises(MissingSymbol, match="'no_such_thing'"):
        kernel.symbol("no_such_thing")
    with pytest.raises(MissingType) as type_caught:
        Kernel(world.target, Layouts([]))
    assert type_caught.value.name == "task_struct"
    bare = struct("task_struct", 100, ("pid", 0, 4), ("tgid", 4, 4))
    with pytest.raises(MissingMember) as member_caught:
        Kernel(world.target, Layouts([bare]))
    assert (member_caught.value.type_name, member_caught.value.member) == ("task_struct", "comm")


def test_unreadable_task_is_a_memory_fault(world):
    with pytest.raises(MemoryFault) as caught:
        kernel_of(world).task(0xDEAD0000)
    assert caught.value.address == 0xDEAD0000 + 20


@pytest.mark.parametrize("signal", [0, 0x10])
def test_thread_of_another_signal_struct_is_no_thread_of_the_process(world, signal):
    leader = world.add(1, b"a")
    thread = world.add(2, b"b", leader=leader)
    world.target.put_int(thread + SIGNAL, signal)
    seen = []
    with pytest.raises(CorruptState):
        for task in kernel_of(world).tasks():
            seen.append(task.pid)
    assert seen == [0, 1]
