# SPDX-License-Identifier: GPL-2.0-or-later
"""CPUs that wait to enter KGDB, told by KGDB's own variables in a fake memory."""

from __future__ import annotations

import pytest
from fake_kernel import COMMON, FPU_44, SYMBOLS, World, struct, task_struct

from gdbfpu.errors import GdbFpuError, MissingMember, MissingSymbol
from gdbfpu.kernel.kgdb import active_cpu, held, knows_cpus, slave_states, waiting_cpus
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts

SIZE, STATE = 40, 24  # of the made up debuggerinfo_struct
WANT_MASTER, NEXT_MASTER, IS_SLAVE = 1, 2, 4  # kernel/debug/debug_core.h
INFO = struct(
    "debuggerinfo_struct",
    SIZE,
    ("debuggerinfo", 0, 8),
    ("task", 8, 8, "task_struct", True),
    ("exception_state", STATE, 4),
)
WITHOUT_STATE = next(one for one in COMMON if one.name == INFO.name)


def kernel_of(states, *, active=0, stub="kgdb", info=INFO):
    """A kernel whose CPUs have `states`, as u32, in kgdb_info."""
    world = World(stub)
    target = world.target
    offsets = target.symbols["__per_cpu_offset"] = 0xFFFFFFFF82000000
    target.put(offsets, bytes(8 * len(states)))
    target.put_int(SYMBOLS["nr_cpu_ids"], len(states), 4)
    base = target.symbols["kgdb_info"] = 0xFFFFFFFF82001000
    target.put(base, b"\xff" * SIZE * len(states))
    for cpu, state in enumerate(states):
        target.put_int(base + SIZE * cpu + STATE, state, 4)
    target.put_int(SYMBOLS["kgdb_active"], active, 4)
    return Kernel(target, Layouts([task_struct(), COMMON[0], info, *FPU_44]))


@pytest.mark.parametrize(
    ("states", "active", "waiting"),
    [
        ([0, 0], 0, ()),
        ([WANT_MASTER, 0], 0, ()),  # the one that is debugged
        ([WANT_MASTER, IS_SLAVE], 0, ()),
        ([WANT_MASTER, WANT_MASTER], 0, (1,)),
        ([WANT_MASTER, WANT_MASTER], 1, (0,)),
        ([WANT_MASTER, NEXT_MASTER], 0, ()),
        ([IS_SLAVE, WANT_MASTER | IS_SLAVE, WANT_MASTER, WANT_MASTER], 2, (1, 3)),
        ([WANT_MASTER] * 3, 0xFFFFFFFF, (0, 1, 2)),  # kgdb_active is -1 where none is
    ],
)
def test_cpus_that_wait(states, active, waiting):
    assert waiting_cpus(kernel_of(states, active=active)) == waiting


def test_cpus_that_are_not_online_do_not_wait():
    kernel = kernel_of([0, WANT_MASTER, WANT_MASTER])
    kernel.target.symbols["__cpu_online_mask"] = 0xFFFFFFFF83000000
    kernel.target.put_int(0xFFFFFFFF83000000, 0b011)
    assert waiting_cpus(kernel) == (1,)


@pytest.mark.parametrize("stub", ["qemu", "core"])
def test_other_stubs_hold_no_cpu(stub):
    kernel = kernel_of([0, WANT_MASTER], stub=stub)
    kernel.target.reads.clear()
    assert waiting_cpus(kernel) == ()
    assert kernel.target.reads == []


def test_kernel_that_does_not_say():
    """Without the member, or without the array, nothing is known of any CPU."""
    assert waiting_cpus(kernel_of([0, WANT_MASTER], info=WITHOUT_STATE)) == ()
    kernel = kernel_of([0, WANT_MASTER])
    del kernel.target.symbols["kgdb_info"]
    assert waiting_cpus(kernel) == ()


def test_missing_kgdb_active_is_named():
    kernel = kernel_of([0, WANT_MASTER])
    del kernel.target.symbols["kgdb_active"]
    with pytest.raises(MissingSymbol, match="kgdb_active"):
        waiting_cpus(kernel)


@pytest.mark.parametrize(
    ("state", "is_held"),
    [
        (0, False),
        (WANT_MASTER, True),
        (NEXT_MASTER, False),
        (IS_SLAVE, True),
        (WANT_MASTER | IS_SLAVE, True),
        (0xFFFFFFF8, False),
    ],
)
def test_cpus_that_are_held(state, is_held):
    """KGDB gathers them; one that did not come runs on."""
    kernel = kernel_of([0, state, WANT_MASTER | IS_SLAVE])
    assert held(kernel, 1) is is_held
    assert (held(kernel, 0), held(kernel, 2)) == (False, True)


def test_whether_a_cpu_is_held_has_to_be_known():
    with pytest.raises(MissingMember, match="exception_state"):
        held(kernel_of([0, 0], info=WITHOUT_STATE), 1)


@pytest.mark.parametrize("active", [0, 1])
def test_the_cpu_that_reports(active):
    assert active_cpu(kernel_of([WANT_MASTER, IS_SLAVE], active=active)) == active


def test_the_cpu_that_reports_has_to_be_known():
    kernel = kernel_of([0, 0])
    del kernel.target.symbols["kgdb_active"]
    with pytest.raises(MissingSymbol, match="kgdb_active"):
        active_cpu(kernel)


BASE = 0xFFFFFFFF82001000  # of kgdb_info


@pytest.mark.parametrize(
    ("states", "active", "expected"),
    [
        ([WANT_MASTER, IS_SLAVE], 0, []),
        ([WANT_MASTER, WANT_MASTER], 0, [(BASE + 40 + 24, 1, 4)]),
        ([WANT_MASTER, WANT_MASTER], 1, [(BASE + 24, 1, 4)]),
        ([WANT_MASTER, WANT_MASTER | IS_SLAVE], 0, [(BASE + 64, 5, 4)]),
        (
            [WANT_MASTER, 0x11, IS_SLAVE, 0xFFFFFFFF],
            0,
            [(BASE + 64, 0x11, 0x14), (BASE + 144, 0xFFFFFFFF, 0xFFFFFFFE)],
        ),
    ],
)
def test_cpus_that_wait_as_slaves_meanwhile(states, active, expected):
    """Bit 0, DCPU_WANT_MASTER, off, bit 2, DCPU_IS_SLAVE, on, and all else as it was."""
    kernel = kernel_of(states, active=active)
    assert list(slave_states(kernel)) == expected
    assert kernel.target.writes == []


def test_no_cpu_may_run_meanwhile():
    kernel = kernel_of([WANT_MASTER, WANT_MASTER, 0x10], active=0)
    with pytest.raises(GdbFpuError, match=r"^KGDB does not hold CPU 2, which runs"):
        list(slave_states(kernel))


def test_a_kernel_that_does_not_say_which_cpus_are_held():
    assert knows_cpus(kernel_of([0, 0]))
    assert not knows_cpus(kernel_of([0, 0], info=WITHOUT_STATE))
    kernel = kernel_of([0, 0])
    del kernel.target.symbols["kgdb_info"]
    assert not knows_cpus(kernel)
