# SPDX-License-Identifier: GPL-2.0-or-later
"""What fpu-info tells of kernels from 4.4 to 6.16 and of their CPUs, and where it has it from."""

from __future__ import annotations

import pytest
from fake import STUBS
from fake_kernel import (
    COMMON,
    CPU_OFFSETS,
    FLAGS,
    FPU,
    GOLDEN,
    INIT_LEGACY,
    PF_KTHREAD,
    SYMBOLS,
    TASK_BYTES,
    TASKS,
    World,
    layouts_44,
    struct,
    task_struct,
)

from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.facts import Fact, facts
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Answers

ID = "00112233445566778899aabbccddeeff01234567"
CAPABILITIES = SYMBOLS["boot_cpu_data"] + 12  # u32 words: x86_capability in layouts_44()
EAGER = 1 << 29  # X86_FEATURE_EAGER_FPU in word 3
XSAVEOPT, XSAVEC, XSAVES = 1, 2, 8  # word 10: CPUID.(0xD,1):EAX, SDM volume 2
COMPACTED = 1 << 63
OWNER, IN_KERNEL, ALLOWED = 0xC200, 0xC208, 0xC209  # where these tests put per-CPU variables
CFG = 0xFFFFFFFF81010000


def facts_of(world, layouts=None, build_id=ID):
    model = fpu.probe(Kernel(world.target, layouts or layouts_44()))
    found = facts(model, build_id)
    assert len({fact.item for fact in found}) == len(found)
    return {fact.item: (fact.value, fact.source) for fact in found}


def per_cpu(world, name, address, value, size=8, cpu=0):
    world.target.symbols[name] = address
    for offset in CPU_OFFSETS:
        world.target.put_int(offset + address, 0, size)
    world.target.put_int(CPU_OFFSETS[cpu] + address, value, size)


@pytest.fixture
def world():
    """4.4.60 with two tasks: CPU 0, which stopped, runs `player`, CPU 1 its idle task."""
    world = World()
    idle = world.add(0, b"swapper/0", flags=PF_KTHREAD)
    world.player = world.add(7, b"player")
    world.run(world.player, 0)
    world.run(idle, 1, active=False)
    return world


# --- the kernel


def test_lazy_4_4(world):
    world.target.put_int(world.player + FPU + 5, 1, 1)  # fpregs_active
    layouts = layouts_44()
    layouts.source = "BTF"
    assert facts_of(world, layouts) == {
        "kernel": (GOLDEN["kernel"].rstrip("\n"), "linux_banner"),
        "build-id": (ID, "__start_notes, the same as in vmlinux"),
        "stub": ("kgdb", "the registers that it shows"),
        "KASLR offset": ("0x0", "where the build-id was found"),
        "struct fpu": ("thread.fpu.state", "members in BTF"),
        "switching": ("lazy", "X86_FEATURE_EAGER_FPU in boot_cpu_data"),
        "save instruction": ("XSAVE", "boot_cpu_data.x86_capability and the format"),
        "format": ("standard", "xcomp_bv of init_fpstate"),
        "size": ("832 bytes", "fpu_kernel_cfg, or xstate_size and its successors"),
        "features": ("0x7 x87|SSE|AVX", "xfeatures_mask"),
        "user features": ("0x7 x87|SSE|AVX", "features enabled in XCR0"),
        "supervisor features": ("0x0 -", "features enabled in IA32_XSS"),
        "CPU 0 runs": ("player (pid 7)", "current_task"),
        "CPU 0 registers": ("loaded: the CPU holds this task's", "fpu.fpregs_active"),
        "CPU 0 owner": ("unknown: this kernel has no such variable", "fpu_fpregs_owner_ctx"),
        "CPU 1 runs": ("swapper/0 (pid 0)", "current_task"),
        "CPU 1 registers": (
            "another task's, or nobody's: a kernel thread has none",
            "task_struct.flags",
        ),
        "CPU 1 owner": ("unknown: this kernel has no such variable", "fpu_fpregs_owner_ctx"),
    }


def test_eager_4_4(world):
    world.target.put_int(CAPABILITIES + 4 * 3, EAGER, 4)
    found = facts_of(world)
    assert found["switching"] == ("eager", "X86_FEATURE_EAGER_FPU in boot_cpu_data")
    not_loaded = ("not loaded: memory holds this task's", "fpu.fpregs_active")
    assert found["CPU 0 registers"] == not_loaded


