# SPDX-License-Identifier: GPL-2.0-or-later
"""A task's state: which task, whose registers are the truth, and frames on a user stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_kernel import (
    CPU_OFFSETS,
    FPU,
    GOLDEN,
    INIT_LEGACY,
    PF_KTHREAD,
    SYMBOLS,
    World,
    golden_world,
    layouts_44,
    struct,
)

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.state import find_task, read_frame, read_state
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Answers, Thread

CPU_IMAGES = Path(__file__).parents[2] / "data" / "cpu"
ACTIVE, REGS_ACTIVE = FPU + 4, FPU + 5  # offsets of 4.4 from a task_struct
IN_KERNEL_FPU = 0xC100  # where this test puts the per-CPU flag
FRAME = 0x7FFD00001000
AUDIOD_XMM7 = bytes.fromhex("112d4454fb2109409c7500883ce437fe")  # 3.14159265358979, -1e300
SHOWN = {  # what a stub shows of a CPU, each byte unlike what memory holds
    "fcw": b"\x7f\x0a",
    "fsw": b"\0\x20",  # TOP 4
    "mxcsr": b"\x80\x9f\0\0",
    **{f"st{i}": bytes([0xB0 + i] * 10) for i in range(8)},
    **{f"xmm{i}": bytes([0xD0 + i] * 16) for i in range(16)},
}


def model_of(world):
    return fpu.probe(Kernel(world.target, layouts_44()))


def golden(comm, stub="kgdb"):
    """The recorded machine where `comm` had its pattern saved; returns world, model and task."""
    hit = next(h for h in GOLDEN["hits"] if h["comm"] == comm and h["header"]["xfeatures"])
    world, task = golden_world(hit, stub)
    world.target.put_int(task + REGS_ACTIVE, 0, 1)
    return world, model_of(world), task


def state_of(model, task):
    return read_state(model, model.kernel.task(task))


# --- where the truth is


def test_task_that_does_not_run():
    _, model, task = golden("audiod")
    state = state_of(model, task)
    assert state.truth == "in memory: the task does not run"
    assert (state.cpu, state.loaded, state.live) == (None, False, ())
    assert state.fpu == task + FPU
    assert state.image.register("xmm7").raw == AUDIOD_XMM7
    assert state.source("xmm7") == state.source("st0") == "memory"
    assert state.image.reason == "as this kernel saves it"


def test_running_task_whose_registers_are_not_loaded():
    world, model, task = golden("audiod", "qemu")
    world.run(task, 1)
    world.target.fpu[1] = SHOWN
    state = state_of(model, task)
    assert state.truth == "in memory: CPU 1 runs the task, but its registers are not loaded there"
    assert (state.cpu, state.loaded, state.live) == (1, False, ())
    assert state.image.register("xmm7").raw == AUDIOD_XMM7


def test_live_task_whose_registers_the_stub_hides():
    world, model, task = golden("audiod")
    world.run(task, 1)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    state = state_of(model, task)
    assert state.truth == (
        "live in CPU 1, which this stub does not show: these are the last saved values"
    )
    assert (state.cpu, state.loaded, state.live) == (1, True, ())
    assert state.image.register("xmm7").raw == AUDIOD_XMM7
    assert state.source("xmm7") == "memory"


def live_state():
    world, model, task = golden("Xorg", "qemu")
    world.run(task, 1)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    world.target.fpu[1] = SHOWN
    return state_of(model, task)


def test_live_task_whose_registers_the_stub_shows():
    state = live_state()
    assert state.truth == (
        "live in CPU 1: x87, XMM and MXCSR come from the CPU, "
        "all else (FOP, FIP, FDP, AVX) from the last save in memory"
    )
    assert {name: state.image.register(name).raw for name in SHOWN} == SHOWN
    assert {state.source(name) for name in SHOWN} == {"CPU"}
    assert state.raw[160:176] == bytes(range(16))  # Xorg's own pattern is still what memory has


def test_live_task_of_a_dump():
    """No CPU shows its registers, and none of them is the one that stopped."""
    world, model, task = golden("Xorg", "qemu")
    world.run(task, 1)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    world.target.fpu[1] = SHOWN
    world.target.machine = None
    state = state_of(model, task)
    assert (state.cpu, state.loaded, state.live) == (1, True, ())
    with pytest.raises(UsageError) as caught:
        find_task(model, "current")
    assert str(caught.value) == ("a dump has no current task: use PID, ADDRESS or --comm NAME")
    assert find_task(model, hex(task)).address == task


def test_registers_that_share_bytes_with_live_ones():
    state = live_state()
    for i in range(8):  # physical register i is ST(i - TOP)
        assert state.image.register(f"mm{i}").raw == SHOWN[f"st{(i - 4) % 8}"][:8]
        assert state.source(f"mm{i}") == "CPU"
    for i in range(16):
        upper = bytes((i << 4 | j) ^ 0xFF for j in range(16))
        assert state.image.register(f"ymm{i}").raw == SHOWN[f"xmm{i}"] + upper
        assert state.source(f"ymm{i}") == "low half CPU, rest memory"
    assert {state.source(name) for name in ("ftw", "fop", "fip", "mxcsr_mask")} == {"memory"}


def test_whole_registers_of_the_cpu():
    """Tags and upper halves, too: only what no stub shows is memory's."""
    world, model, task = golden("Xorg", "qemu")
    world.run(task, 1)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    xmm = {f"xmm{i}" for i in range(16)}
    wide = {f"ymm{i}": bytes([0xA0 + i] * 32) for i in range(16)}
    shown = {name: value for name, value in SHOWN.items() if name not in xmm}
    world.target.fpu[1] = {**shown, "ftw": b"\x30", **wide}
    state = state_of(model, task)
    assert state.truth == (
        "live in CPU 1: x87, YMM and MXCSR come from the CPU, "
        "all else (FOP, FIP, FDP) from the last save in memory"
    )
    assert {name: state.image.register(name).raw for name in wide} == wide
    assert state.image.register("xmm9").raw == wide["ymm9"][:16]
    assert state.image.register("st0").views["tag"] == "valid"
    assert state.image.register("st2").views["tag"] == "empty"
    assert [r.name for r in state.image.registers if state.source(r.name) != "CPU"] == (
        ["fop", "fip", "fdp", "mxcsr_mask"]
    )


