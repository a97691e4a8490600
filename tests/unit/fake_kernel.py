# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel of 4.4's types in a FakeTarget: layouts and memory, all written by hand.

The offsets of `comm`, `pid`, `tgid`, `fpu` and those inside struct fpu are the recorded
kernel's (tests/data/linux-4.4.60); the others are made up and appear here as numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

from fake import FakeTarget

from gdbfpu.layouts.types import Layouts, Member, StructLayout
from gdbfpu.target import Thread

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "linux-4.4.60" / "hits.json").read_text())

PID, TGID, COMM, FPU = 712, 716, 1144, 1792
FLAGS, TASKS, THREAD_NODE, SIGNAL = 20, 600, 900, 1000
NVCSW, NIVCSW, SIGHAND, BLOCKED = 1008, 1016, 1224, 1232
THREAD_HEAD = 16  # in signal_struct
ACTION, ACTION_BYTES = 8, 32  # of sighand_struct, and of each k_sigaction there
TASK_BYTES = FPU + 4096
PF_KTHREAD = 0x00200000
CPU_OFFSETS = (0xFFFF88003FC00000, 0xFFFF88003FD00000)
TASK_BASE = 0xFFFF880000100000
TASK_APART = 0x4000  # bytes from one task_struct to the next
SIGNAL_BASE = 0xFFFF880000800000
SIGHAND_BASE = 0xFFFF880000A00000
SYMBOLS = {
    "init_task": TASK_BASE,
    "__per_cpu_offset": 0xFFFFFFFF81001000,
    "nr_cpu_ids": 0xFFFFFFFF81002000,
    "kgdb_active": 0xFFFFFFFF81003000,
    "kgdb_info": 0xFFFFFFFF81004000,
    "current_task": 0xC000,
    "linux_banner": 0xFFFFFFFF81600000,
    "xfeatures_mask": 0xFFFFFFFF81007000,
    "xstate_size": 0xFFFFFFFF81008000,
    "init_fpstate": 0xFFFFFFFF81009000,
    "boot_cpu_data": 0xFFFFFFFF8100A000,
    "xstate_offsets": 0xFFFFFFFF8100B000,
    "xstate_sizes": 0xFFFFFFFF8100C000,
}
INIT_LEGACY = (b"\x7f\x03".ljust(24, b"\0") + b"\x80\x1f\0\0\xff\xff\0\0").ljust(512, b"\0")
"""The initial state of x87 and SSE (SDM volume 1, 13.6): FCW 0x37f, MXCSR 0x1f80."""


def struct(name, size, *members):
    """A StructLayout from (name, offset, size, type?, pointer?) tuples."""
    return StructLayout(name, size, tuple(Member(*member) for member in members))


def task_struct(*more):
    return struct(
        "task_struct",
        TASK_BYTES,
        ("flags", FLAGS, 4),
        ("tasks", TASKS, 16, "list_head"),
        ("pid", PID, 4),
        ("tgid", TGID, 4),
        ("thread_node", THREAD_NODE, 16, "list_head"),
        ("signal", SIGNAL, 8, "signal_struct", True),
        ("nvcsw", NVCSW, 8),
        ("nivcsw", NIVCSW, 8),
        ("sighand", SIGHAND, 8, "sighand_struct", True),
        ("blocked", BLOCKED, 8),
        ("comm", COMM, 16),
        ("thread", 1600, 4096, "thread_struct"),
        *more,
    )


COMMON = (
    struct("pt_regs", 168, ("r15", 0, 8)),
    struct("signal_struct", 1000, ("sigcnt", 0, 4), ("thread_head", THREAD_HEAD, 16, "list_head")),
    struct("debuggerinfo_struct", 40, ("debuggerinfo", 0, 8), ("task", 8, 8, "task_struct", True)),
    struct("thread_struct", 4096, ("sp", 24, 8), ("fpu", FPU - 1600, 3904, "fpu")),
    struct(
        "sighand_struct",
        ACTION + 64 * ACTION_BYTES,
        ("count", 0, 4),
        ("action", ACTION, 64 * ACTION_BYTES, "k_sigaction"),
    ),
    struct("k_sigaction", ACTION_BYTES, ("sa", 0, ACTION_BYTES, "sigaction")),
    struct("sigaction", ACTION_BYTES, ("sa_handler", 0, 8), ("sa_flags", 8, 8)),
)
FPU_44 = (
    struct(
        "fpu",
        3904,
        ("last_cpu", 0, 4),
        ("fpstate_active", 4, 1),
        ("fpregs_active", 5, 1),
        ("counter", 6, 1),
        ("state", 64, 3840, "fpregs_state"),
    ),
    struct("cpuinfo_x86", 200, ("x86", 0, 1), ("x86_capability", 12, 76)),
)


def layouts_44(*, without=()):
    structs = (task_struct(), *COMMON, *FPU_44)
    return Layouts(s for s in structs if s.name not in without)


class QuickTarget(FakeTarget):
    """A FakeTarget that finds the memory of one task among many at once, and notes no reads."""

    def read_memory(self, address: int, length: int) -> bytes:
        start = address - (address - TASK_BASE) % TASK_APART
        memory = self.ranges.get(start)
        if memory is None or address < TASK_BASE:
            data = super().read_memory(address, length)
            self.reads.clear()
            return data
        return bytes(memory[address - start : address - start + length])