def test_facts_are_lines_of_text(world):
    model = fpu.probe(Kernel(world.target, layouts_44()))
    found = facts(model, "")
    assert found[0] == Fact("kernel", GOLDEN["kernel"].rstrip("\n"), "linux_banner")
    assert found[1].value == "none"
    assert all(isinstance(fact.value, str) and "\n" not in fact.value for fact in found)


def test_kernel_that_kaslr_moved(world):
    world.target.slide = 0x1C200000
    assert facts_of(world)["KASLR offset"][0] == "0x1c200000"


@pytest.mark.parametrize("stub", ["qemu", "core"])
def test_stub(world, stub):
    world.target.stub = STUBS[stub]
    assert facts_of(world)["stub"][0] == stub


THREAD_INFO = ("thread_info", 0, 16, "thread_info")


def layouts_510(*more, tail=(("state", 64, 3840),)):
    return Layouts(
        [
            task_struct(THREAD_INFO),
            *COMMON,
            struct("thread_info", 16, ("flags", 0, 8)),
            struct("fpu", 3904, ("last_cpu", 0, 4), *tail),
            struct("cpuinfo_x86", 200, ("x86_capability", 12, 76)),
            *more,
        ]
    )


def rename(world, **names):
    for old, new in names.items():
        world.target.symbols[new] = world.target.symbols.pop(old)


def world_510(world, mask=0x207, size=2696):
    """The fixture's machine as a 5.10 kernel sees it."""
    rename(world, xfeatures_mask="xfeatures_mask_all", xstate_size="fpu_kernel_xstate_size")
    world.target.put_int(SYMBOLS["xfeatures_mask"], mask)
    world.target.put_int(SYMBOLS["xstate_size"], size, 4)
    world.target.sizes.clear()
    world.sleeper = world.add(8, b"sleeper")
    return world


@pytest.mark.parametrize(
    ("bit", "flags", "loaded"),
    [(14, 0, True), (14, 1 << 14, False), (19, 0, True), (19, 1 << 19, False), (19, 1 << 14, True)],
)
def test_5_10(world, bit, flags, loaded):
    world_510(world).target.put_int(world.sleeper, 1 << bit)
    world.target.put_int(world.player, flags | 1 << 1)
    found = facts_of(world, layouts_510())
    assert found["struct fpu"][0] == "thread.fpu.state"
    assert found["switching"] == ("eager", "struct fpu has no use counter, so switching is eager")
    assert found["TIF_NEED_FPU_LOAD"] == (f"bit {bit}", "thread_info.flags of sleeping tasks")
    assert found["features"] == ("0x207 x87|SSE|AVX|PKRU", "xfeatures_mask_all")
    assert found["size"][0] == "2696 bytes"
    value, source = found["CPU 0 registers"]
    assert value.startswith("loaded: " if loaded else "not loaded: ")
    assert source == "TIF_NEED_FPU_LOAD"


@pytest.mark.parametrize("flag", ["initialized", "fpregs_active"])
def test_flag_of_struct_fpu_needs_no_thread_flag(world, flag):
    """4.15 to 5.1, and before."""
    tail = ((flag, 4, 1), ("state", 64, 3840))
    world_510(world).target.put_int(world.player + FPU + 4, 1, 1)
    found = facts_of(world, layouts_510(tail=tail))
    assert "TIF_NEED_FPU_LOAD" not in found
    assert found["CPU 0 registers"] == ("loaded: the CPU holds this task's", f"fpu.{flag}")


def compacted(world, xcomp_bv):
    world.target.put_int(SYMBOLS["init_fpstate"] + 512 + 8, COMPACTED | xcomp_bv)