def test_live_registers_count_as_in_use():
    """The last save may say that they are initial: the CPU has gone on since."""
    world = World("qemu")
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    task = world.add(7, fpu=(b"\0" * 4 + b"\1\1").ljust(64, b"\0") + INIT_LEGACY.ljust(832, b"\0"))
    world.run(task)
    world.target.fpu[0] = SHOWN
    state = state_of(model_of(world), task)
    assert state.image.register("xmm5").raw == SHOWN["xmm5"]
    assert [c.in_use for c in state.image.components] == [True, True, False]


# --- a CPU that was asked


CPU_0 = {"cr0": 0x80050033, "cr4": 1 << 18, "efer": 0xD01}
NOW = bytes(range(0x40, 0x60))  # of YMM9, as the CPU wrote it


def written(xfeatures=7, size=832):
    """An image of 4.4: FCW, MXCSR, XMM9 and the upper half of YMM9 as the CPU has them."""
    image = bytearray(size)
    image[0:2], image[24:28] = b"\x7f\x0b", b"\x80\x9f\0\0"
    image[160 + 16 * 9 : 160 + 16 * 10] = NOW[:16]
    image[576 + 16 * 9 : 576 + 16 * 10] = NOW[16:]
    image[512] = xfeatures
    return bytes(image)


def asked(image=b"", *, cpu=1, why="", loaded=True, name="XSAVEOPT"):
    """audiod runs on CPU 1, and CPU `cpu` was asked; returns world, model and task."""
    world, model, task = golden("audiod")
    world.run(task, 1)
    world.target.put_int(task + REGS_ACTIVE, loaded, 1)
    world.target.answers = Answers(cpu, CPU_0, 832, image, name if image else "", why)
    return world, model, task


