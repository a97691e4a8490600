# SPDX-License-Identifier: GPL-2.0-or-later
"""CPUs in the way of a jump, on kernels whose tasks and stacks are written by hand."""

from __future__ import annotations

import pytest
from fake_kernel import (
    COMMON,
    FPU_44,
    PF_KTHREAD,
    World,
    struct,
    task_struct,
)

from gdbfpu.errors import GdbFpuError, MemoryFault, MissingMember
from gdbfpu.fast.cpus import Where, kgdb_cpus, obstacles, stub_cpus
from gdbfpu.fast.trampoline import Diverted
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.probes.window import Window

PROBE = Probe("copy_fpstate_to_sigframe", Job.SAVE_FRAME, "current", 3, "4.2")
ENTRY, OTHER = 0xFFFFFFFF8101D3C0, 0xFFFFFFFF8101D7C0
INFO, REGS = 0xFFFFFFFF82001000, 0xFFFFC90000010000
STACKS, SIZE, STACK = 0xFFFFC90000100000, 0x4000, 1300
IP, CS, SP = 128, 136, 152  # struct pt_regs of x86-64, arch/x86/include/asm/ptrace.h
KERNEL_CS, USER_CS = 0x10, 0x33
WANT_MASTER, IS_SLAVE = 1, 4

REGISTERS = struct("pt_regs", 168, ("ip", IP, 8), ("cs", CS, 8), ("sp", SP, 8))
DEBUG = struct(
    "debuggerinfo_struct",
    48,
    ("debuggerinfo", 8, 8),
    ("task", 16, 8, "task_struct", True),
    ("exception_state", 24, 4),
)


def diverted(address=ENTRY, code=bytes(6), instructions=3):
    return Diverted(PROBE, Window(address, code, code, instructions))


class Setup:
    """Two CPUs, of which CPU 0 is the master, and a task with a stack on each."""

    def __init__(self, stub="kgdb", without=()):
        self.world = World(stub)
        self.target = self.world.target
        self.target.symbols.update(kgdb_info=INFO, init_stack=STACKS)
        self.target.sizes["init_stack"] = SIZE
        self.target.put(INFO, bytes(48 * 2))
        for cpu in range(2):
            task = self.world.add(cpu, flags=PF_KTHREAD)
            self.target.put_int(task + STACK, STACKS + SIZE * cpu)
            self.target.put(STACKS + SIZE * cpu, bytes(SIZE))
            self.world.run(task, cpu, active=not cpu)
            self.target.put_int(INFO + 48 * cpu + 8, REGS + 0x1000 * cpu)
            self.target.put(REGS + 0x1000 * cpu, bytes(168))
            self.put(cpu, 0xFFFFFFFF81000000 + cpu, STACKS + SIZE * (cpu + 1) - 0x80)
        structs = (task_struct(("stack", STACK, 8)), *COMMON, DEBUG, REGISTERS, *FPU_44)
        self.kernel = Kernel(self.target, Layouts(s for s in structs if s.name not in without))

    def put(self, cpu, ip, sp, cs=KERNEL_CS, state=IS_SLAVE):
        """Set a CPU's registers, as KGDB and as a stub outside the kernel show them."""
        for offset, value in ((IP, ip), (SP, sp), (CS, cs)):
            self.target.put_int(REGS + 0x1000 * cpu + offset, value)
        self.target.put_int(INFO + 48 * cpu + 24, state, 4)
        self.target.control.update({(cpu, "rip"): ip, (cpu, "rsp"): sp, (cpu, "cs"): cs})

    def why(self, *where, functions=None):
        return obstacles(self.kernel, where, functions or [diverted()])


@pytest.fixture
def setup():
    return Setup()


# --- where they are


def test_kgdbs_cpus_but_for_the_master(setup):
    setup.put(1, ENTRY, 0xFFFFC90000107F80)
    assert kgdb_cpus(setup.kernel, 0) == (Where(1, ENTRY, 0xFFFFC90000107F80, user=False),)
    (master,) = kgdb_cpus(setup.kernel, 1)
    assert master.cpu == 0


@pytest.mark.parametrize("state", [WANT_MASTER, IS_SLAVE])
def test_a_cpu_that_is_held(setup, state):
    setup.put(1, 0x401000, 0x7FFE00000000, USER_CS, state)
    assert kgdb_cpus(setup.kernel, 0) == (Where(1, 0x401000, 0x7FFE00000000, user=True),)


def test_a_cpu_that_kgdb_does_not_hold(setup):
    setup.put(1, ENTRY, 0, state=0)
    with pytest.raises(GdbFpuError, match=r"^KGDB does not hold CPU 1$"):
        kgdb_cpus(setup.kernel, 0)


def test_a_cpu_that_is_off(setup):
    setup.put(1, ENTRY, 0, state=0)
    setup.target.symbols["__cpu_online_mask"] = 0xFFFFFFFF83000000
    setup.target.put_int(0xFFFFFFFF83000000, 0b01)
    assert kgdb_cpus(setup.kernel, 0) == ()


