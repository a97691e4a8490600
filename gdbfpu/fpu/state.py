# SPDX-License-Identifier: GPL-2.0-or-later
"""A task's whole FPU state, and where its current values are: in memory, or live in a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gdbfpu.errors import CorruptState, MemoryFault, UsageError
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.registers import answers, loaded, shown_registers
from gdbfpu.fpu.xstate import MAX_IMAGE
from gdbfpu.kernel.tasks import Task
from gdbfpu.kernel.usermem import UserMemory
from gdbfpu.text.names import named
from gdbfpu.xsave.area import HEADER_OFFSET, LEGACY_SIZE, Span
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.features import PKRU, names
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.live import overlaid, placed, source_of
from gdbfpu.xsave.sigframe import FREGS_SIZE, parse_frame

__all__ = ("TaskState", "find_task", "frame_bytes", "read_frame", "read_state")

_GUEST = "in memory: the task's state is set aside while a KVM guest's registers are in its place"
_UNUSED = (
    "nowhere: the task never used the FPU, or not since its signal handler began, "
    "so the bytes in memory have no meaning"
)
_SHOWN = 8  # pids in a message
_KINDS = {
    "st0": "x87",
    "k0": "opmask",
    "xmm0": "XMM",
    "ymm0": "YMM",
    "zmm0": "ZMM",
    "mxcsr": "MXCSR",
    "r16": "r16 to r31",
}
"""A register, and what to call it together with those of its kind."""


@dataclass(frozen=True)
class TaskState:
    """The FPU state of `task`.

    - `fpu`: the address of its struct fpu.
    - `raw`: the register image in memory.
    - `image`: the decoded image. Where the stub shows live registers, they replace memory's. Where
      the CPU was asked, this is the image that the CPU wrote.
    - `live`: the names of those registers.
    - `cpu`: the CPU that runs the task, None if no CPU does.
    - `loaded`: whether that CPU's registers are this task's.
    - `truth`: a sentence that says where the current values are.
    """

    task: Task
    fpu: int
    raw: bytes
    image: FpuImage
    cpu: int | None
    loaded: bool
    live: tuple[str, ...]
    truth: str

    def source(self, register: str) -> str:
        """Return where `register` was read: `CPU`, `memory` or `low half CPU, rest memory`."""
        return source_of(register, self.live)


def find_task(model: FpuModel, who: str, comm: str = "") -> Task:
    """Return the task that `who` or `comm` names.

    `who` is `current` (or empty), a pid, or the address (0x...) of a task_struct or struct
    fpu. `comm` is the name of one task, or a glob that matches it. Raises UsageError if no task
    or several tasks match.
    """
    kernel = model.kernel
    if comm:
        tasks = tuple(task for task in kernel.tasks() if named(task.comm, comm))
        equal = tuple(task for task in tasks if task.comm == comm)
        return _only(equal or tasks, f"called {comm!r}")
    if who in ("", "current"):
        if kernel.target.machine is None:
            raise UsageError("a dump has no current task: use PID, ADDRESS or --comm NAME")
        return kernel.selected()
    try:
        number = int(who, 0)
    except ValueError as error:
        raise UsageError(f"{who!r} is not `current`, a pid, or an address") from error
    if not who.lower().startswith("0x"):
        return _only((t for t in kernel.tasks() if t.pid == number), f"with pid {number}")
    at = (t for t in kernel.tasks() if number in (t.address, model.fpu_of(t.address)))
    return _only(at, f"whose task_struct or struct fpu is at {number:#x}")


def _only(tasks: Iterable[Task], what: str) -> Task:
    found = list(tasks)
    if not found:
        raise UsageError(f"no task {what}")
    if len(found) > 1:
        pids = ", ".join(str(task.pid) for task in found[:_SHOWN])
        more = ", ..." if len(found) > _SHOWN else ""
        raise UsageError(f"{len(found)} tasks {what}: give the pid of one ({pids}{more})")
    return found[0]


def read_state(model: FpuModel, task: Task) -> TaskState:
    """Return the FPU state of `task`; raise UsageError if it has none."""
    if task.kthread:
        raise UsageError(f"{task.comm} (pid {task.pid}) is a kernel thread: it has no FPU state")
    fpu = model.fpu_of(task.address)
    raw = model.image(fpu)
    if not raw:
        raise UsageError(f"{task.comm} (pid {task.pid}) never used the FPU: it has no FPU state")
    cpu = model.kernel.running_on(task.address)
    held = loaded(model, task.address, cpu)
    image, live, place = _current(model, task, raw, cpu if held else None)
    if model.holds_guest(fpu):
        truth = _GUEST
    elif model.switching == "lazy" and not model.state_there(task.address)[0]:
        truth = _UNUSED
    elif held:
        truth = f"live in CPU {cpu}{place}"
    else:
        truth = _in_memory(cpu, cpu is not None and model.kernel_use(cpu)[0])
    return TaskState(task, fpu, raw, image, cpu, held, live, truth)


def _current(
    model: FpuModel, task: Task, raw: bytes, cpu: int | None
) -> tuple[FpuImage, tuple[str, ...], str]:
    """Return the decoded image, the registers in it that CPU number `cpu` has told, and which.

    None stands for no CPU: then all are from memory, where `raw` was read.
    """
    spans, told = model.spans(raw), answers(model, cpu)
    if told is not None and told.image:
        image = _decode(model, told.image)
        live = tuple(register.name for register in image.registers)
        return image, live, f", which has now written them with {told.instruction}"
    registers = shown_registers(model, cpu) if cpu is not None else {}
    parts = _parts(registers, spans)
    hides = (
        f"says the kernel, but {told.why}" if told is not None else "which this stub does not show"
    )
    place = f": {parts}" if parts else f", {hides}: these are the last saved values"
    image = _decode(model, overlaid(_with_pkru(model, task, raw), spans, registers))
    return image, tuple(registers), place


def _with_pkru(model: FpuModel, task: Task, raw: bytes) -> bytes:
    """Return `raw` with the task's PKRU at its offset and its header bit set.

    Since 5.14 (commit 954436989cc5) `thread.pkru` holds PKRU while the task does not run. The copy
    in the XSAVE area is stale.
    """
    kernel, layouts = model.kernel, model.kernel.layouts
    pkru = layouts.find("task_struct", "thread.pkru")
    span = next((span for span in model.xstate.spans if span.number == PKRU), None)
    if pkru is None or span is None or span.end > len(raw):
        return raw
    image = bytearray(raw)
    image[span.offset : span.offset + 4] = kernel.target.read_memory(task.address + pkru.offset, 4)
    image[HEADER_OFFSET + PKRU // 8] |= 1 << PKRU % 8
    return bytes(image)


def _decode(model: FpuModel, raw: bytes) -> FpuImage:
    image = decode(raw, format=model.format, tables=model.xstate.tables)
    return replace(image, reason="as this kernel saves it")


def _in_memory(cpu: int | None, taken: bool) -> str:
    """Return why the registers are in memory; `taken` says whether kernel code uses the FPU."""
    if cpu is None:
        return "in memory: the task does not run"
    if taken:
        return f"in memory: CPU {cpu} runs the task, but kernel code uses the FPU there"
    return f"in memory: CPU {cpu} runs the task, but its registers are not loaded there"


def _parts(registers: Mapping[str, bytes], spans: Sequence[Span]) -> str:
    """Return which of a live task's registers come from where; `` if the stub shows none."""
    found = [text for name, text in _KINDS.items() if name in registers]
    if not found:
        return ""
    shown = {part.number for part in placed(registers, spans)}
    hidden = names(sum(1 << span.number for span in spans if span.number not in shown))
    rest = ", ".join(("FOP", "FIP", "FDP", *hidden))
    return f"{_joined(found)} come from the CPU, all else ({rest}) from the last save in memory"


