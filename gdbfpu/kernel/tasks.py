# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the kernel's tasks and CPUs: every task, and the task that each CPU runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from gdbfpu.errors import CorruptState, MissingSymbol, UsageError
from gdbfpu.kernel.bounded import remember
from gdbfpu.kernel.fields import Fields, read_fields, with_free
from gdbfpu.kernel.percpu import cpu_offsets
from gdbfpu.kernel.running import find_reader
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Machine, Memory, read_u32, read_u64
from gdbfpu.text.printable import printable

__all__ = ("ANCHORS", "CHANGES", "MAX_TASKS", "PF_KTHREAD", "TYPES", "Kernel", "Task")

TYPES = ("debuggerinfo_struct", "list_head", "pcpu_hot", "signal_struct", "task_struct")
"""Types this module reads; only a kernel with CONFIG_KGDB has `debuggerinfo_struct`."""

ANCHORS = ("kgdb_handle_exception",)
"""Functions whose source files describe those TYPES that the FPU code does not include."""

MAX_TASKS = 4 << 20
"""The largest number of tasks that we believe (PID_MAX_LIMIT on 64-bit kernels)."""

CHANGES = ("blocked", "nvcsw", "nivcsw")
"""Members of task_struct that a walk reads too, if that takes no further read."""

PF_KTHREAD = 0x00200000  # include/linux/sched.h; a macro, so not in DWARF
"""The bit of `task_struct.flags` that kernel threads have."""

_IDENTITY = ("pid", "tgid", "comm", "flags")
_LINKS = (*_IDENTITY, "tasks", "thread_node", "signal")


@dataclass(frozen=True)
class Task:
    """A task: the address of its task_struct, pid and tgid in the root namespace, its name.

    `comm` is safe on a terminal (see `printable`); `kthread` is true for a kernel thread.
    `thread_flags` is `thread_info.flags` (u64). It is known only for the task of the stopped CPU,
    and only if the read that found this task returned it, too. `changes` has the CHANGES that a
    walk read, and holds while the kernel is stopped.
    """

    address: int
    pid: int
    tgid: int
    comm: str
    kthread: bool
    thread_flags: int | None = field(default=None, compare=False)
    changes: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)


