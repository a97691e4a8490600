# SPDX-License-Identifier: GPL-2.0-or-later
"""What the rules check: the kernel, its tasks and its CPUs, each read once per audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.registers import Owner, answers, cr0_of, owner, ts_clash
from gdbfpu.kernel.fields import read_fields
from gdbfpu.kernel.tasks import Task
from gdbfpu.layouts.types import Member
from gdbfpu.target import Answers, read_u32
from gdbfpu.xsave.area import EXTENDED_OFFSET, Span, XsaveHeader, parse_header
from gdbfpu.xsave.legacy import DEFAULT_MXCSR_MASK

__all__ = ("ANCHORS", "TYPES", "CpuView", "Snapshot", "TaskView")

TYPES = ("fpu_guest", "fpu_state_perm", "kvm_vcpu", "kvm_vcpu_arch")
"""Types that the rules read. The modules of fpu/ and kernel/ list the types that they read."""

ANCHORS = ("fpu_alloc_guest_fpstate", "kvm_arch_vcpu_create")
"""Functions whose source files describe those of TYPES that KVM needs."""

_FPU = ("last_cpu", "fpstate_active", "fpregs_active", "has_fpu", "__task_fpstate")
_FPSTATE = ("size", "user_size", "xfeatures", "user_xfeatures", "xfd")
_FPSTATE_BITS = ("is_valloc", "is_guest", "in_use")


@dataclass(frozen=True)
class TaskView:
    """A task and its FPU memory.

    `fpu` is the address of its struct fpu, `at` the address of its register image. `image` has the
    image's bytes; it is empty if the task has no image. `cpu` is the CPU that runs the task, or
    None. `loaded` is true if that CPU holds this task's registers. `fields` has, by name, the
    scalar members of struct fpu (`last_cpu`) and struct fpstate (`fpstate.xfd`) that this kernel
    has.
    """

    task: Task
    fpu: int
    at: int
    image: bytes
    cpu: int | None
    loaded: bool
    fields: Mapping[str, int]

    @property
    def header(self) -> XsaveHeader | None:
        """Return the XSAVE header, or None if the image has none."""
        return parse_header(self.image) if len(self.image) >= EXTENDED_OFFSET else None


@dataclass(frozen=True)
class CpuView:
    """A CPU, what it runs, and whose registers it holds.

    `number` is the CPU's number, `current` the address of the task_struct that it runs. `view` is
    the view of that task, or None for a kernel thread. `owner` says whose registers the CPU holds;
    it is None if the kernel does not say. `kernel_use` is the variable that says that kernel code
    has the FPU now; it is empty if kernel code does not have the FPU. `clash` says how CR0.TS
    contradicts the kernel; it is empty if it does not, or if CR0 is not shown.
    """

    number: int
    current: int
    view: TaskView | None
    owner: Owner | None
    kernel_use: str
    clash: str = ""


@dataclass
class Snapshot:
    """A stopped kernel under audit; everything is read at most once.

    With `gaps`, the bytes between components are read, too. Without `walk`, other tasks are not
    read: this saves time at a hit, while the kernel waits for us.
    """

    model: FpuModel
    gaps: bool = False
    walk: bool = True
    _views: dict[int, TaskView] = field(default_factory=dict)

    @property
    def mask(self) -> int:
        """Return the components that the kernel saves (u64)."""
        return self.model.xstate.mask

    @property
    def mxcsr_mask(self) -> int:
        """Return the bits that MXCSR may have: mxcsr_feature_mask, or 0 if the kernel has none."""
        address = self.model.kernel.target.symbol_address("mxcsr_feature_mask")
        if address is None:
            return 0
        return read_u32(self.model.kernel.target, address) or DEFAULT_MXCSR_MASK

    @property
    def pkru_moved(self) -> bool:
        """Return whether a task's PKRU is in `thread.pkru`, and no longer in its area.

        This is so since 5.14 (commit 954436989cc5).
        """
        return self.model.kernel.layouts.find("task_struct", "thread.pkru") is not None

    def told(self, cpu: int) -> Answers | None:
        """Return what CPU number `cpu` answered, None if it was not asked."""
        return answers(self.model, cpu)

    def has(self, symbol: str) -> bool:
        """Return whether the kernel has `symbol`."""
        return self.model.kernel.target.symbol_address(symbol) is not None

    def spans(self, image: bytes) -> tuple[Span, ...]:
        """Return the places of the components that are wholly inside `image`.

        For a compacted image without a header there are none, since the header gives the places.
        """
        if len(image) < EXTENDED_OFFSET and self.model.format == "compacted":
            return ()
        return tuple(span for span in self.model.spans(image) if span.end <= len(image))

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks with FPU state of their own: all but kernel threads."""
        return (task for task in self.model.kernel.tasks() if not task.kthread)

    def cpus_of(self, task: Task) -> tuple[int, ...]:
        """Return the CPUs that run `task`; more than one is a defect."""
        return tuple(self._running.get(task.address, ()))

    @cached_property
    def _running(self) -> dict[int, list[int]]:
        kernel = self.model.kernel
        running: dict[int, list[int]] = {}
        for cpu in kernel.online_cpus():
            running.setdefault(kernel.current_task(cpu), []).append(cpu)
        return running

    def others(self, view: TaskView) -> Iterator[TaskView]:
        """Yield the views of the other tasks, but not of `view`'s task or of unreadable tasks."""
        with suppress(CorruptState, MemoryFault):  # the walk ends early
            for task in self.tasks() if self.walk else ():
                if task.address != view.task.address:
                    with suppress(CorruptState, MemoryFault):
                        yield self.view(task)

    def view(self, task: Task) -> TaskView:
        """Return the view of `task`; raise MemoryFault or CorruptState."""
        if task.address not in self._views:
            self._views[task.address] = self._read(task)
        return self._views[task.address]

    def _read(self, task: Task) -> TaskView:
        model = self.model
        fpu = model.fpu_of(task.address)
        cpu = next(iter(self.cpus_of(task)), None)
        at = model.image_address(fpu)
        return TaskView(
            task=task,
            fpu=fpu,
            at=at,
            image=self.image(task),
            cpu=cpu,
            loaded=cpu is not None
            and model.live(task.address)
            and self.untouched(task.address, cpu),
            fields=self._fields(fpu, at),
        )

    def untouched(self, task: int, cpu: int) -> bool:
        """Return whether live registers on CPU number `cpu` are the own ones of `task`.

        `task` is the address of the task_struct. Kernel code may have the FPU, or a KVM guest.
        """
        fpu = self.model.fpu_of(task)
        return not self.model.kernel_use(cpu)[0] and not self.model.holds_guest(fpu)

    def image(self, task: Task) -> bytes:
        """Return the image of `task` in memory, empty if the task has none.

        A lazy kernel may never have saved the task's state in its area.
        """
        if not self.model.state_there(task.address)[0]:
            return b""
        return self.model.image(self.model.fpu_of(task.address), gaps=self.gaps)

    def _fields(self, fpu: int, at: int) -> dict[str, int]:
        layouts, found = self.model.kernel.layouts, {}
        wanted = {name: layouts.find("fpu", name) for name in _FPU}
        perm = layouts.find("fpu", "perm.__state_perm")
        found.update(self._integers(fpu, {**wanted, "perm": perm}))
        return {**found, **self.fpstate(at)}

    def fpstate(self, at: int) -> dict[str, int]:
        """Return the scalar members of the struct fpstate around the image at `at` (see TaskView).

        Up to 5.15 there is no struct fpstate, and this returns none.
        """
        if not at or self.model.size_member is None:
            return {}
        find = self.model.kernel.layouts.find
        members = {f"fpstate.{n}": find("fpstate", n) for n in (*_FPSTATE, *_FPSTATE_BITS)}
        return self._integers(at - self.model.regs_offset, members)

    def _integers(self, base: int, members: Mapping[str, Member | None]) -> dict[str, int]:
        there = {name: member for name, member in members.items() if member is not None}
        data = read_fields(self.model.kernel.target, base, there)
        return {name: _integer(data[name], member) for name, member in there.items()}

    def integer(self, base: int, struct: str, path: str) -> int | None:
        """Return the scalar at dotted `path` of the `struct` at `base`, None if there is none."""
        return self._integers(base, {path: self.model.kernel.layouts.find(struct, path)}).get(path)

    def cpus(self) -> Sequence[CpuView]:
        """Return the views of all CPUs that are online; raise MemoryFault or CorruptState."""
        return [self.cpu(cpu) for cpu in self.model.kernel.online_cpus()]

    def cpu(self, cpu: int) -> CpuView:
        """Return the view of CPU number `cpu`; raise MemoryFault or CorruptState."""
        model = self.model
        current = model.kernel.current_task(cpu)
        task = model.kernel.task(current)
        taken, variable = model.kernel_use(cpu)
        view = None if task.kthread else self.view(task)
        cr0 = cr0_of(model, cpu)
        clash = ts_clash(model, cpu, cr0) if cr0 is not None else ""
        return CpuView(cpu, current, view, owner(model, cpu), variable if taken else "", clash)


def _integer(data: bytes, member: Member) -> int:
    value = int.from_bytes(data, "little")
    if member.bit_size is not None:
        return value >> (member.bit_offset or 0) & ((1 << member.bit_size) - 1)
    return value
