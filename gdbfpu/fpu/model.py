# SPDX-License-Identifier: GPL-2.0-or-later
"""Which struct fpu this kernel has, and how to get from a task to its FPU state in memory.

We tell the variant by the members that exist, never by a version number. Newest first:

- 6.16 on: struct fpu follows task_struct in memory (commit cb7ca40a3882, `x86_task_fpu()`);
- 5.16 to 6.15: `task_struct.thread.fpu.fpstate`, a pointer (commit 87d0e5be0fac);
- 4.2 to 5.15: `task_struct.thread.fpu.state`, embedded, the last member of its struct;
- up to 4.1: `task_struct.thread.fpu.state`, a pointer, NULL until the task uses the FPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import CorruptState
from gdbfpu.fpu.xstate import MAX_IMAGE, XstateConfig, read_xstate
from gdbfpu.kernel.fields import read_fields
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.kernel.thread_flags import (
    OLDER_NEED_FPU_LOAD,
    need_fpu_load_bit,
    read_thread_flags,
)
from gdbfpu.layouts.types import Layouts, Member
from gdbfpu.target import read_u32, read_u64
from gdbfpu.xsave.area import (
    HEADER_OFFSET,
    LEGACY_SIZE,
    Span,
    compacted_spans,
    parse_header,
)
from gdbfpu.xsave.features import FPSSE
from gdbfpu.xsave.sparse import read_spans

__all__ = ("ANCHORS", "NOT_FPU", "TYPES", "FpuModel", "probe")

TYPES = (
    "fpregs_state",
    "fpu",
    "fxregs_state",
    "thread_info",
    "thread_struct",
    "xregs_state",
    "xstate_header",
)
"""The types that this module reads. A kernel has only some of them; they show its variant."""

ANCHORS = ("copy_fpstate_to_sigframe", "fpu__init_system_xstate", "save_xstate_sig")
"""Functions whose source files describe TYPES."""

NOT_FPU = sum(1 << number for number in range(8, 17))
"""Components that are not FPU registers: PT, PKRU, PASID, CET, HDC, UINTR, LBR, HWP.

