# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines to audit: a kernel of each era in fake memory, in order until a test plants a defect.

On each, CPU 0 runs alice (pid 10), whose registers are loaded, CPU 1 is idle, bob (11) and carol
(12) sleep. Places are written down here from the kernels' sources (arch/x86/include/asm/fpu/
types.h of each) and SDM volume 1, 13.4: nothing of gdbfpu computes them.
"""

from __future__ import annotations

import random
import struct as packed
from functools import cache

from fake_kernel import (
    COMMON,
    CPU_OFFSETS,
    FLAGS,
    INIT_LEGACY,
    PF_KTHREAD,
    SYMBOLS,
    TASK_BYTES,
    World,
    struct,
    task_struct,
)

from gdbfpu.audit.engine import apply, audit, audit_frame
from gdbfpu.audit.frame_view import FrameView
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.fpu import model as fpu
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts, Member, StructLayout

COMPACTED = 1 << 63
FPU = 1792
ELSEWHERE = 0xFFFFC90000001000
TIF_NEED_FPU_LOAD = 1 << 14  # arch/x86/include/asm/thread_info.h, 5.2 to 6.17
DEFAULT_PKRU = 0x55555554
PIDS = {"alice": 10, "bob": 11, "carol": 12}
CPUINFO = struct(
    "cpuinfo_x86", 200, ("x86", 0, 1), ("x86_vendor", 1, 1), ("x86_capability", 12, 76)
)
FUNCTIONS_44 = (
    *("copy_fpstate_to_sigframe", "fpu__restore_sig", "fpstate_sanitize_xstate", "fpu__copy"),
    *("fpu__clear", "fpregs_get", "xfpregs_get", "xstateregs_get"),
)
FUNCTIONS_66 = (
    *("copy_fpstate_to_sigframe", "fpu__restore_sig", "copy_xstate_to_uabi_buf", "fpu_clone"),
    *("fpu_flush_thread", "fpregs_get", "xfpregs_get", "xstateregs_get"),
)


@cache
def pattern(who: str, what: str, size: int) -> bytes:
    """Bytes of a task's own, none of them zero."""
    chosen = random.Random(f"{who} {what}")
    return bytes(chosen.randrange(1, 256) for _ in range(size))


def header(xfeatures: int, xcomp_bv: int = 0) -> bytes:
    return packed.pack("<QQ", xfeatures, xcomp_bv).ljust(64, b"\0")


def legacy(who: str) -> bytes:
    """What FXSAVE64 has of a task with its own XMM registers and two on the x87 stack."""
    image = bytearray(INIT_LEGACY)
    image[2:5] = b"\0\x30\xc0"  # TOP 6
    for i in range(2):
        image[32 + 16 * i : 42 + 16 * i] = pattern(who, f"st{i}", 10)
    image[160:416] = pattern(who, "xmm", 256)
    return bytes(image)


def area(who: str, xfeatures: int, xcomp_bv: int, size: int, parts: dict[int, bytes]) -> bytes:
    """An XSAVE area of `size` bytes with `parts` (offset to bytes)."""
    image = bytearray((legacy(who) + header(xfeatures, xcomp_bv)).ljust(size, b"\0"))
    for offset, data in parts.items():
        image[offset : offset + len(data)] = data
    return bytes(image)