def test_the_cpu_wrote_all_registers():
    world, model, task = asked(written())
    state = state_of(model, task)
    assert state.truth == "live in CPU 1, which has now written them with XSAVEOPT"
    assert (state.cpu, state.loaded) == (1, True)
    assert state.image.register("ymm9").raw == NOW
    assert state.image.register("fcw").raw == b"\x7f\x0b"
    assert state.image.register("mxcsr").raw == b"\x80\x9f\0\0"
    assert {state.source(register.name) for register in state.image.registers} == {"CPU"}
    assert state.image.reason == "as this kernel saves it"
    assert state.raw == world.target.read_memory(task + FPU + 64, 832)  # memory's, as --raw shows
    assert state.raw[160 + 16 * 7 :][:16] == AUDIOD_XMM7


def test_the_cpu_left_out_what_is_initial():
    """XSAVEOPT: what it did not write is no register's value."""
    _, model, task = asked(written(xfeatures=3))
    state = state_of(model, task)
    assert {c.name: c.in_use for c in state.image.components}["AVX"] is False
    assert state.image.register("ymm9").raw == NOW[:16] + bytes(16)


def test_cr0_ts_is_set():
    """The kernel says that the registers are the task's, and the CPU would trap."""
    _, model, task = asked(why="CR0.TS is set: the CPU would raise #NM")
    state = state_of(model, task)
    assert state.truth == (
        "live in CPU 1, says the kernel, but CR0.TS is set: the CPU would raise #NM: "
        "these are the last saved values"
    )
    assert state.live == ()
    assert state.source("xmm7") == "memory"
    assert state.image.register("xmm7").raw == AUDIOD_XMM7


def test_the_cpu_has_not_the_registers_of_its_task():
    why = "the kernel says that the CPU does not have the registers of its task"
    _, model, task = asked(why=why, loaded=False)
    state = state_of(model, task)
    assert state.truth == "in memory: CPU 1 runs the task, but its registers are not loaded there"
    assert (state.loaded, state.live) == (False, ())
    assert state.image.register("xmm7").raw == AUDIOD_XMM7


def test_another_cpu_was_asked():
    _, model, task = asked(written(), cpu=0)
    state = state_of(model, task)
    assert state.truth == (
        "live in CPU 1, which this stub does not show: these are the last saved values"
    )
    assert state.image.register("xmm7").raw == AUDIOD_XMM7


def test_another_task_is_looked_at():
    """It sleeps: what the CPU wrote is not its."""
    world, model, _ = asked(written())
    sleeper = world.add(77, b"sleeper")
    world.target.put_int(sleeper + ACTIVE, 1, 1)
    state = state_of(model, sleeper)
    assert state.truth == "in memory: the task does not run"
    assert state.image.register("fcw").raw == b"\x7f\x03"


def test_a_kvm_guest_may_have_the_registers(monkeypatch):
    """The CPU's registers are then the guest's, however loaded the task's flags say they are."""
    world, model, task = golden("audiod", "qemu")
    world.run(task, 0)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    world.target.fpu[0] = SHOWN
    monkeypatch.setattr(type(model), "holds_guest", lambda self, fpu: fpu == self.fpu_of(task))
    state = state_of(model, task)
    assert not state.loaded
    assert state.live == ()
    said = "in memory: the task's state is set aside while a KVM guest's registers are in its place"
    assert state.truth == said
    assert state.image.register("xmm7").raw == AUDIOD_XMM7


@pytest.mark.parametrize("uses", [False, True])
def test_kernel_code_may_have_the_registers(uses):
    world, model, task = golden("audiod", "qemu")
    world.run(task, 0)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    world.target.fpu[0] = SHOWN
    world.target.symbols["in_kernel_fpu"] = IN_KERNEL_FPU
    world.target.put_int(CPU_OFFSETS[0] + IN_KERNEL_FPU, uses, 1)
    state = state_of(model, task)
    assert state.loaded is not uses
    if uses:
        assert state.truth == "in memory: CPU 0 runs the task, but kernel code uses the FPU there"
        assert state.image.register("xmm7").raw == AUDIOD_XMM7
    else:
        assert state.image.register("xmm7").raw == SHOWN["xmm7"]


