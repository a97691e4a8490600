# SPDX-License-Identifier: GPL-2.0-or-later
"""How this kernel saves FPU state: format, size, components, lazy or eager switching.

It is named after the kernel's arch/x86/kernel/fpu/xstate.c and reads that file's variables.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import CorruptState, MissingMember, MissingSymbol
from gdbfpu.kernel.cpuinfo import AMD, EAGER_FPU, HYGON, cpu_has, cpu_vendor
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32, read_u64
from gdbfpu.xsave.area import (
    EXTENDED_OFFSET,
    LEGACY_SIZE,
    Span,
    Table,
    compacted_spans,
    parse_header,
    standard_spans,
)
from gdbfpu.xsave.cpus import amd_offsets
from gdbfpu.xsave.features import FPSSE, SUPERVISOR
from gdbfpu.xsave.places import Tables

__all__ = ("LAZY_COUNTERS", "MAX_IMAGE", "TYPES", "XstateConfig", "read_xstate")

TYPES = ("cpuinfo_x86", "fpstate", "fpu_state_config", "vcpu_fpu_config")
"""The types that this module reads.

`fpu_state_config` came with 5.16 (commit 2bd264bce238), `vcpu_fpu_config` with 6.18.
"""

MAX_IMAGE = 64 << 10
"""The largest size of a register image to accept (all defined components need under 12 KiB)."""

_FLAG_ALIGN64 = 2  # XSTATE_FLAG_ALIGNED64 in xstate_flags[], since 5.18
LAZY_COUNTERS = (
    ("fpu", "counter"),
    ("thread_struct", "fpu_counter"),
    ("task_struct", "fpu_counter"),
)
"""Where a kernel that can switch lazily counts a task's uses: (type, member). Removed in 4.9."""


@dataclass(frozen=True)
class XstateConfig:
    """How a kernel saves FPU state.

    - `switching`: `lazy` or `eager`; `format`: `standard`, `compacted` or `fxsave`.
    - `mask` (u64): the enabled components; `size`: the size in bytes of a register image.
    - `tables`: the kernel's own offsets and sizes of components.
    - `init`: the kernel's init_fpstate, empty if it has none; `init_address`: its address.
    - `spans`: where the components are in an image such as `init`.
    - `user_size`, `user_mask`: the size in bytes and the components of an image for user space.
    - `guest_mask`: the components of a KVM guest's image.
    """

    switching: str
    format: str
    mask: int
    size: int
    tables: Tables
    spans: tuple[Span, ...]
    init: bytes
    init_address: int
    user_size: int
    user_mask: int
    guest_mask: int


def read_xstate(kernel: Kernel) -> XstateConfig:
    """Return how `kernel` saves FPU state.

    Raises MissingSymbol or MissingMember, which name what is missing.
    """
    mask, size = _mask(kernel), _size(kernel)
    init_address = _init_address(kernel)
    init = kernel.target.read_memory(init_address, size) if init_address else b""
    tables = Tables(
        "kernel",
        mask,
        _offsets(kernel, mask),
        _table(kernel, "xstate_sizes"),
        _alignment(kernel),
    )
    form = _format(mask, init)
    return XstateConfig(
        switching=_switching(kernel),
        format=form,
        mask=mask,
        size=size,
        tables=tables,
        spans=_spans(form, tables, init),
        init=init,
        init_address=init_address,
        user_size=_user_size(kernel, size),
        user_mask=_user_mask(kernel, mask),
        guest_mask=_guest_mask(kernel),
    )


def _config(
    kernel: Kernel, path: str, symbol: str = "fpu_kernel_cfg", struct: str = "fpu_state_config"
) -> int | None:
    """Return the member `path` of the `struct` called `symbol`, None if either is missing."""
    base, member = kernel.target.symbol_address(symbol), None
    if base is not None:
        member = kernel.layouts.find(struct, path)
    if base is None or member is None:
        return None
    data = kernel.target.read_memory(base + member.offset, member.size)
    return int.from_bytes(data, "little")


def _mask(kernel: Kernel) -> int:
    config = _config(kernel, "max_features")
    if config is not None:
        return config
    # xfeatures_mask_all since 5.8 (commit 524bb73bc729), xfeatures_mask 4.2 to 5.7
    names = ("xfeatures_mask_all", "xfeatures_mask", "pcntxt_mask")
    for name in names:
        address = kernel.target.symbol_address(name)
        if address is not None:
            return read_u64(kernel.target, address)
    raise MissingSymbol(names[0])


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
        raise CorruptState(f"the kernel's xstate size is {size} bytes, which is impossible")
    return size