class Machine:
    """A kernel in fake memory, its tasks by name, and where each one's FPU memory is."""

    pointer: int | None = None  # bytes from struct fpu to the pointer to its state
    inside = 64  # bytes from struct fpu, or from what is pointed to, to the register image
    behind = False  # struct fpu lies behind task_struct
    avx = 576

    def __init__(self, stub: str = "kgdb") -> None:
        self.world = World(stub)
        self.target = self.world.target
        self.layouts = Layouts([])
        self.places = 0  # of symbols, so far
        self.shown = b""  # the frame that was last looked at
        self.world.add(0, b"swapper/0", flags=PF_KTHREAD)
        for name in ("alice", "bob", "carol"):
            setattr(self, name, self.world.add(PIDS[name], name.encode()))
        self.idle = self.world.add(0, b"swapper/1", flags=PF_KTHREAD)
        self.world.run(self.idle, 1)
        self.world.run(self.alice, 0)
        self.target.registers["rip"] = 0xFFFFFFFF81234567
        self.put("mxcsr_feature_mask", 0xFFFF, 4)
        self.fill()

    def fill(self) -> None:
        raise NotImplementedError

    # --- memory

    def put(self, name: str, value: int, size: int = 8) -> int:
        """Give global `name` a value, and a place if it has none; return its address."""
        self.places += 1
        new = 0xFFFFFFFF84000000 + 0x1000 * self.places
        address = self.target.symbols.setdefault(name, new)
        self.target.put_int(address, value, size)
        return address

    def per_cpu(self, name: str, *values: int, size: int = 8) -> None:
        self.places += 1
        place = self.target.symbols.setdefault(name, 0xD000 + 16 * self.places)
        for offset, value in zip(CPU_OFFSETS, values):
            self.target.put_int(offset + place, value, size)

    def in_cpu(self, name: str, cpu: int) -> int:
        return CPU_OFFSETS[cpu] + self.target.symbols[name]

    def functions(self, *names: str) -> None:
        for name in names:
            self.places += 1
            self.target.symbols[name] = 0xFFFFFFFF81A00000 + 0x100 * self.places

    def forget(self, *names: str) -> None:
        for name in names:
            self.target.symbols.pop(name, None)
            self.target.sizes.pop(name, None)

    def fpu(self, task: int) -> int:
        return task + (TASK_BYTES if self.behind else FPU)

    def at(self, task: int) -> int:
        """The address of a task's register image."""
        if self.pointer is None:
            return self.fpu(task) + self.inside
        return self.world.read(self.fpu(task) + self.pointer, 8) + self.inside

    def poke(self, task: int, offset: int, data: bytes) -> None:
        self.target.put(self.at(task) + offset, data)

    def peek(self, task: int, offset: int, size: int) -> bytes:
        return self.target.read_memory(self.at(task) + offset, size)

    def xfeatures(self, task: int, value: int) -> None:
        self.poke(task, 512, value.to_bytes(8, "little"))

    def in_fpu(self, task: int, offset: int, value: int, size: int = 8) -> None:
        self.target.put_int(self.fpu(task) + offset, value, size)

    # --- looking

    def snapshot(self, **options: bool) -> Snapshot:
        return Snapshot(fpu.probe(Kernel(self.target, self.layouts)), **options)

    def task(self, address: int):
        return Kernel(self.target, self.layouts).task(address)

    def whole(self, task: int | None = None):
        """Audit all, or one task; return the Audit."""
        chosen = None if task is None else self.task(task)
        return audit(self.snapshot(), chosen, lambda count: None)

    def audit(self, task: int | None = None):
        """Audit all, or one task, which can be read; return the findings."""
        said = self.whole(task)
        assert [one for one in said.undecided if one.why.startswith("not read")] == []
        return said.findings

    def apply(self, scope: str, task: int):
        snapshot = self.snapshot()
        return apply(Scope(scope), self.task(task), snapshot, snapshot.view)

    def frame(self, image: bytes, **more):
        self.shown = image
        view = FrameView(self.task(self.alice), 0x7FFD5C965140, image, **more)
        return audit_frame(self.snapshot(), view)


class M44(Machine):
    """4.4: embedded state, fpregs_active, lazy unless `eager`; standard format, no cleaning."""

    eager = False

    def fill(self) -> None:
        self.layouts = Layouts(
            [
                task_struct(),
                *COMMON,
                struct(
                    "fpu",
                    3904,
                    ("last_cpu", 0, 4),
                    ("fpstate_active", 4, 1),
                    ("fpregs_active", 5, 1),
                    ("counter", 6, 1),
                    ("state", 64, 3840, "fpregs_state"),
                ),
                CPUINFO,
            ]
        )
        for name in PIDS:
            image = area(name, 7, 0, 832, {576: pattern(name, "AVX", 256)})
            active = name == "alice"
            head = bytes((0, 0, 0, 0, 1, active)).ljust(64, b"\0")
            self.target.put(getattr(self, name) + FPU, head + image)
        self.per_cpu("fpu_fpregs_owner_ctx", self.fpu(self.alice), self.fpu(self.bob))
        self.per_cpu("in_kernel_fpu", 0, 0, size=1)
        self.functions(*FUNCTIONS_44)
        if self.eager:
            self.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)


class M44Eager(M44):
    """4.4 on a CPU with XSAVEOPT."""

    eager = True