class World:
    """Tasks, CPUs and the FPU's globals in a FakeTarget, as 4.4.60 had them."""

    def __init__(self, stub="kgdb", target=None):
        self.target = target = target or FakeTarget(stub)
        self.groups: list[list[int]] = []
        self.signals: dict[int, int] = {}
        target.symbols = dict(SYMBOLS)
        target.put(SYMBOLS["__per_cpu_offset"], bytes(8 * len(CPU_OFFSETS)))
        for cpu, offset in enumerate(CPU_OFFSETS):
            target.put_int(SYMBOLS["__per_cpu_offset"] + 8 * cpu, offset)
            target.put_int(offset + SYMBOLS["current_task"], 0)
        target.put_int(SYMBOLS["nr_cpu_ids"], len(CPU_OFFSETS), 4)
        target.put_int(SYMBOLS["kgdb_active"], 0, 4)
        target.put(SYMBOLS["kgdb_info"], bytes(40 * len(CPU_OFFSETS)))
        target.put(SYMBOLS["linux_banner"], GOLDEN["kernel"].encode().ljust(256, b"\0"))
        target.put_int(SYMBOLS["xfeatures_mask"], GOLDEN["xfeatures_mask"])
        target.put_int(SYMBOLS["xstate_size"], GOLDEN["xstate_size"], 4)
        target.put(SYMBOLS["init_fpstate"], bytes(4096))
        target.put(SYMBOLS["init_fpstate"], INIT_LEGACY)
        target.put(SYMBOLS["boot_cpu_data"], bytes(200))
        for name in ("xstate_offsets", "xstate_sizes"):
            table = b"".join(value.to_bytes(4, "little") for value in GOLDEN[name])
            target.put(SYMBOLS[name], table)
            target.sizes[name] = len(table)

    def add(self, pid, comm=b"task", *, leader=None, flags=0, address=None, fpu=b"", linked=True):
        """Add a task (a thread of `leader` if given) and return its task_struct's address.

        Unless `linked`, it is on no list yet: `link` takes its time with many tasks.
        """
        count = sum(len(group) for group in self.groups)
        task = address or TASK_BASE + count * TASK_APART
        self.target.put(task, bytes(TASK_BYTES))
        self.target.put_int(task + PID, pid, 4)
        group = next((g for g in self.groups if g[0] == leader), None)
        tgid = pid if group is None else self.read(leader + TGID, 4)
        self.target.put_int(task + TGID, tgid, 4)
        self.target.put_int(task + FLAGS, flags, 4)
        self.target.put(task + COMM, comm[:16].ljust(16, b"\0"))
        self.target.put(task + FPU, fpu or bytes(64) + INIT_LEGACY)
        if group is None:
            self.groups.append([task])
            self.signals[task] = SIGNAL_BASE + 0x1000 * len(self.groups)
            self.target.put(self.signals[task], bytes(1000))
            sighand = SIGHAND_BASE + 0x1000 * len(self.groups)
            self.target.put(sighand, bytes(ACTION + 64 * ACTION_BYTES))
            self.target.put_int(task + SIGHAND, sighand)
        else:
            group.append(task)
            self.target.put_int(task + SIGHAND, self.read(leader + SIGHAND, 8))
        if linked:
            self.link()
        return task

    def link(self):
        """Write the circular lists of processes and of each process's threads."""
        for i, group in enumerate(self.groups):
            after = self.groups[(i + 1) % len(self.groups)][0]
            self.target.put_int(group[0] + TASKS, after + TASKS)
            signal = self.signals[group[0]]
            nodes = [signal + THREAD_HEAD, *(task + THREAD_NODE for task in group)]
            for node, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
                self.target.put_int(node, following)
            for task in group:
                self.target.put_int(task + SIGNAL, signal)

    def run(self, task, cpu=0, *, active=True):
        """Let `cpu` run `task`; with `active` it is the CPU that stopped.

        Over KGDB the stopped thread's id is the task's pid (an idle task's, CPU n's, -(n + 2) as
        u32), over QEMU's gdbstub the CPU's number from 1.
        """
        self.target.put_int(CPU_OFFSETS[cpu] + SYMBOLS["current_task"], task)
        self.target.put_int(SYMBOLS["kgdb_info"] + 40 * cpu + 8, task)
        pid = self.read(task + PID, 4)
        if active and self.target.stub.in_kernel:
            self.target.put_int(SYMBOLS["kgdb_active"], cpu, 4)
            self.target.stopped = Thread(100 + pid, pid or (1 << 32) - cpu - 2)
        elif active:
            self.target.stopped = Thread(1 + cpu, 1 + cpu)
            self.target.registers["gs_base"] = CPU_OFFSETS[cpu]

    def handle(self, task, signal, handler=0x401000, flags=0):
        """Install a handler of `signal` for the process of `task`."""
        place = self.read(task + SIGHAND, 8) + ACTION + ACTION_BYTES * (signal - 1)
        self.target.put_int(place, handler)
        self.target.put_int(place + 8, flags)

    def read(self, address, size):
        return int.from_bytes(self.target.read_memory(address, size), "little")


def golden_world(hit, stub="kgdb"):
    """The recorded machine at one recorded hit; returns the World and the task's address."""
    world = World(stub)
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    task = world.add(
        hit["pid"],
        hit["comm"].encode(),
        address=int(hit["fpu_address"], 16) - GOLDEN["offsets"]["fpu"],
        fpu=bytes.fromhex(hit["fpu_bytes"]),
    )
    return world, task