@pytest.mark.parametrize("allowed", [False, True])
def test_kernel_code_may_have_the_registers_in_6_16(allowed):
    """`kernel_fpu_allowed` says the opposite of `in_kernel_fpu`."""
    world, model, task = golden("audiod", "qemu")
    world.run(task, 1)
    world.target.put_int(task + REGS_ACTIVE, 1, 1)
    world.target.symbols["kernel_fpu_allowed"] = IN_KERNEL_FPU
    world.target.put_int(CPU_OFFSETS[1] + IN_KERNEL_FPU, allowed, 1)
    state = state_of(model, task)
    assert state.loaded is allowed
    assert ("kernel code uses the FPU" in state.truth) is not allowed


def test_lazy_task_that_never_used_the_fpu():
    world, model, task = golden("audiod")
    world.target.put_int(task + ACTIVE, 0, 1)
    truth = state_of(model, task).truth
    assert truth.startswith("nowhere: the task never used the FPU, or not since its signal handler")


def test_eager_task_is_never_said_to_be_unused():
    world, _, task = golden("audiod")
    world.target.put_int(task + ACTIVE, 0, 1)
    world.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)  # X86_FEATURE_EAGER_FPU
    assert state_of(model_of(world), task).truth == "in memory: the task does not run"


def test_kernel_thread_has_no_state():
    world, model, _ = golden("audiod")
    thread = world.add(2, b"kthreadd", flags=PF_KTHREAD)
    with pytest.raises(UsageError, match=r"kthreadd \(pid 2\) is a kernel thread: it has no FPU"):
        state_of(model, thread)


# --- PKRU, which since 5.14 is in thread.pkru, not in the image, while a task does not run

PKRU, STALE, TRUE = 0x200, b"\x54\x55\x55\x55", b"\x0c\0\0\x80"
THREAD_PKRU = 1600 + 40  # thread_struct is at 1600 in a task_struct of fake_kernel


def layouts_with_pkru():
    layouts = layouts_44()
    kept = [layouts.struct(name) for name in layouts.names() if name != "thread_struct"]
    members = (("sp", 24, 8), ("pkru", THREAD_PKRU - 1600, 4), ("fpu", FPU - 1600, 3904, "fpu"))
    return Layouts([*kept, struct("thread_struct", 4096, *members)])


def pkru_world(offset, *, compacted=False, size=None, mask=PKRU | 7):
    """A task whose image has PKRU at `offset`, header bit clear, and whose thread.pkru is TRUE."""
    world = World()
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    size = size or offset + 8
    task = world.add(7)
    target = world.target
    header = b"\x07".ljust(8, b"\0") + ((1 << 63 | mask) * compacted).to_bytes(8, "little")
    target.put(task + FPU + 64 + 512, header)
    target.put(task + FPU + 64 + offset, STALE.ljust(8, b"\xee"))
    target.put(task + THREAD_PKRU, TRUE)
    target.put_int(SYMBOLS["xfeatures_mask"], mask)
    target.put_int(SYMBOLS["xstate_size"], size, 4)
    for name, value in (("xstate_offsets", offset), ("xstate_sizes", 8)):
        target.put_int(SYMBOLS[name] + 4 * 9, value, 4)
    target.put(SYMBOLS["init_fpstate"] + 512 + 8, header[8:])
    return world, task


def pkru_of(world, task, layouts):
    return state_of(fpu.probe(Kernel(world.target, layouts)), task)


