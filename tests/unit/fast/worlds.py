# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels at random: where the members of their structs are, their tasks, and some functions."""

from __future__ import annotations

import random
from dataclasses import replace

from gdbfpu.fast.assembler import Memory
from gdbfpu.fast.layout import Area
from gdbfpu.fast.places import Header, Places
from gdbfpu.fast.recorder import Filters, Name
from gdbfpu.fast.trampoline import Diverted, assemble, code_pages
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.probes.window import find_window
from tests.unit.fast.emulator import REGISTERS, Emulator, State
from tests.unit.fast.passes import PF_KTHREAD, Model, Pass, Task

U64 = (1 << 64) - 1
TEXT, AREA, BSS = 0xFFFFFFFF81000000, 0xFFFFFFFFC0100000, 0xFFFFFFFF82345000
STACK, TASKS, IMAGES = 0xFFFFC90000010000, 0xFFFF888012340000, 0xFFFF888100000000
PERCPU = 0xFFFF88803FC00000
PAGE, CPUS, COUNT = 0x1000, 3, 6
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
FLAGS = 0x244ED5  # CF PF AF ZF SF IF DF OF NT AC ID; bit 12 and 13 (IOPL) are 0 in a kernel
PLAIN = (
    "55", "53", "41 57", "48 89 e5", "48 63 d2", "31 c0", "0f 1f 44 00 00", "66 90", "f7 d8",
    "48 d1 e8", "49 ff c4", "48 c1 e0 04", "b8 f3 ff ff ff", "48 8d 44 24 08", "48 39 f7",
    "49 01 fb", "48 f7 d1", "48 b8 00 f0 ff ff ff 7f 00 00", "4c 87 d0", "54", "29 c9",
    "49 c1 fa 3f", "48 85 ff", "4d 31 db",
)  # fmt: skip
LOOK = (  # at what is on the stack
    "5b", "48 8b 14 24", "48 87 3c 24", "ff 74 24 08", "83 44 24 10 07", "66 c7 44 24 05 00 00",
)  # fmt: skip
GROW = ("48 83 ec 18", "48 83 e4 f0", "48 81 ec 00 01 00 00")
"""After these, what is on the stack is anything."""


def u(size: int, value: int) -> bytes:
    return value.to_bytes(size, "little")


def member(rng: random.Random, size: int, wanted: bool) -> bytes:
    """A member that is 0, or is not in one of its bytes only."""
    return u(size, (rng.randrange(1, 256) << 8 * rng.randrange(size)) if wanted else 0)


def random_u64(rng: random.Random) -> int:
    special = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, 1 << 63, U64)
    return rng.choice(special) if rng.random() < 0.2 else rng.getrandbits(64)


def random_window(rng: random.Random, address: int, per_cpu: int) -> bytes:
    """The code of a function at `address`, which ends far behind its window."""
    head = bytes.fromhex("f3 0f 1e fa") if rng.random() < 0.3 else b""
    own = bytes.fromhex("65 48 8b 04 25") + u(4, per_cpu % (1 << 32))
    code, kind = b"", rng.choice(("plain", "plain", "jmp32", "jmp8", "call"))
    grown = False
    while len(code) < (5 if kind == "plain" else rng.choice((3, 4))):
        pool = [*map(bytes.fromhex, PLAIN + GROW + (() if grown else LOOK)), own]
        code += rng.choice([one for one in pool if kind == "plain" or len(code + one) < 5])
        grown = grown or any(code.endswith(bytes.fromhex(text)) for text in GROW)
    if kind == "jmp8":
        code += b"\xeb" + u(1, rng.randrange(16, 100))
    elif kind != "plain":
        code += b"\xe9" if kind == "jmp32" else b"\xe8"
        to = TEXT + PAGE - 1 - rng.randrange(64)
        code += (to - (address + len(head + code) + 4)).to_bytes(4, "little", signed=True)
    return (head + code).ljust(0x80, b"\x90") + b"\xc3"