class M310(Machine):
    """3.10: pointer to the state, has_fpu, fpu_owner_task holds tasks."""

    pointer, inside = 8, 0
    capabilities = 40  # bytes of x86_capability: NCAPINTS 10
    xcomp_bv = 0

    def fill(self) -> None:
        self.layouts = Layouts(
            [
                task_struct(("fpu_counter", 30, 1)),
                *COMMON,
                struct(
                    "fpu", 16, ("last_cpu", 0, 4), ("has_fpu", 4, 4), ("state", 8, 8, "x", True)
                ),
                struct(
                    "cpuinfo_x86",
                    200,
                    ("x86_vendor", 1, 1),
                    ("x86_capability", 12, self.capabilities),
                ),
            ]
        )
        self.forget("xfeatures_mask", "init_fpstate", "xstate_offsets", "xstate_sizes")
        self.put("pcntxt_mask", 7)
        self.target.put(ELSEWHERE, INIT_LEGACY + header(0, self.xcomp_bv) + bytes(256))
        self.put("init_xstate_buf", ELSEWHERE)
        for number, name in enumerate(PIDS, 1):
            task, place = getattr(self, name), ELSEWHERE + 0x1000 * number
            parts = {576: pattern(name, "AVX", 256)}
            self.target.put(place, area(name, 7, self.xcomp_bv, 832, parts))
            self.in_fpu(task, 4, name == "alice", 4)
            self.in_fpu(task, 8, place)
        self.per_cpu("fpu_owner_task", self.alice, self.bob)
        self.functions("save_xstate_sig", "__sanitize_i387_state", "xstateregs_get")
        self.functions("flush_thread", "arch_dup_task_struct", "xfpregs_get", "fpregs_get")


class M41Xsaves(M310):
    """4.1 on a CPU with XSAVES: compacted, and only alice ever used the FPU."""

    xcomp_bv = COMPACTED | 7

    def fill(self) -> None:
        super().fill()
        self.functions("xstate_comp_offsets")
        for task in (self.bob, self.carol):
            self.in_fpu(task, 8, 0)


class M49(Machine):
    """4.9: fpregs_active, no counter, XSAVES: compacted with PKRU behind AVX."""

    xcomp_bv = COMPACTED | 0x207

    def fill(self) -> None:
        self.layouts = Layouts(
            [
                task_struct(),
                *COMMON,
                struct(
                    "fpu",
                    3904,
                    ("last_cpu", 0, 4),
                    ("fpstate_active", 4, 1),
                    ("fpregs_active", 5, 1),
                    ("state", 64, 3840, "fpregs_state"),
                ),
                CPUINFO,
            ]
        )
        self.forget("xstate_size", "xstate_offsets", "xstate_sizes")
        self.put("xfeatures_mask", 0x207)
        self.put("fpu_kernel_xstate_size", 840, 4)
        self.put("fpu_user_xstate_size", 2696, 4)
        self.target.put(SYMBOLS["init_fpstate"] + 512, header(0, self.xcomp_bv))
        for name in PIDS:
            pkru = DEFAULT_PKRU.to_bytes(4, "little")
            parts = {576: pattern(name, "AVX", 256), 832: pkru}
            image = area(name, 0x207, self.xcomp_bv, 840, parts)
            head = bytes((0, 0, 0, 0, 1, name == "alice")).ljust(64, b"\0")
            self.target.put(getattr(self, name) + FPU, head + image)
        self.per_cpu("fpu_fpregs_owner_ctx", self.fpu(self.alice), self.fpu(self.bob))
        self.per_cpu("in_kernel_fpu", 0, 0, size=1)
        self.functions(*FUNCTIONS_44)


