# SPDX-License-Identifier: GPL-2.0-or-later
"""Which struct fpu this kernel has, and from a task to its FPU state in memory.

The variant is told by the members that are there, never by a version number:

- 4.2 to 5.15: `task_struct.thread.fpu.state`, embedded, the last member of its struct;
- 5.16 to 6.15: `task_struct.thread.fpu.fpstate`, a pointer (commit 87d0e5be0fac, 5.16).
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import CorruptState, MissingMember, MissingSymbol
from gdbfpu.formats import Tables
from gdbfpu.kernel import Kernel, Task
from gdbfpu.layout import Member
from gdbfpu.target import read_u32, read_u64
from gdbfpu.xsave import (
    EXTENDED_OFFSET,
    HEADER_OFFSET,
    LEGACY_SIZE,
    Span,
    changed,
    compacted_spans,
    parse_header,
    standard_spans,
)

__all__ = ("ANCHORS", "MAX_IMAGE", "TYPES", "FpuModel", "probe")

TYPES = (
    "cpuinfo_x86",
    "fpregs_state",
    "fpstate",
    "fpu",
    "fpu_state_config",
    "fxregs_state",
    "thread_info",
    "thread_struct",
    "xregs_state",
    "xstate_header",
)
"""Types this module reads; which of them a kernel has tells its variant."""

ANCHORS = ("copy_fpstate_to_sigframe", "fpu__init_system_xstate")
"""Functions whose source files describe TYPES."""

MAX_IMAGE = 64 << 10
"""The most bytes believed of a register image (all that is defined needs under 12 KiB)."""

_TIF_NEED_FPU_LOAD = 14  # arch/x86/include/asm/thread_info.h, 5.2 to 6.17; a macro
_EAGER_WORD, _EAGER_BIT = 3, 29  # X86_FEATURE_EAGER_FPU, 3.7 to 4.8; a macro
_FLAGS = ("fpstate_active", "fpregs_active", "initialized")


@dataclass(frozen=True)
class FpuModel:
    """What `probe` found out about this kernel's FPU code; true as long as the kernel runs.

    `switching` is `lazy` or `eager`; `format` is `standard`, `compacted` or `fxsave`;
    `mask` (u64) the components the kernel has enabled; `size` the bytes of a register image;
    `init` the kernel's own init_fpstate image, empty when it could not be read.
    """

    kernel: Kernel
    variant: str
    switching: str
    format: str
    mask: int
    size: int
    tables: Tables
    spans: tuple[Span, ...]
    init: bytes
    fpu_offset: int
    image_offset: int
    image_pointer: bool
    members: dict[str, Member]

    def fpu_of(self, task: int) -> int:
        """Return the address of the struct fpu of the task_struct at `task`."""
        return task + self.fpu_offset

    def task_of(self, fpu: int) -> int:
        """Return the address of the task_struct around the struct fpu at `fpu`."""
        return fpu - self.fpu_offset

    def image_address(self, fpu: int) -> int:
        """Return the address of the register image of the struct fpu at `fpu`."""
        if self.image_pointer:
            pointer = self.kernel.layouts.offset("fpu", "fpstate")
            return read_u64(self.kernel.target, fpu + pointer) + self.image_offset
        return fpu + self.image_offset

    def header(self, fpu: int, image: bytes = b"") -> tuple[int, int]:
        """Return xfeatures and xcomp_bv (u64 each) of the struct fpu at `fpu`.

        They are taken from `image` where that is given, else from memory. Without XSAVE there
        is no header: x87 and SSE are then always there, in FXSAVE's form.
        """
        if self.format == "fxsave":
            return 0b11, 0
        if not image:
            address = self.image_address(fpu) + HEADER_OFFSET
            words = self.kernel.target.read_memory(address, 16)
            return int.from_bytes(words[:8], "little"), int.from_bytes(words[8:], "little")
        header = parse_header(image)
        return header.xfeatures, header.xcomp_bv

    def image(self, fpu: int) -> bytes:
        """Return the raw register image (`size` bytes) of the struct fpu at `fpu`."""
        return self.kernel.target.read_memory(self.image_address(fpu), self.size)

    def live(self, task: int) -> bool:
        """Return whether the CPU, not memory, holds the registers of the running task `task`.

        Up to 4.14 struct fpu says so (`fpregs_active`, 4.15 to 5.1 `initialized`); since 5.2
        (commit 5f409e20b794) it is the absence of TIF_NEED_FPU_LOAD in thread_info.flags.
        """
        for name in ("fpregs_active", "initialized"):
            if name in self.members:
                return bool(self._flag(task, name))
        word = self.kernel.layouts.offset("task_struct", "thread_info.flags")
        return not read_u64(self.kernel.target, task + word) >> _TIF_NEED_FPU_LOAD & 1

    def _flag(self, task: int, name: str) -> int:
        member = self.members[name]
        data = self.kernel.target.read_memory(self.fpu_of(task) + member.offset, member.size)
        return int.from_bytes(data, "little")

    def differs(self, image: bytes) -> int:
        """Return the mask of components of `image` whose values are not initial ones."""
        spans = self.spans
        if self.format == "compacted":
            spans = compacted_spans(parse_header(image).xcomp_bv, self.tables.sizes)
        return changed(image, spans, self.init or None, self.spans)

    def uses_fpu(self, task: Task) -> bool:
        """Return whether `task` ever used the FPU, as its memory shows it.

        Under lazy switching its state was ever activated (`fpstate_active`); under eager
        switching, where every task is active, some component's values differ from its initial
        state: the header's bits alone say nothing where every save sets them.
        """
        if task.kthread:
            return False
        if self.switching == "lazy":
            return bool(self._flag(task.address, "fpstate_active"))
        return bool(self.differs(self.image(self.fpu_of(task.address))))


def probe(kernel: Kernel) -> FpuModel:
    """Return the model of `kernel`'s FPU code.

    Raises MissingSymbol, MissingType or MissingMember naming what would be needed.
    """
    layouts = kernel.layouts
    fpu = layouts.member("task_struct", "thread.fpu")
    pointer = layouts.find("fpu", "fpstate") is not None
    image_offset = layouts.offset("fpstate", "regs") if pointer else layouts.offset("fpu", "state")
    mask, size = _mask(kernel), _size(kernel)
    init = _init_image(kernel, pointer, size)
    form = _format(mask, init)
    tables = Tables(
        "kernel", mask, _table(kernel, "xstate_offsets"), _table(kernel, "xstate_sizes")
    )
    members = {name: layouts.find("fpu", name) for name in _FLAGS}
    return FpuModel(
        kernel=kernel,
        variant="thread.fpu.fpstate" if pointer else "thread.fpu.state",
        switching=_switching(kernel),
        format=form,
        mask=mask,
        size=size,
        tables=tables,
        spans=_spans(form, tables, init),
        init=init,
        fpu_offset=fpu.offset,
        image_offset=image_offset,
        image_pointer=pointer,
        members={name: member for name, member in members.items() if member},
    )


def _config(kernel: Kernel, path: str) -> int | None:
    """Return a member of fpu_kernel_cfg, which 5.16 brought (commit 2bd264bce238)."""
    base, member = kernel.target.symbol_address("fpu_kernel_cfg"), None
    if base is not None:
        member = kernel.layouts.find("fpu_state_config", path)
    if base is None or member is None:
        return None
    data = kernel.target.read_memory(base + member.offset, member.size)
    return int.from_bytes(data, "little")


def _mask(kernel: Kernel) -> int:
    config = _config(kernel, "max_features")
    if config is not None:
        return config
    # xfeatures_mask_all since 5.8 (commit 524bb73bc729), xfeatures_mask 4.2 to 5.7
    for name in ("xfeatures_mask_all", "xfeatures_mask"):
        address = kernel.target.symbol_address(name)
        if address is not None:
            return read_u64(kernel.target, address)
    raise MissingSymbol("xfeatures_mask_all")


def _size(kernel: Kernel) -> int:
    size = _config(kernel, "default_size")
    # fpu_kernel_xstate_size since 4.8 (commit bf15a8cf8d14), xstate_size before
    for name in ("fpu_kernel_xstate_size", "xstate_size"):
        address = kernel.target.symbol_address(name)
        if size is None and address is not None:
            size = read_u32(kernel.target, address)
    if size is None:
        raise MissingSymbol("fpu_kernel_xstate_size")
    if not LEGACY_SIZE <= size <= MAX_IMAGE:
        raise CorruptState(f"the kernel's xstate size is {size} bytes, which cannot be")
    return size


def _init_image(kernel: Kernel, pointer: bool, size: int) -> bytes:
    address = kernel.target.symbol_address("init_fpstate")
    if address is None:
        return b""
    offset = kernel.layouts.offset("fpstate", "regs") if pointer else 0
    return kernel.target.read_memory(address + offset, size)


def _format(mask: int, init: bytes) -> str:
    if not mask:
        return "fxsave"
    if len(init) >= EXTENDED_OFFSET and parse_header(init).compacted:
        return "compacted"
    return "standard"


def _spans(form: str, tables: Tables, init: bytes) -> tuple[Span, ...]:
    if form == "compacted":
        return compacted_spans(parse_header(init).xcomp_bv, tables.sizes)
    if form == "fxsave":
        return standard_spans(0b11)
    return standard_spans(tables.mask or 0, tables.offsets, tables.sizes)


def _table(kernel: Kernel, name: str) -> dict[int, int] | None:
    """Return a kernel table of u32 by component number; None where it has none."""
    address = kernel.target.symbol_address(name)
    count = kernel.target.symbol_size(name) // 4 if address is not None else 0
    if address is None or not count:
        return None
    data = kernel.target.read_memory(address, 4 * min(count, 64))
    return {i: int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(len(data) // 4)}


def _switching(kernel: Kernel) -> str:
    """Return `lazy` or `eager`.

    Lazy switching needs `fpu.counter`, which went in 4.9 (commit 58122bf1d856) and from
    stable trees with it; while both exist, X86_FEATURE_EAGER_FPU in boot_cpu_data decides.
    """
    if kernel.layouts.find("fpu", "counter") is None:
        return "eager"
    word = kernel.layouts.find("cpuinfo_x86", "x86_capability")
    if word is None:
        raise MissingMember("cpuinfo_x86", "x86_capability")
    base = kernel.symbol("boot_cpu_data") + word.offset
    return "eager" if read_u32(kernel.target, base + 4 * _EAGER_WORD) >> _EAGER_BIT & 1 else "lazy"