class World:
    """A kernel with diverted functions, two CPUs to compare, and the model of the trace."""

    def __init__(self, seed: str, *, ring: bool) -> None:
        self.rng = rng = random.Random(seed)
        self.per_cpu = rng.choice((0x1FB80, 0x800, -0x7E000000 + 0x100, 0xFF0, -8))
        self.smp = rng.random() < 0.8
        self.addresses = [TEXT + 0x100 * n + rng.randrange(16) for n in range(rng.randint(1, 4))]
        self.codes = [random_window(rng, a, self.per_cpu) for a in self.addresses]
        self._lay_out()
        self._choose_filters()
        size = 1 << rng.randrange(1, 5) if ring else 1 << rng.randrange(4)
        sizes = {"slots": size} if ring else {"rows": size}
        pages = code_pages(self.functions, self.places, self.filters, header=self.header)
        self.area = Area(AREA, pages, **sizes)
        self.program = assemble(
            self.functions, self.places, self.area, self.filters, header=self.header
        )
        assert len(self.program.code) <= pages * PAGE
        self.model = Model(
            self.area.slots, self.area.rows, self.header, self.places.active is not None,
            self.filters.pids, self.names,
        )  # fmt: skip
        self._begin()

    def _lay_out(self) -> None:
        rng = self.rng
        free = list(range(0x40, 0xF00, 0x20))
        rng.shuffle(free)
        small = [free.pop() + rng.choice((0, 4, 8, 12)) for _ in range(6)]
        self.images = rng.choice((0, 0x40, 0x240))
        header = rng.choice(
            (
                None,
                Header(free.pop()),
                Header(self.images, (free.pop(),)),
                Header(self.images, (free.pop(), free.pop())),
            )
        )
        bit = rng.choice((None, 0, 14, 31))
        place, up = self.per_cpu, BSS - (1 << 64)
        self.places = Places(
            current=Memory(disp=place, gs=True) if self.smp else Memory(disp=up + 8),
            cpu=Memory(disp=place - 0x10, gs=True) if self.smp else None,
            pid=small[0], tgid=small[1], comm=free.pop(), flags=small[2],
            fpu_offset=rng.choice((0x40, 0x880, 0x1580)), header=header,
            live=(small[3], 4 if bit is not None else rng.choice((1, 4)), bit),
            live_if=bit is None or rng.random() < 0.2,
            active=rng.choice((None, (small[4], 1), (small[4], 4), (small[5] & ~7, 8))),
        )  # fmt: skip
        self.header = rng.random() < 0.8
        self.functions = tuple(
            Diverted(
                replace(
                    CATALOGUE[0],
                    subject=rng.choice(("current", "fpu", "task")),
                    register=rng.choice(ARGUMENTS),
                ),
                find_window(code, address),
            )
            for address, code in zip(self.addresses, self.codes, strict=True)
        )

    def _choose_filters(self) -> None:
        rng = self.rng
        self.pids = [rng.choice((rng.randrange(1, 1 << 22), n + 1)) for n in range(COUNT)]
        self.words = [rng.randbytes(rng.randrange(16)).ljust(16, b"\0") for _ in range(4)]
        pids = rng.sample(self.pids, rng.choice((0, 0, 0, 1, 4)))
        wanted = rng.sample(self.words, rng.choice((0, 0, 0, 1, 3)))
        self.names = tuple((word, rng.choice((16, 16, 3, 9, 8))) for word in wanted)
        names = (
            Name(int.from_bytes(word[:size], "little"), (1 << 8 * size) - 1)
            for word, size in self.names
        )
        self.filters = Filters(tuple(pids), tuple(names))

    def _begin(self) -> None:
        """Fill the memory of both CPUs, and the control words of the trace."""
        rng = self.rng
        shared = {TEXT: PAGE, STACK: PAGE, BSS: PAGE, TASKS: COUNT * PAGE}
        shared |= {IMAGES + 2 * n * PAGE: PAGE for n in range(2 * COUNT)}
        shared |= {self._per_cpu(n) & ~0xFFF: PAGE for n in range(CPUS)}
        shared |= {(self._per_cpu(n) - 16) & ~0xFFF: PAGE for n in range(CPUS)}
        self.plain = Emulator(shared)
        self.diverted = Emulator({**shared, AREA: self.area.size})
        self.tasks = [Task(TASKS + n * PAGE, pid, rng.randrange(1, 1 << 22))
                      for n, pid in enumerate(self.pids)]  # fmt: skip
        for cpu in (self.plain, self.diverted):
            cpu.write(TASKS, rng.randbytes(COUNT * PAGE))
            for address, code in zip(self.addresses, self.codes, strict=True):
                cpu.write(address, code)
        for task in self.tasks:
            self._put(task.address + self.places.pid, u(4, task.pid))
            self._put(task.address + self.places.tgid, u(4, task.tgid))
        model, room = self.model, self.area.slots or self.area.rows
        model.head = rng.choice((0, 0, 1, room - 1, (1 << 32) - 1, 1 << 40)) if room else 0
        model.stop_at = rng.choice(
            (U64, model.head + room, model.head + room, model.head + 40, model.head // 2)
        )
        size = self.area.size - (self.area.data - self.area.base)
        model.data = bytearray(rng.randbytes(size) if self.area.slots else size)
        self.diverted.write(self.area.data, model.data)
        self.diverted.write(self.area.control, model.control)
        self.diverted.write(AREA, self.program.code)

    def _put(self, address: int, data: bytes) -> None:
        self.diverted.write(address, data)

    def _per_cpu(self, cpu: int) -> int:
        return PERCPU + 0x40000 * cpu + 0x100 + (self.per_cpu & 0xFF0)

    def gs_base(self, cpu: int) -> int:
        return (self._per_cpu(cpu) - self.per_cpu) & U64

    def random_task(self) -> Task:
        """One of the tasks, with another state."""
        rng, places = self.rng, self.places
        task = rng.choice(self.tasks)
        task.name = rng.choice(self.words)
        task.flags = rng.getrandbits(32) & ~PF_KTHREAD | PF_KTHREAD * (rng.random() < 0.15)
        task.live, task.active = rng.random() < 0.5, rng.random() < 0.5
        self._put(task.address + places.comm, task.name)
        self._put(task.address + places.flags, u(4, task.flags))
        offset, size, bit = places.live
        value = member(rng, size, task.live)
        if bit is not None:
            word = rng.getrandbits(32) & ~(1 << bit)
            value = u(4, word | (task.live == places.live_if) << bit)
        self._put(task.address + offset, value)
        if places.active:
            self._put(task.address + places.active[0], member(rng, places.active[1], task.active))
        task.header = self._random_header(task)
        return task

    def _random_header(self, task: Task) -> tuple[int, int] | None:
        rng, header = self.rng, self.places.header
        words = rng.choice((0, 3, 7, 0x207, 1 << 63 | 3)), random_u64(rng)
        if header is None:
            return 3, 0
        where = task.address + header.offset
        if header.pointers:
            used = [rng.random() < 0.5 for _ in header.pointers]
            for n, (pointer, there) in enumerate(zip(header.pointers, used, strict=True)):
                image = IMAGES + 2 * PAGE * (2 * self.tasks.index(task) + n) + PAGE - 16
                self._put(image, u(8, random_u64(rng)) * 2)
                self._put(task.address + pointer, u(8, image - header.offset if there else 0))
            if True not in used:
                return None
            number = 2 * self.tasks.index(task) + used.index(True)
            where = IMAGES + 2 * PAGE * number + PAGE - 16
        self._put(where, u(8, words[0]) + u(8, words[1]))
        return words

    def random_pass(self) -> tuple[Pass, State, bytes]:
        """A call of one of the functions, the CPU's state then, and the stack's bytes."""
        rng = self.rng
        number = rng.randrange(len(self.functions))
        probe = self.functions[number].probe
        current = self.random_task()
        same = probe.subject == "current" or rng.random() < 0.3
        subject = current if same else self.random_task()
        cpu = rng.randrange(CPUS) if self.smp else 0
        registers = {name: random_u64(rng) for name in REGISTERS}
        registers["rsp"] = STACK + 0x700 + 8 * rng.randrange(64)
        if probe.subject != "current":
            offset = self.places.fpu_offset if probe.subject == "fpu" else 0
            registers[probe.register] = subject.address + offset
        stack = bytearray(rng.randbytes(PAGE))
        caller = TEXT + rng.getrandbits(24)
        at = registers["rsp"] - STACK
        stack[at : at + 8] = u(8, caller)
        state = State(registers, rng.getrandbits(24) & FLAGS | 2)
        place = self._per_cpu(cpu) if self.smp else BSS + 8
        self.diverted.write(place, u(8, current.address))
        self.plain.write(place, u(8, current.address))
        self.diverted.write(self._per_cpu(cpu) - 16, u(4, cpu) + rng.randbytes(4))
        return Pass(number, cpu, current, subject, caller, rng.getrandbits(64)), state, bytes(stack)