class M510(Machine):
    """5.10 without XSAVES: TIF_NEED_FPU_LOAD, last_cpu, standard format, PKRU in the area."""

    pkru = 2688

    def fill(self) -> None:
        self.layouts = Layouts(
            [
                task_struct(("thread_info", 0, 16, "thread_info")),
                *COMMON,
                struct("thread_info", 16, ("flags", 0, 8), ("status", 8, 4)),
                struct(
                    "fpu",
                    3904,
                    ("last_cpu", 0, 4),
                    ("avx512_timestamp", 8, 8),
                    ("state", 64, 3840, "fpregs_state"),
                ),
                CPUINFO,
            ]
        )
        self.forget("xfeatures_mask", "xstate_size", "xstate_offsets", "xstate_sizes")
        self.put("xfeatures_mask_all", 0x207)
        self.put("fpu_kernel_xstate_size", 2696, 4)
        self.put("fpu_user_xstate_size", 2696, 4)
        self.put("init_pkru_value", DEFAULT_PKRU, 4)
        self.target.put(SYMBOLS["init_fpstate"] + 512, header(0))
        for name in PIDS:
            pkru = DEFAULT_PKRU.to_bytes(4, "little")
            parts = {576: pattern(name, "AVX", 256), self.pkru: pkru}
            image = area(name, 0x207, 0, 2696, parts)
            self.target.put(getattr(self, name) + FPU, bytes(64) + image)
            self.tif(getattr(self, name), name != "alice")
        self.per_cpu("fpu_fpregs_owner_ctx", self.fpu(self.alice), self.fpu(self.bob))
        self.per_cpu("in_kernel_fpu", 0, 0, size=1)
        self.functions(*FUNCTIONS_44)
        self.forget("fpu__clear")
        self.functions("fpu__clear_all", "ex_handler_fprestore")

    def tif(self, task: int, load: bool) -> None:
        """Set or clear TIF_NEED_FPU_LOAD."""
        self.target.put_int(task, TIF_NEED_FPU_LOAD if load else 0)


def bit(name: str, number: int) -> Member:
    """A bit of the unsigned int at byte 32 of struct fpstate."""
    return Member(name, 32, 4, bit_offset=number, bit_size=1)


FPSTATE = StructLayout(
    "fpstate",
    3840,
    (
        Member("size", 0, 4),
        Member("user_size", 4, 4),
        Member("xfeatures", 8, 8),
        Member("user_xfeatures", 16, 8),
        Member("xfd", 24, 8),
        bit("is_valloc", 0),
        bit("is_guest", 1),
        bit("is_confidential", 2),
        bit("in_use", 3),
        Member("regs", 64, 3776, "fpregs_state"),
    ),
)
SIZE, XFEATURES, USER_XFEATURES, XFD, BITS = 0, 8, 16, 24, 32  # in struct fpstate
IS_VALLOC, IS_GUEST, IN_USE = 1, 2, 8
FPSTATE_AT, TASK_FPSTATE, PERM, OWN = 16, 24, 32, 64  # in struct fpu
FPU_66 = struct(
    "fpu",
    3904,
    ("last_cpu", 0, 4),
    ("avx512_timestamp", 8, 8),
    ("fpstate", FPSTATE_AT, 8, "fpstate", True),
    ("__task_fpstate", TASK_FPSTATE, 8, "fpstate", True),
    ("perm", PERM, 16, "fpu_state_perm"),
    ("guest_perm", 48, 16, "fpu_state_perm"),
    ("__fpstate", OWN, 3840, "fpstate"),
)
PERMISSION = struct(
    "fpu_state_perm",
    16,
    ("__state_perm", 0, 8),
    ("__state_size", 8, 4),
    ("__user_state_size", 12, 4),
)
CONFIG = struct(
    "fpu_state_config",
    40,
    ("max_size", 0, 4),
    ("default_size", 4, 4),
    ("max_features", 8, 8),
    ("default_features", 16, 8),
)
AMX = 1 << 18
DEFAULT = 0x20A07  # x87, SSE, AVX, PKRU, CET_U, TILECFG
LEADER, PKRU, FEATURES = 560, 1640, 1648  # in task_struct; the latter two in thread