def _user_size(kernel: Kernel, size: int) -> int:
    """Return the size in bytes of a user image.

    It is in fpu_user_cfg since 5.16, in fpu_user_xstate_size since 4.8.
    """
    user = _config(kernel, "default_size", "fpu_user_cfg")
    address = kernel.target.symbol_address("fpu_user_xstate_size")
    if user is None and address is not None:
        user = read_u32(kernel.target, address)
    return size if user is None else user


def _user_mask(kernel: Kernel, mask: int) -> int:
    """Return the components of a user image, from fpu_user_cfg since 5.16."""
    user = _config(kernel, "default_features", "fpu_user_cfg")
    return mask & ~SUPERVISOR if user is None else user


def _guest_mask(kernel: Kernel) -> int:
    """Return the components of a KVM guest's image.

    They are in guest_default_cfg where the kernel has it. From 5.16 on until then, they are a
    task's; before, KVM saves all components.
    """
    guest = _config(kernel, "features", "guest_default_cfg", "vcpu_fpu_config")
    default = _config(kernel, "default_features") if guest is None else guest
    return _mask(kernel) if default is None else default


def _init_address(kernel: Kernel) -> int:
    """Return the address of the image in init_fpstate, 0 if the kernel has none.

    Since 5.16 init_fpstate is a struct fpstate. Before 4.2 init_xstate_buf points to the image.
    """
    address = kernel.target.symbol_address("init_fpstate")
    if address is None:
        buffer = kernel.target.symbol_address("init_xstate_buf")
        return read_u64(kernel.target, buffer) if buffer is not None else 0
    regs = kernel.layouts.find("fpstate", "regs")
    return address + (regs.offset if regs else 0)


def _format(mask: int, init: bytes) -> str:
    if not mask:
        return "fxsave"
    if len(init) >= EXTENDED_OFFSET and parse_header(init).compacted:
        return "compacted"
    return "standard"


def _spans(form: str, tables: Tables, init: bytes) -> tuple[Span, ...]:
    if form == "compacted":
        return compacted_spans(parse_header(init).xcomp_bv, tables.sizes, tables.align)
    if form == "fxsave":
        return standard_spans(FPSSE)
    return standard_spans(tables.mask or 0, tables.offsets, tables.sizes)


def _table(kernel: Kernel, name: str) -> dict[int, int] | None:
    """Return the kernel's table `name` of u32 by component number, None if it has none.

    Before 4.2 the symbol is a pointer to an array of `xstate_features` numbers.
    """
    address = kernel.target.symbol_address(name)
    count = kernel.target.symbol_size(name) // 4 if address is not None else 0
    features = kernel.target.symbol_address("xstate_features")
    if address is not None and count == 2 and features is not None:
        address, count = read_u64(kernel.target, address), read_u32(kernel.target, features)
    if not address or not count:
        return None
    data = kernel.target.read_memory(address, 4 * min(count, 64))
    return {i: int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(len(data) // 4)}


def _offsets(kernel: Kernel, mask: int) -> Table | None:
    """Return the offsets of components: the kernel's own, or those of its CPU's vendor."""
    own = _table(kernel, "xstate_offsets")
    if own is None and cpu_vendor(kernel) in (AMD, HYGON):
        return amd_offsets(mask)
    return own


def _alignment(kernel: Kernel) -> dict[int, int] | None:
    flags = _table(kernel, "xstate_flags")
    return {i: flag & _FLAG_ALIGN64 for i, flag in flags.items()} if flags else None


def _switching(kernel: Kernel) -> str:
    """Return `lazy` or `eager`.

    Lazy switching needs a use counter. Commit 58122bf1d856 removed it, in 4.9 and in stable trees
    that took this commit. If a kernel can switch both ways, X86_FEATURE_EAGER_FPU in
    boot_cpu_data decides.
    """
    if not any(kernel.layouts.find(*place) for place in LAZY_COUNTERS):
        return "eager"
    eager = cpu_has(kernel, EAGER_FPU)
    if eager is None:
        kernel.symbol("boot_cpu_data")
        raise MissingMember("cpuinfo_x86", "x86_capability")
    return "eager" if eager else "lazy"