@pytest.mark.parametrize(("offset", "compacted"), [(2688, False), (832, True)])
def test_pkru_in_what_the_cpu_wrote_is_the_cpus(offset, compacted):
    """Not thread.pkru, which is of a task that does not run."""
    world, task = pkru_world(offset, compacted=compacted)
    model = fpu.probe(Kernel(world.target, layouts_with_pkru()))
    world.run(task, 0)
    world.target.put(task + ACTIVE, b"\1\1")
    image = bytearray(world.target.read_memory(task + FPU + 64, offset + 8))
    image[512:514] = b"\x07\x02"
    image[offset : offset + 8] = b"\xc0\0\0\x0c".ljust(8, b"\0")
    world.target.answers = Answers(0, CPU_0, 2696, bytes(image), "XSAVES")
    state = state_of(model, task)
    assert state.image.register("pkru").raw == b"\xc0\0\0\x0c"
    assert state.source("pkru") == "CPU"
    assert state.truth == "live in CPU 0, which has now written them with XSAVES"


@pytest.mark.parametrize(("offset", "compacted"), [(2688, False), (2432, False), (832, True)])
def test_pkru_is_the_threads(offset, compacted):
    """At Intel's place, at AMD's, and where the compacted format has it."""
    world, task = pkru_world(offset, compacted=compacted)
    state = pkru_of(world, task, layouts_with_pkru())
    assert state.image.format == ("compacted" if compacted else "standard")
    assert state.image.register("pkru").raw == TRUE
    assert {c.name: c.in_use for c in state.image.components}["PKRU"] is True
    assert state.raw[offset : offset + 8] == STALE + b"\xee" * 4  # --raw is memory's
    assert state.raw[512:514] == b"\x07\0"
    assert state.image.size == len(state.raw)
    assert {c.name for c in state.image.components if c.in_use} == {"x87", "SSE", "AVX", "PKRU"}


def test_pkru_of_a_kernel_that_keeps_it_in_the_image():
    world, task = pkru_world(2688)
    world.target.put_int(task + FPU + 64 + 512, PKRU | 7)
    state = pkru_of(world, task, layouts_44())
    assert state.image.register("pkru").raw == STALE


def test_pkru_that_is_not_enabled():
    world, task = pkru_world(2688, mask=7, size=832)
    state = pkru_of(world, task, layouts_with_pkru())
    assert (len(state.raw), state.image.xfeatures) == (832, 7)


@pytest.mark.parametrize(("size", "there"), [(2688, False), (2695, False), (2696, True)])
def test_pkru_outside_the_image_is_not_made_up(size, there):
    world, task = pkru_world(2688, size=size)
    state = pkru_of(world, task, layouts_with_pkru())
    assert len(state.raw) == size
    assert bool(state.image.xfeatures & PKRU) is there


# --- which task is meant


@pytest.fixture
def several():
    world = World()
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    tasks = [world.add(pid, b"daemon") for pid in range(20, 30)]
    tasks.append(world.add(30, b"audiod"))
    return world, model_of(world), tasks


def test_task_by_pid(several):
    _, model, tasks = several
    assert find_task(model, "30").address == tasks[-1]


def test_task_by_address(several):
    _, model, tasks = several
    assert find_task(model, f"{tasks[3]:#x}").pid == 23
    assert find_task(model, f"{tasks[3] + FPU:#X}").pid == 23


def test_task_by_name(several):
    _, model, tasks = several
    assert find_task(model, "current", "audiod").address == tasks[-1]
    assert find_task(model, "current", "aud*").address == tasks[-1]


@pytest.mark.parametrize("who", ["", "current"])
def test_current_task_is_the_selected_thread(several, who):
    world, model, tasks = several
    world.run(tasks[0], 0)
    world.target.stopped = Thread(5, 24)  # over KGDB a thread is a task
    assert find_task(model, who).address == tasks[4]