@pytest.mark.parametrize(
    ("bits", "form", "instruction"),
    [
        (0, "standard", "XSAVE"),
        (XSAVEOPT, "standard", "XSAVEOPT"),
        (XSAVEC, "standard", "XSAVE"),
        (XSAVES | XSAVEC | XSAVEOPT, "standard", "XSAVEOPT"),
        (XSAVES | XSAVEC | XSAVEOPT, "compacted", "XSAVES"),
        (XSAVES, "compacted", "XSAVES"),
        (XSAVEC | XSAVEOPT, "compacted", "XSAVEC"),
        (XSAVEC, "compacted", "XSAVEC"),
        (XSAVEOPT, "compacted", "XSAVEOPT"),
        (0xFFFFFFFF & ~(XSAVES | XSAVEC | XSAVEOPT), "standard", "XSAVE"),
    ],
)
def test_save_instruction(world, bits, form, instruction):
    world_510(world).target.put_int(CAPABILITIES + 4 * 10, bits, 4)
    for word in (9, 11):  # the neighbours say otherwise
        world.target.put_int(CAPABILITIES + 4 * word, ~bits, 4)
    if form == "compacted":
        compacted(world, 0x207)
    found = facts_of(world, layouts_510())
    assert found["format"][0] == form
    assert found["save instruction"] == (
        instruction,
        "boot_cpu_data.x86_capability and the format",
    )


def test_save_instruction_without_boot_cpu_data(world):
    del world_510(world).target.symbols["boot_cpu_data"]
    unknown = ("XSAVE or better", "boot_cpu_data is missing")
    assert facts_of(world, layouts_510())["save instruction"] == unknown
    world.target.symbols["boot_cpu_data"] = SYMBOLS["boot_cpu_data"]
    layouts = layouts_510()
    kept = [layouts.struct(name) for name in layouts.names() if name != "cpuinfo_x86"]
    assert facts_of(world, Layouts(kept))["save instruction"] == unknown


def test_fxsave(world):
    world.target.put_int(SYMBOLS["xfeatures_mask"], 0)
    world.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    world.target.put_int(CAPABILITIES + 4 * 10, XSAVES | XSAVEOPT, 4)  # `noxsave` leaves no mask
    found = facts_of(world)
    assert found["format"][0] == "fxsave"
    assert found["save instruction"] == ("FXSAVE", "XSAVE has no component enabled")
    assert found["size"][0] == "512 bytes"
    assert found["features"][0] == "0x0 -"


def test_oldest_name_of_the_mask(world):
    rename(world, xfeatures_mask="pcntxt_mask")
    assert facts_of(world)["features"][1] == "pcntxt_mask"


def layouts_516(*, behind=False):
    """5.16's, or with `behind` 6.16's, where struct fpu follows task_struct."""
    more = (
        struct("fpstate", 3840, ("size", 0, 4), ("xfeatures", 8, 8), ("regs", 64, 3776)),
        struct("fpu_state_config", 40, ("default_size", 4, 4), ("max_features", 8, 8)),
    )
    layouts = layouts_510(*more, tail=(("fpstate", 24, 8, "fpstate", True),))
    if not behind:
        return layouts
    kept = [layouts.struct(name) for name in layouts.names() if name != "thread_struct"]
    return Layouts([*kept, struct("thread_struct", 4096, ("sp", 24, 8))])


@pytest.mark.parametrize("behind", [False, True])
def test_5_16_and_6_16(world, behind):
    """Here CET_U and CET_S (SDM volume 1, 13.1) are among the components."""
    world_510(world)
    world.target.symbols["fpu_kernel_cfg"] = CFG
    world.target.put(CFG, bytes(40))
    world.target.put_int(CFG + 4, 2000, 4)
    world.target.put_int(CFG + 8, 0x1A07)
    world.target.put(SYMBOLS["init_fpstate"], b"\0" * 64 + INIT_LEGACY)
    world.target.put_int(SYMBOLS["init_fpstate"] + 64 + 512 + 8, COMPACTED | 0x1A07)
    found = facts_of(world, layouts_516(behind=behind))
    place = "x86_task_fpu()" if behind else "thread.fpu"
    assert found["struct fpu"] == (f"{place}.fpstate", "members in DWARF")
    assert found["format"][0] == "compacted"
    assert found["size"][0] == "2000 bytes"
    assert found["features"] == ("0x1a07 x87|SSE|AVX|PKRU|CET_U|CET_S", "fpu_kernel_cfg")
    assert found["user features"][0] == "0x207 x87|SSE|AVX|PKRU"
    assert found["supervisor features"][0] == "0x1800 CET_U|CET_S"


# --- the CPUs