class Kernel:
    """A stopped kernel: its memory (`target`), its layouts, and the offsets of its per-CPU areas.

    The kernel is probed once, at creation. The object is valid until the target is another
    kernel. Raises MissingSymbol, MissingType and MissingMember if the kernel lacks what we need.
    """

    def __init__(self, target: Memory, layouts: Layouts) -> None:
        self.target = target
        self.layouts = layouts
        self.cpu_offsets = cpu_offsets(target)
        self._members = {name: layouts.member("task_struct", name) for name in _LINKS}
        changes = {n: m for n in CHANGES if (m := layouts.find("task_struct", n))}
        self._walked = Fields(target.stub, with_free(target.stub, self._members, changes))
        self._running = find_reader(target, layouts)
        self._known: dict[int, Task] = {}
        self._last: dict[int, tuple[int, int]] = {}  # a pid's CPU and task when it last stopped

    def stopped(self) -> Machine:
        """Return the stopped machine; raise UsageError for a dump, which has none."""
        if self.target.machine is None:
            raise UsageError("a dump has no stopped CPU: attach to a running kernel")
        return self.target.machine

    def symbol(self, name: str) -> int:
        """Return the address of symbol `name`; raise MissingSymbol."""
        address = self.target.symbol_address(name)
        if address is None:
            raise MissingSymbol(name)
        return address

    def banner(self) -> str:
        """Return `linux_banner` as the running kernel has it, without its newline."""
        data = self.target.read_memory(self.symbol("linux_banner"), 256)
        return printable(data.split(b"\n", 1)[0])

    def current(self) -> tuple[int, Task]:
        """Return the CPU that stopped and its current task.

        With stubs other than KGDB, gs_base points to the CPU's per-CPU area. Over KGDB, the id of
        the stopped thread is a pid. If the task that had this pid at its last stop runs on the
        stopped CPU, it is the current task. If not, `kgdb_active` and `kgdb_info[cpu].task` give
        the task (3.10 and later). Raises CorruptState if these values make no sense.
        """
        machine = self.stopped()
        if not machine.stub.in_kernel:
            cpu = self._cpu_of(machine)
            return cpu, self.task(self.current_task(cpu))
        pid = machine.stopped_thread().lwp
        cpu, address = self._last.get(pid, (0, 0))
        running = self._running.read(machine, address) if self._running and address else None
        if running is None:
            cpu, address = self._kgdb_current(pid)
            task = self.task(address, pid if pid > 0 else None)
        else:
            cpu, kthread = running.cpu, bool(running.flags & PF_KTHREAD)
            task = self.task(address, pid)
            task = replace(task, kthread=kthread, thread_flags=running.thread_flags)
        remember(self._last, pid, (cpu, address))
        return cpu, task

    def _cpu_of(self, machine: Machine) -> int:
        """Return the CPU of the stopped thread, whose per-CPU area gs_base points to.

        In user mode gs_base belongs to the program. Then the thread's number says which CPU it is:
        QEMU's gdbstub numbers threads by CPU, from 1.
        """
        gs_base = machine.register("gs_base")
        if gs_base in self.cpu_offsets:
            return self.cpu_offsets.index(gs_base)
        cpu = machine.stopped_thread().lwp - 1
        if gs_base is None or gs_base >> 63 or not 0 <= cpu < len(self.cpu_offsets):
            raise CorruptState("gs_base matches no CPU: does vmlinux match the running kernel?")
        return cpu

    def _kgdb_current(self, pid: int) -> tuple[int, int]:
        """Return the stopped CPU and its task; first try the CPU where task `pid` was last seen.

        If that CPU's current task is the one that we know by this pid, this is the stopped CPU:
        a task runs on one CPU only.
        """
        if pid in self._last:
            guess = self._last[pid][0]
            address = self._kgdb_task(guess)
            if address in self._known and self._known[address].pid == pid:
                return guess, address
        cpu = read_u32(self.target, self.symbol("kgdb_active"))
        if cpu >= len(self.cpu_offsets):
            raise CorruptState(f"kgdb_active is {cpu}, but there are {len(self.cpu_offsets)} CPUs")
        return cpu, self._kgdb_task(cpu)

    def _kgdb_task(self, cpu: int) -> int:
        size = self.layouts.struct("debuggerinfo_struct").size
        task = self.layouts.offset("debuggerinfo_struct", "task")
        return read_u64(self.target, self.symbol("kgdb_info") + cpu * size + task)

    def selected(self) -> Task:
        """Return the task of the thread that the debugger has selected; raise CorruptState.

        Over KGDB a thread's id is the pid of its task. The thread `shadowCPUn`, whose id is
        -(n + 2) as u32, is the task that CPU n runs.
        """
        machine = self.stopped()
        if not machine.stub.threads_are_tasks:
            return self.current()[1]
        lwp = machine.stopped_thread().lwp
        if lwp >> 31:
            return self.task(self.current_task((1 << 32) - lwp - 2))
        for task in self.tasks():
            if task.pid == lwp:
                return task
        raise CorruptState(
            f"GDB has selected thread {lwp}, but the kernel has no task with that pid"
        )

    def running_on(self, task: int) -> int | None:
        """Return the CPU that runs the task_struct at `task` now, or None if it does not run."""
        cpus = self.online_cpus()
        return next((cpu for cpu in cpus if self.current_task(cpu) == task), None)

    def online_cpus(self) -> tuple[int, ...]:
        """Return the numbers of the CPUs that are online (`__cpu_online_mask`)."""
        cpus = range(len(self.cpu_offsets))
        for name in ("__cpu_online_mask", "cpu_online_bits"):  # the latter up to 4.4
            address = self.target.symbol_address(name)
            if address is not None:
                size = -(-len(cpus) // 8)
                mask = int.from_bytes(self.target.read_memory(address, size), "little")
                return tuple(cpu for cpu in cpus if mask >> cpu & 1)
        return tuple(cpus)

    def current_task(self, cpu: int) -> int:
        """Return the address of the task_struct that CPU number `cpu` runs."""
        return read_u64(self.target, self.current_task_place(cpu))

    def current_task_place(self, cpu: int) -> int:
        """Return the address of the pointer to the task_struct that CPU number `cpu` runs."""
        return self._hot("current_task", cpu)

    def cpu_number_place(self, cpu: int) -> int:
        """Return the address of the number (int) that CPU number `cpu` has for itself."""
        return self._hot("cpu_number", cpu)

    def _hot(self, name: str, cpu: int) -> int:
        """Return the address of the per-CPU variable `name`, in 6.2 to 6.14 part of pcpu_hot."""
        hot = self.layouts.find("pcpu_hot", name)  # commit d7b6d709a76a
        base = self.target.symbol_address("pcpu_hot") if hot else None
        if hot is None or base is None:
            return self.per_cpu(name, cpu)
        return self._in_cpu(base, cpu) + hot.offset

    def per_cpu(self, symbol: str, cpu: int) -> int:
        """Return the address of the per-CPU variable `symbol` of CPU number `cpu`."""
        return self._in_cpu(self.symbol(symbol), cpu)

    def _in_cpu(self, address: int, cpu: int) -> int:
        """Return where CPU number `cpu` has the per-CPU variable whose symbol is at `address`.

        Up to 6.14 these symbols begin at 0 and KASLR does not move them. So if the debugger moved
        all symbols, we move these back.
        """
        first = self.target.symbol_address("__per_cpu_start")
        moved = self.target.slide if first == self.target.slide else 0
        return (address - moved + self.cpu_offsets[cpu]) & ((1 << 64) - 1)

    def task(self, address: int, pid: int | None = None) -> Task:
        """Return the task whose task_struct is at `address`; raise MemoryFault.

        Pass `pid` if it is known, to save a read. Reuse the cached task if the pid still matches,
        and read only its name again, since exec and prctl change that.
        """
        known = self._known.get(address)
        if known is not None:
            names = ("comm",) if pid is not None else ("pid", "comm")
            fields = read_fields(self.target, address, {n: self._members[n] for n in names})
            if (_int(fields["pid"]) if pid is None else pid) == known.pid:
                return replace(known, comm=printable(fields["comm"]))
        fields = read_fields(self.target, address, {n: self._members[n] for n in _IDENTITY})
        task = _task(address, fields)
        remember(self._known, address, task)
        return task

    def tasks(self) -> Iterator[Task]:
        """Yield every task: init_task first, then each process followed by its threads.

        Raises CorruptState if the list loops or does not end, MemoryFault if a link is broken.
        """
        seen: set[int] = set()
        first = self.symbol("init_task")
        address = first
        while True:
            leader, links = self._walk(address, seen)
            yield leader
            yield from self._threads(address, links, seen)
            address = _u64(links["tasks"][:8]) - self._members["tasks"].offset
            if address == first:
                return

    def _threads(self, leader: int, links: dict[str, bytes], seen: set[int]) -> Iterator[Task]:
        signal = self.layouts.find("signal_struct", "thread_head")
        head = _u64(links["signal"]) + (signal.offset if signal else 0)
        node = _u64(links["thread_node"][:8])
        while node != head:
            address = node - self._members["thread_node"].offset
            if address == leader:
                return
            task, fields = self._walk(address, seen)
            # all threads of a process share its signal_struct, as long as they are on the list
            if fields["signal"] != links["signal"] or not any(links["signal"]):
                raise CorruptState(
                    f"the list of threads of the task at {leader:#x} does not lead back to it"
                )
            yield task
            node = _u64(fields["thread_node"][:8])

    def _walk(self, address: int, seen: set[int]) -> tuple[Task, dict[str, bytes]]:
        if address in seen or len(seen) >= MAX_TASKS:
            raise CorruptState(f"the task list loops at {address:#x}")
        seen.add(address)
        fields = self._walked.read(self.target, address)
        return _task(address, fields), fields


def _task(address: int, fields: dict[str, bytes]) -> Task:
    return Task(
        address,
        _int(fields["pid"]),
        _int(fields["tgid"]),
        printable(fields["comm"]),
        bool(int.from_bytes(fields["flags"], "little") & PF_KTHREAD),
        changes={name: fields[name] for name in CHANGES if name in fields},
    )


def _int(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _u64(data: bytes) -> int:
    return int.from_bytes(data, "little")