@pytest.mark.parametrize(
    ("who", "comm", "message"),
    [
        ("99", "", "no task with pid 99"),
        ("0x1234", "", "no task whose task_struct or struct fpu is at 0x1234"),
        ("current", "nobody", "no task called 'nobody'"),
        ("current", "aud", "no task called 'aud'"),  # a name is whole unless it is a glob
        ("audiod", "", "'audiod' is not `current`, a pid, or an address"),
        (
            "current",
            "daemon",
            "10 tasks called 'daemon': give the pid of one (20, 21, 22, 23, 24, 25, 26, 27, ...)",
        ),
    ],
)
def test_no_single_task(several, who, comm, message):
    with pytest.raises(UsageError) as caught:
        find_task(several[1], who, comm)
    assert str(caught.value) == message


def test_two_tasks_are_both_named(several):
    world, model, _ = several
    world.add(31, b"audiod")
    with pytest.raises(
        UsageError, match=r"^2 tasks called 'aud\*': give the pid of one \(30, 31\)$"
    ):
        find_task(model, "", "aud*")


# --- signal frames, as CPUs wrote them


def framed(image, cpu="qemu-tcg"):
    """A kernel on the CPU that wrote `image`, with its places of the components."""
    world, _, task = golden("audiod", "qemu")
    world.run(task)
    facts = json.loads((CPU_IMAGES / cpu / "golden.json").read_text())
    for table, key in (("xstate_offsets", "offset"), ("xstate_sizes", "size")):
        for number in range(10):
            value = facts["cpuid_0xd"].get(str(number), {}).get(key, 0xFFFFFFFF)
            world.target.put_int(SYMBOLS[table] + 4 * number, value, 4)
    world.target.put_int(SYMBOLS["xfeatures_mask"], facts["xcr0"] & 0x3FF)
    model = model_of(world)
    world.target.put(FRAME, image)
    world.target.reads.clear()
    return world, model


def test_frame_of_a_64_bit_task():
    image = (CPU_IMAGES / "qemu-tcg" / "full-sigframe.bin").read_bytes()
    world, model = framed(image)
    frame = read_frame(model, FRAME)
    assert (frame.format, frame.defects, frame.frame.ia32) == ("sigframe", (), False)
    assert frame.register("xmm3").raw == image[160 + 48 : 160 + 64]
    assert frame.register("ymm3").raw[16:] == image[576 + 48 : 576 + 64]
    assert frame.register("pkru").raw == image[2688:2692] != bytes(4)
    reads = [(at, length) for at, length in world.target.reads if not at >> 63]  # of user memory
    assert max(at + length for at, length in reads) == FRAME + len(image)


def test_frame_of_a_32_bit_task():
    image = (CPU_IMAGES / "amd-epyc" / "sigframe32.bin").read_bytes()
    _, model = framed(image, "amd-epyc")
    frame = read_frame(model, FRAME)
    assert (frame.format, frame.defects, frame.frame.ia32) == ("sigframe", (), True)
    assert frame.register("st0").raw == image[28:38]
    assert frame.register("xmm1").raw == image[112 + 176 : 112 + 192]


def test_frame_that_lies_about_its_size():
    image = bytearray((CPU_IMAGES / "qemu-tcg" / "full-sigframe.bin").read_bytes())
    image[480:484] = b"\xff\xff\xff\x7f"  # xstate_size
    world, model = framed(bytes(image).ljust(64 << 10, b"\0"))
    frame = read_frame(model, FRAME)
    assert "the frame promises 2147483647 bytes of state; the image is short" in frame.defects
    reads = [(at, length) for at, length in world.target.reads if not at >> 63]  # of user memory
    assert min(at for at, _ in reads) == FRAME
    assert sum(length for _, length in reads) <= 64 << 10


@pytest.mark.parametrize("bytes_there", [0, 600, 1000])
def test_frame_that_cannot_be_read(bytes_there):
    """Not at all, not whole, or not as far as it says."""
    image = (CPU_IMAGES / "qemu-tcg" / "full-sigframe.bin").read_bytes()[:bytes_there]
    _, model = framed(image)
    with pytest.raises(CorruptState, match=rf"^cannot read a frame at {FRAME:#x} of audiod"):
        read_frame(model, FRAME)