def _joined(words: Sequence[str]) -> str:
    return " and ".join((*([", ".join(words[:-1])] if words[1:] else []), words[-1]))


def read_frame(model: FpuModel, address: int) -> FpuImage:
    """Return the decoded FPU part of the signal frame at user `address` of the running task.

    Raises CorruptState if the frame cannot be read.
    """
    image = frame_bytes(model, model.kernel.current()[1], address)
    found = decode(image, format="sigframe", tables=model.xstate.tables)
    return replace(found, reason="as the kernel writes it for a signal handler")


def frame_bytes(model: FpuModel, task: Task, address: int) -> bytes:
    """Return the bytes of the signal frame at user `address` of the running `task`.

    Raises CorruptState if they cannot be read: a page may be swapped out.
    """
    memory = UserMemory(model.kernel, task.address)
    try:
        head = memory.read(address, FREGS_SIZE + LEGACY_SIZE)
        frame = parse_frame(head)
        size = frame.base + LEGACY_SIZE
        if frame.extended:
            size = min(max(size, frame.base + frame.xstate_size + 4), MAX_IMAGE)
        rest = memory.read(address + len(head), size - len(head)) if size > len(head) else b""
        return head[:size] + rest
    except MemoryFault as error:
        raise CorruptState(
            f"cannot read a frame at {address:#x} of {task.comm} (pid {task.pid}): neither the "
            "stub nor the task's page tables give access"
        ) from error