def owner(world, value, cpu=0, layouts=None):
    per_cpu(world, "fpu_fpregs_owner_ctx", OWNER, value, cpu=cpu)
    found = facts_of(world, layouts)
    assert found[f"CPU {1 - cpu} owner"] == ("nobody", "fpu_fpregs_owner_ctx")
    return found[f"CPU {cpu} owner"]


@pytest.mark.parametrize("cpu", [0, 1])
def test_owner(world, cpu):
    other = world.add(9, b"sleeper")
    assert owner(world, other + FPU, cpu) == ("sleeper (pid 9)", "fpu_fpregs_owner_ctx")


def test_owner_whose_fpu_lies_behind_its_task(world):
    world_510(world)
    layouts = layouts_516(behind=True)
    value, _ = owner(world, world.sleeper + TASK_BYTES, layouts=layouts)
    assert value == "sleeper (pid 8)"


def test_a_dump_shows_no_control_registers(world):
    alive = facts_of(world)
    world.target.control[0, "cr0"] = 0x8005003B
    world.target.machine = None
    assert facts_of(world) == alive


def test_owner_up_to_4_1(world):
    """fpu_owner_task is a task_struct."""
    other, dead = world.add(9, b"sleeper"), 0xFFFF880000F00000
    expected = {
        other: "sleeper (pid 9)",
        other + FPU: f"task_struct {other + FPU:#x}, which belongs to no living task",
        dead: f"task_struct {dead:#x}, which belongs to no living task",
        0: "nobody",
    }
    for value, text in expected.items():
        per_cpu(world, "fpu_owner_task", OWNER, value, cpu=1)
        assert facts_of(world)["CPU 1 owner"] == (text, "fpu_owner_task")
        assert facts_of(world)["CPU 0 owner"] == ("nobody", "fpu_owner_task")


def test_owner_that_has_ended(world):
    dead = 0xFFFF880000F00000 + FPU
    assert owner(world, dead)[0] == f"struct fpu {dead:#x}, which belongs to no living task"


def test_owner_when_the_task_list_is_torn(world):
    world.target.put_int(world.player + TASKS, 0xDEAD000000000100)
    value, _ = owner(world, 0xFFFF880000F00000)
    assert value.startswith("struct fpu 0xffff880000f00000; ")
    assert f"{0xDEAD000000000100 - TASKS + FLAGS:#x}" in value


@pytest.mark.parametrize(
    ("name", "address", "values"),
    [
        ("in_kernel_fpu", IN_KERNEL, {0: "no", 1: "yes"}),
        ("kernel_fpu_allowed", ALLOWED, {0: "yes", 1: "no"}),  # 6.16: inverted
    ],
)
@pytest.mark.parametrize("value", [0, 1])
def test_kernel_use(world, name, address, values, value):
    assert "CPU 0 kernel use" not in facts_of(world)
    per_cpu(world, name, address, value, 1, cpu=1)
    found = facts_of(world)
    assert found["CPU 1 kernel use"] == (values[value], name)
    assert found["CPU 0 kernel use"] == (values[0], name)


@pytest.mark.parametrize("value", [0, 1])
def test_registers_that_kernel_code_uses_are_no_tasks(world, value):
    """Up to 5.1 kernel_fpu_begin() leaves the flag in struct fpu as it is."""
    world.target.put_int(world.player + FPU + 5, 1, 1)  # fpregs_active
    per_cpu(world, "in_kernel_fpu", IN_KERNEL, value, 1)
    expected = [
        ("loaded: the CPU holds this task's", "fpu.fpregs_active"),
        ("not loaded: kernel code uses the FPU", "in_kernel_fpu"),
    ]
    assert facts_of(world)["CPU 0 registers"] == expected[value]


@pytest.mark.parametrize(
    ("cr0", "shown"),
    [
        (0x80050033, "TS 0, EM 0"),
        (0x8005003B, "TS 1, EM 0"),
        (0x80050037, "TS 0, EM 1"),
        (0xFFFFFFF3, "TS 0, EM 0"),
        (0xC, "TS 1, EM 1"),
    ],
)
def test_cr0(world, cr0, shown):
    world.target.control[1, "cr0"] = cr0
    found = facts_of(world)
    assert found["CPU 1 CR0"] == (shown, "the stub")
    assert "CPU 0 CR0" not in found