class M66(Machine):
    """6.6 with AMX and CET: fpstate, permissions, XFD; compacted, PKRU in thread.pkru.

    AVX at 576, PKRU 832, CET_U 840, TILECFG 896 (aligned), TILEDATA 960. carol uses AMX.
    """

    pointer, inside = FPSTATE_AT, 64
    mask, default, compacted, size, large = DEFAULT | AMX, DEFAULT, COMPACTED, 960, 9152
    used = 0x207

    def fill(self) -> None:
        self.layouts = self._layouts()
        self.forget("xfeatures_mask", "xstate_size", "xstate_offsets", "xstate_sizes")
        user = self.default & ~0x800
        kernel_cfg = packed.pack("<IIQQ", self.large, self.size, self.mask, self.default)
        user_cfg = packed.pack("<IIQQ", 11008, 2816, self.mask & ~0x800, user)
        for name, data in (("fpu_kernel_cfg", kernel_cfg), ("fpu_user_cfg", user_cfg)):
            self.target.put(self.put(name, 0) + 0x800000, data)
            self.target.symbols[name] += 0x800000
        xcomp_bv = self.compacted and self.compacted | self.default
        self.target.put(SYMBOLS["init_fpstate"], bytes(64) + INIT_LEGACY + header(0, xcomp_bv))
        for name in PIDS:
            self._add(name)
        self.per_cpu("fpu_fpregs_owner_ctx", self.fpu(self.alice), self.fpu(self.bob))
        self.per_cpu("xfd_state", AMX, AMX)
        self._kernel_use()
        self.functions(*FUNCTIONS_66)
        self.functions("fpu_reset_from_exception_fixup")

    def _kernel_use(self) -> None:
        self.per_cpu("in_kernel_fpu", 0, 0, size=1)

    def _thread(self):
        members = [("sp", 24, 8), ("pkru", PKRU - 1600, 4), ("features", FEATURES - 1600, 8)]
        if not self.behind:
            members.append(("fpu", FPU - 1600, 3904, "fpu"))
        return struct("thread_struct", 4096, *members)

    def _layouts(self) -> Layouts:
        return Layouts(
            [
                task_struct(
                    ("thread_info", 0, 16, "thread_info"),
                    ("group_leader", LEADER, 8, "task_struct", True),
                ),
                *COMMON[:3],
                self._thread(),
                struct("thread_info", 16, ("flags", 0, 8)),
                FPU_66,
                FPSTATE,
                PERMISSION,
                CONFIG,
                CPUINFO,
            ]
        )

    def _add(self, name: str) -> None:
        task, large = getattr(self, name), name == "carol"
        features = self.mask if large else self.default
        size = self.large if large else self.size
        parts = {576: pattern(name, "AVX", 256)}
        xcomp_bv = self.compacted and self.compacted | features
        image = area(name, self.used, xcomp_bv, size, parts)
        if self.behind:
            self.target.put(self.fpu(task), bytes(3904))
        place = ELSEWHERE + 0x100000 if large else self.fpu(task) + OWN
        xfd = 0 if large else AMX
        head = packed.pack("<IIQQQI", size, 2816, features, features & ~0x800, xfd, large)
        self.target.put(place, head.ljust(64, b"\0") + image)
        self.in_fpu(task, FPSTATE_AT, place)
        self.in_fpu(task, PERM, features)
        self.target.put_int(task, 0 if name == "alice" else TIF_NEED_FPU_LOAD)
        self.target.put_int(task + FLAGS, 0, 4)
        self.target.put_int(task + LEADER, task)

    def fpstate(self, task: int, offset: int, value: int, size: int = 8) -> None:
        """Write a member of the struct fpstate that the task has."""
        self.target.put_int(self.at(task) - self.inside + offset, value, size)

    tif = M510.tif


class M517(M66):
    """5.17 without XSAVES: the standard format, no CET; PKRU at 2688, TILEDATA at 2816."""

    compacted, mask, default, size, large = 0, 0x60207, 0x20207, 2816, 11008


class M616(M66):
    """6.16: struct fpu behind task_struct, kernel_fpu_allowed."""

    behind = True

    def _kernel_use(self) -> None:
        self.per_cpu("kernel_fpu_allowed", 1, 1, size=1)


ERAS = (M310, M44, M44Eager, M49, M510, M517, M66, M616)


def frame(
    size: int, mask: int, xfeatures: int, parts: dict[int, bytes], *, ia32: bool = False
) -> bytearray:
    """The FPU part of a signal frame, as save_xstate_epilog() leaves it.

    `size` is that of the XSAVE image, `mask` its components; asm/sigcontext.h has the places.
    """
    base = 112 if ia32 else 0
    image = bytearray(area("alice", xfeatures, 0, size, parts))
    image[464:484] = packed.pack("<IIQI", 0x46505853, base + size + 4, mask, size)
    front = packed.pack("<III", 0xFFFF037F, 0xFFFF3000, 0xFFFF0FFF).ljust(112, b"\0")
    return bytearray(front if ia32 else b"") + image + packed.pack("<I", 0x46505845)