def test_registers_that_are_nowhere(setup):
    setup.target.put_int(INFO + 48 + 8, 0)
    with pytest.raises(MemoryFault):
        kgdb_cpus(setup.kernel, 0)


def test_a_kernel_whose_registers_are_not_described():
    with pytest.raises(MissingMember, match="ip"):
        kgdb_cpus(Kernel(Setup().target, Layouts([task_struct(), *COMMON, DEBUG, *FPU_44])), 0)


def test_cpus_of_a_stub_outside():
    setup = Setup("qemu")
    setup.put(0, 0x401000, 0x7FFE00000000, USER_CS)
    setup.put(1, ENTRY + 1, STACKS + 2 * SIZE - 0x80)
    assert stub_cpus(setup.kernel) == (
        Where(0, 0x401000, 0x7FFE00000000, user=True),
        Where(1, ENTRY + 1, STACKS + 2 * SIZE - 0x80, user=False),
    )


@pytest.mark.parametrize("name", ["rip", "rsp", "cs"])
def test_a_stub_that_does_not_show_a_cpu(name):
    setup = Setup("qemu")
    del setup.target.control[1, name]
    with pytest.raises(GdbFpuError, match=r"^the stub does not show CPU 1$"):
        stub_cpus(setup.kernel)


# --- whether they are in the way

TOP = STACKS + 2 * SIZE


def at(ip=0xFFFFFFFF81000000, sp=TOP - 0x80, user=False, cpu=1):
    return Where(cpu, ip, sp, user)


def test_nobody_is_in_the_way(setup):
    assert setup.why() == ()
    assert setup.why(at(), at(cpu=0, sp=TOP - SIZE - 0x80)) == ()


@pytest.mark.parametrize("offset", range(-1, 8))
def test_the_program_counter_is_between_the_instructions(setup, offset):
    """At the first one the jump has not begun; behind the last, all of it is over."""
    inside = 0 < offset < 6
    said = ("CPU 1 is where a jump is to be written",) if inside else ()
    assert setup.why(at(ENTRY + offset)) == said


@pytest.mark.parametrize("offset", range(-1, 8))
@pytest.mark.parametrize("depth", [8, 0x80, 0x800])
def test_an_interrupt_has_saved_such_a_place(setup, offset, depth):
    sp = TOP - 0x800
    setup.target.put_int(TOP - depth, ENTRY + offset)
    said = "CPU 1 was interrupted where a jump is to be written"
    assert setup.why(at(sp=sp)) == ((said,) if 0 < offset < 6 else ())


def test_what_is_below_the_stack_pointer_is_over(setup):
    setup.target.put_int(TOP - 0x100, ENTRY + 2)
    assert setup.why(at(sp=TOP - 0xF8)) == ()
    assert len(setup.why(at(sp=TOP - 0x100))) == 1


def test_the_stack_is_that_of_the_task_on_this_cpu(setup):
    setup.target.put_int(TOP - 8, ENTRY + 2)
    assert setup.why(at(cpu=0, sp=TOP - SIZE - 0x80)) == ()
    assert len(setup.why(at(cpu=1))) == 1


@pytest.mark.parametrize("sp", [0, TOP, TOP + 8, TOP - SIZE - 8, 0xFFFFFE0000003FA8])
def test_another_stack_is_an_interrupts(setup, sp):
    assert setup.why(at(sp=sp)) == ("CPU 1 handles an interrupt",)


@pytest.mark.parametrize("sp", [TOP - SIZE, TOP - 8, TOP - 7, TOP - 1])
def test_the_edges_of_a_stack(setup, sp):
    assert setup.why(at(sp=sp)) == ()


def test_a_program_is_never_in_the_way(setup):
    assert setup.why(at(ENTRY + 1, 0x7FFE00000000, user=True)) == ()


def test_one_instruction_has_no_inside(setup):
    setup.target.reads.clear()
    assert setup.why(at(ENTRY + 1), functions=[diverted(instructions=1)]) == ()
    assert setup.target.reads == []


def test_each_function_and_each_cpu(setup):
    functions = [diverted(instructions=1), diverted(OTHER)]
    everybody = [at(ENTRY + 1, TOP - SIZE - 0x80, cpu=0), at(OTHER + 5)]
    assert setup.why(*everybody, functions=functions) == ("CPU 1 is where a jump is to be written",)
    functions.append(diverted())
    assert setup.why(*everybody, functions=functions) == (
        "CPU 0 is where a jump is to be written",
        "CPU 1 is where a jump is to be written",
    )


def test_the_size_of_a_stack_has_to_be_known(setup):
    """Or every CPU would seem to handle an interrupt, for ever."""
    setup.target.sizes.clear()
    with pytest.raises(GdbFpuError, match="'init_stack'"):
        setup.why(at())


def test_a_stack_that_is_not_there(setup):
    task = setup.kernel.current_task(1)
    setup.target.put_int(task + STACK, 0xFFFFC90000900000)
    with pytest.raises(MemoryFault):
        setup.why(at(sp=0xFFFFC90000900010))