The kernel itself sets some of them to values that are not initial, PKRU above all.
"""

_LIVE_FLAGS = ("fpregs_active", "initialized", "has_fpu")
_FLAGS = ("fpstate_active", *_LIVE_FLAGS)


@dataclass(frozen=True)
class FpuModel:
    """What `probe` found out about this kernel's FPU code. It stays true while the kernel runs.

    - `variant`: where struct fpu and its image are.
    - `fpu_offset`: bytes from a task_struct to its struct fpu.
    - `state`: the member of struct fpu that is the register image or points to it.
    - `host`: the member that points to the task's own state while a KVM guest's state is in place.
    - `regs_offset`: the offset of the image, in bytes, in the struct that `state` points to.
    - `size_member`: the member that has the size of one image (5.16 on).
    - `flags`: the flags among the members of struct fpu, by name.
    - `tif`: the bit number of TIF_NEED_FPU_LOAD, used if no member of `flags` tells whether
      registers are loaded.
    """

    kernel: Kernel
    variant: str
    xstate: XstateConfig
    fpu_offset: int
    state: Member
    host: Member | None
    regs_offset: int
    size_member: Member | None
    flags: dict[str, Member]
    tif: int

    @property
    def switching(self) -> str:
        """Return `lazy` or `eager`."""
        return self.xstate.switching

    @property
    def format(self) -> str:
        """Return `standard`, `compacted` or `fxsave`."""
        return self.xstate.format

    @property
    def live_flag(self) -> str:
        """Return the member of struct fpu that tells whether registers are loaded, or ``."""
        return next((name for name in _LIVE_FLAGS if name in self.flags), "")

    def fpu_of(self, task: int) -> int:
        """Return the address of the struct fpu of the task_struct at `task`."""
        return task + self.fpu_offset

    def task_of(self, fpu: int) -> int:
        """Return the address of the task_struct around the struct fpu at `fpu`."""
        return fpu - self.fpu_offset

    def image_address(self, fpu: int) -> int:
        """Return the address of the register image of the struct fpu at `fpu`, 0 if it has none.

        Up to 4.1 a task has no image before it uses the FPU.
        """
        if not self.state.pointer:
            return fpu + self.state.offset
        pointer, host = self._pointers(fpu)
        pointer = host or pointer
        return pointer + self.regs_offset if pointer or self.size_member else 0

    def lacks_image(self, fpu: int) -> bool:
        """Return whether the struct fpu at `fpu` points to no register image.

        Up to 4.1 a task has none before it uses the FPU. From 5.16 to 6.15 a child has none from
        arch_dup_task_struct() on, until fpu_clone() gives it one.
        """
        return self.state.pointer and not self._pointers(fpu)[0]

    def holds_guest(self, fpu: int) -> bool:
        """Return whether a KVM guest's state is in place of the task's own.

        Since 5.16 (commit 69f6ed1d14c6, `fpu_swap_kvm_fpstate()`) KVM_RUN puts the guest's state
        there. Then `__task_fpstate` points to the task's own state, and `image_address` returns
        the address of the image in the task's own state.
        """
        return self.state.pointer and bool(self._pointers(fpu)[1])

    def _pointers(self, fpu: int) -> tuple[int, int]:
        """Return the pointer to the state in place, and the pointer to the task's own state.

        The second is 0 unless the state in place is a KVM guest's.
        """
        members = {"state": self.state, **({"host": self.host} if self.host else {})}
        fields = read_fields(self.kernel.target, fpu, members)
        host = int.from_bytes(fields.get("host", b""), "little")
        return int.from_bytes(fields["state"], "little"), host

    def header(self, fpu: int, image: bytes = b"") -> tuple[int, int]:
        """Return xfeatures and xcomp_bv (u64 each) of the struct fpu at `fpu`.

        They come from `image` if given, else from memory. Without XSAVE there is no header: an
        FXSAVE image always has x87 and SSE.
        """
        if self.format == "fxsave":
            return 0b11, 0
        if not image:
            address = self.image_address(fpu) + HEADER_OFFSET
            words = self.kernel.target.read_memory(address, 16)
            return int.from_bytes(words[:8], "little"), int.from_bytes(words[8:], "little")
        header = parse_header(image)
        return header.xfeatures, header.xcomp_bv

    def image(self, fpu: int, most: int = MAX_IMAGE, *, gaps: bool = True) -> bytes:
        """Return the raw register image of the struct fpu at `fpu`, empty if it has none.

        At most the first `most` bytes are returned. Without `gaps`, bytes of a standard image that
        belong to no component are not read and stay zero. That saves 1,600 of 2,696 bytes on a
        CPU without AVX-512.
        """
        address = self.image_address(fpu)
        if not address:
            return b""
        size = min(self.image_size(address), most)
        if gaps or self.format == "compacted":
            return self.kernel.target.read_memory(address, size)
        return read_spans(self.kernel.target.read_memory, address, size, self.xstate.spans)

    def saved_features(self, address: int) -> int:
        """Return the components (u64) that the kernel saves to the register image at `address`.

        Since 5.16 fpstate.xfeatures has them, for each task.
        """
        features = self.kernel.layouts.find("fpstate", "xfeatures") if self.size_member else None
        if features is None:
            return self.xstate.mask or FPSSE
        return read_u64(self.kernel.target, address - self.regs_offset + features.offset)

    def image_size(self, address: int) -> int:
        """Return the size in bytes of the register image at `address`; raise CorruptState."""
        if self.size_member is None:
            return self.xstate.size
        start = address - self.regs_offset  # a task that uses AMX has a larger image
        size = read_u32(self.kernel.target, start + self.size_member.offset)
        if not LEGACY_SIZE <= size <= MAX_IMAGE:
            raise CorruptState(f"the register image at {address:#x} claims {size} bytes")
        return size

    def live(self, task: int, thread_flags: int | None = None) -> bool:
        """Return whether the CPU, not memory, holds the registers of the running task `task`.

        Up to 5.1 a member of struct fpu says so: `fpregs_active` up to 4.14, then `initialized`.
        Since 5.2 (commit 5f409e20b794) the CPU holds them if TIF_NEED_FPU_LOAD is clear in
        thread_info.flags. `thread_flags` (u64) are these flags, if already read.
        """
        if self.live_flag:
            return bool(self._flag(task, self.live_flag))
        if thread_flags is None:
            thread_flags = read_thread_flags(self.kernel, task)
        return not thread_flags >> self.tif & 1

    def kernel_use(self, cpu: int) -> tuple[bool, str]:
        """Return whether kernel code uses the FPU of CPU `cpu`, and the variable that says so.

        Kernel code uses the FPU between kernel_fpu_begin() and kernel_fpu_end(). The variable is
        `in_kernel_fpu`, or in 6.16 `kernel_fpu_allowed`, inverted. Returns False and `` if the
        kernel has neither.
        """
        for name in ("in_kernel_fpu", "kernel_fpu_allowed"):
            if self.kernel.target.symbol_address(name) is not None:
                place = self.kernel.per_cpu(name, cpu)
                value = self.kernel.target.read_memory(place, 1) != b"\0"
                return value != (name == "kernel_fpu_allowed"), name
        return False, ""

    def _flag(self, task: int, name: str) -> int:
        member = self.flags[name]
        data = self.kernel.target.read_memory(self.fpu_of(task) + member.offset, member.size)
        return int.from_bytes(data, "little")

    def save_failed(self) -> bool:
        """Return whether the function that now returns failed to write a signal frame.

        The kernel then kills the task. The function returns int up to 5.15 (0 means success) and
        bool since 5.16, which has struct fpstate (true means success).
        """
        value = self.kernel.stopped().register("rax") or 0
        if "fpstate" in self.kernel.layouts:
            return not value & 0xFF
        return bool(value & 0xFFFFFFFF)

    def spans(self, image: bytes) -> tuple[Span, ...]:
        """Return where this kernel saves each component in `image`."""
        if self.format != "compacted":
            return self.xstate.spans
        tables = self.xstate.tables
        return compacted_spans(parse_header(image).xcomp_bv, tables.sizes, tables.align)

    def state_there(self, task: int) -> tuple[bool, str]:
        """Return whether the task_struct at `task` has an FPU state, and what says so.

        Under lazy switching the kernel gives a task a state at its first FPU instruction
        (`fpstate_active`; up to 4.1 it allocates one). It takes the state away at exec, and up to
        4.9 also for a signal handler. Under eager switching every task has one.
        """
        if self.switching == "eager":
            return True, "eager switching"
        if "fpstate_active" in self.flags:
            return bool(self._flag(task, "fpstate_active")), self.state_flag
        return bool(self.image_address(self.fpu_of(task))), self.state_flag

    @property
    def state_flag(self) -> str:
        """Return the name of what says, under lazy switching, that a task has an FPU state."""
        return "fpstate_active" if "fpstate_active" in self.flags else "thread.fpu.state"


def probe(kernel: Kernel) -> FpuModel:
    """Return the model of `kernel`'s FPU code.

    Raises MissingSymbol, MissingType or MissingMember, which name what is missing.
    """
    layouts = kernel.layouts
    variant, fpu_offset = _place(layouts)
    state = layouts.find("fpu", "fpstate")
    pointer = state is not None
    found = {name: layouts.find("fpu", name) for name in _FLAGS}
    flags = {name: member for name, member in found.items() if member}
    return FpuModel(
        kernel=kernel,
        variant=f"{variant}.{'fpstate' if pointer else 'state'}",
        xstate=read_xstate(kernel),
        fpu_offset=fpu_offset,
        state=state or layouts.member("fpu", "state"),
        host=layouts.find("fpu", "__task_fpstate"),
        regs_offset=layouts.offset("fpstate", "regs") if pointer else 0,
        size_member=layouts.find("fpstate", "size") if pointer else None,
        flags=flags,
        tif=OLDER_NEED_FPU_LOAD if flags else need_fpu_load_bit(kernel),
    )


def _place(layouts: Layouts) -> tuple[str, int]:
    """Return the name of struct fpu's place and its offset in bytes from task_struct."""
    inside = layouts.find("task_struct", "thread.fpu")
    if inside is None and "fpu" in layouts and layouts.find("fpu", "fpstate"):
        return "x86_task_fpu()", layouts.struct("task_struct").size
    return "thread.fpu", layouts.offset("task_struct", "thread.fpu")