def test_cr0_of_zero_is_shown(world):
    world.target.put_int(world.player + FPU + 5, 1, 1)  # fpregs_active
    world.target.control[0, "cr0"] = 0
    assert facts_of(world)["CPU 0 CR0"][0] == "TS 0, EM 0"


TOLD = {"cr0": 0x80050033, "cr4": 0x3406F0, "efer": 0xD01}


def test_registers_of_a_cpu_that_was_asked(world):
    world.target.put_int(world.player + FPU + 5, 1, 1)  # fpregs_active
    before = facts_of(world)
    world.target.answers = Answers(0, {**TOLD, "ia32_xss": 0x800, "ia32_xfd": 1 << 18}, 832)
    found = facts_of(world)
    assert {item: found[item] for item in found if item not in before} == {
        "CPU 0 CR0": ("TS 0, EM 0", "the CPU"),
        "CPU 0 CR4": ("0x3406f0", "the CPU"),
        "CPU 0 EFER": ("0xd01", "the CPU"),
        "CPU 0 IA32_XSS": ("0x800", "the CPU"),
        "CPU 0 IA32_XFD": ("0x40000", "the CPU"),
        "CPU 0 CPUID.(0xD,0)": ("832 bytes for the components in XCR0", "the CPU"),
    }
    assert all(found[item] == before[item] for item in before)


def test_a_cpu_without_xsave_that_was_asked(world):
    world.target.answers = Answers(1, TOLD)
    found = facts_of(world)
    assert [item for item in found if item.startswith("CPU 1 C")] == ["CPU 1 CR0", "CPU 1 CR4"]
    assert [item for item in found if item.startswith("CPU 0 C")] == []


LOADED = "CR0.TS is set, but the task's registers count as loaded"
OPEN = "CR0.TS is clear, but the task's registers do not count as loaded"


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(
    ("active", "ts", "lazy", "said"),
    [
        (1, 0, True, ""),
        (1, 1, True, f"; the kernel says something else: {LOADED}"),
        (0, 0, True, f"; the kernel says something else: {OPEN}"),
        (0, 1, True, ""),
        (1, 1, False, f"; the kernel says something else: {LOADED}"),
        (0, 0, False, ""),
    ],
)
def test_cr0_ts_against_the_kernels_word(world, active, ts, lazy, said, asked):
    """4.4: fpregs_active is the kernel's word. Eager switching leaves TS clear always."""
    world.target.put_int(world.player + FPU + 5, active, 1)
    world.target.put_int(CAPABILITIES + 4 * 3, 0 if lazy else EAGER, 4)
    cr0 = 0x80050033 | ts << 3
    if asked:
        world.target.answers = Answers(0, {**TOLD, "cr0": cr0})
    else:
        world.target.control[0, "cr0"] = cr0
    value = f"TS {ts}, EM 0{said}"
    assert facts_of(world)["CPU 0 CR0"] == (value, "the CPU" if asked else "the stub")


@pytest.mark.parametrize("ts", [0, 1])
def test_cr0_ts_of_a_kernel_thread_contradicts_nothing(world, ts):
    world.target.control[1, "cr0"] = 0x80050033 | ts << 3
    assert facts_of(world)["CPU 1 CR0"][0] == f"TS {ts}, EM 0"


def test_cr0_ts_while_kernel_code_has_the_fpu(world):
    """kernel_fpu_begin() clears TS."""
    per_cpu(world, "in_kernel_fpu", IN_KERNEL, 1, 1)
    world.target.control[0, "cr0"] = 0x80050033
    assert facts_of(world)["CPU 0 CR0"][0] == "TS 0, EM 0"


def test_current_task_that_cannot_be_read(world):
    wild = 0xDEAD000000000000
    world.target.put_int(CPU_OFFSETS[1] + SYMBOLS["current_task"], wild)
    found = facts_of(world)
    value, source = found["CPU 1 runs"]
    assert f"{wild + FLAGS:#x}" in value
    assert source == "current_task"
    assert "CPU 1 registers" not in found
    assert "CPU 1 owner" in found
    assert found["CPU 0 runs"] == ("player (pid 7)", "current_task")


def test_cpus_that_are_offline_are_left_out(world):
    world.target.symbols["__cpu_online_mask"] = CFG
    world.target.put_int(CFG, 0b10)
    found = facts_of(world)
    assert "CPU 1 runs" in found
    assert not [item for item in found if item.startswith("CPU 0")]
