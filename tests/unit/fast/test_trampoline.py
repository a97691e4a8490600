# SPDX-License-Identifier: GPL-2.0-or-later
"""A diverted function does what it did before, and records it: both executed, on random states."""

from __future__ import annotations

import pytest

from gdbfpu.fast.trampoline import patched
from tests.unit.fast.emulator import IF, places_of
from tests.unit.fast.passes import ACTIVE, HEADER, KTHREAD, LIVE, Pass
from tests.unit.fast.worlds import AREA, PAGE, STACK, World

STATES = 6_000
"""How many machine states run, half of them into a ring, half into a table."""
A_WORLD = 15
STACK_USED = 8 * 13  # eleven registers, the flags, the return address of the recorder
LOCK, HEAD, LOST, FILTERED = 0, 8, 24, 32


class Runner:
    """Passes of a World: what hinders them, and whether they did what they should."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        self.cpu, self.model, self.program = world.diverted, world.model, world.program
        self.control = world.area.control
        self.tsc = self.pauses = self.fulls = self.release_after = 0
        self.debugger = False
        self.seen: set[str] = set()
        code = self.program.code
        for address in places_of("rdtsc", code, AREA, after=True):
            self.cpu.at(address, self._read_clock)
        for address in places_of("pause", code, AREA):
            self.cpu.at(address, self._wait)
        self.cpu.at(self.program.full, self._full)
        for function, entry in zip(world.functions, self.program.entries, strict=True):
            self.cpu.write(function.window.address, patched(function.window, entry))

    def _read_clock(self) -> None:
        self.cpu.set(rax=self.tsc & 0xFFFFFFFF, rdx=self.tsc >> 32)

    def _wait(self) -> None:
        """Another CPU has the lock: it fills a slot, or adds to a row, and gives the lock back."""
        self.pauses += 1
        if self.pauses == self.release_after:
            self.model.head += 1
            self.cpu.write(self.control + HEAD, self.model.head.to_bytes(8, "little"))
            self.cpu.write(self.control + LOCK, bytes(4))

    def _full(self) -> None:
        self.fulls += 1
        if self.debugger:
            self.cpu.stop()

    def one(self) -> None:
        world = self.world
        what, state, stack = world.random_pass()
        function = world.functions[what.function]
        begin, window = world.addresses[what.function], function.window
        end = window.end if window.leaves is None else window.leaves
        for cpu in (world.plain, world.diverted):
            cpu.write(STACK, stack)
            cpu.start(state, world.gs_base(what.cpu))
        assert world.plain.run(begin, end) == end
        self._hinder(what)
        before = self.model.counters
        self._pass(what, begin, end)
        self._see(what, before)
        assert world.diverted.state == world.plain.state
        self._check_stack(state.registers["rsp"])
        self._check_memory()
        self._check_writes(state.registers["rsp"])

    def _see(self, what: Pass, before: tuple[int, ...]) -> None:
        """Note which of the things happened that have to happen."""
        model, flags = self.model, self.model.flags(what)
        counters = zip(model.counters, before, strict=True)
        head, lost, filtered, rows = (after - then for after, then in counters)
        happened = {
            "recorded": head and not self.pauses,
            "waited": self.pauses,
            "filtered": filtered,
            "stopped": self.fulls and self.debugger,
            "stopped again": self.fulls > 1,
            "lost": lost and self.fulls,
            "wrapped": model.slots and head and model.head % model.slots < head,
            "another task": what.subject is not what.current and head,
            "no row left": lost and not self.fulls,
            "old row": model.rows and head and not rows,
            "interrupts off": not self.cpu.state.flags & IF,
            "interrupts on": self.cpu.state.flags & IF,
            "live": head and flags & LIVE,
            "kernel thread": head and flags & KTHREAD,
            "active": head and flags & ACTIVE,
            "header": head and flags & HEADER,
        }
        self.seen |= {name for name, true in happened.items() if true}

    def _check_stack(self, rsp: int) -> None:
        """All that was on the stack, and what the function put there."""
        plain = self.world.plain
        top = plain.state.registers["rsp"]
        places = [(rsp, STACK + PAGE - rsp), *((w.address, w.size) for w in plain.writes)]
        for address, size in places:
            if address >= top:
                assert self.cpu.read(address, size) == plain.read(address, size)

    def _hinder(self, what: Pass) -> None:
        self.tsc, self.pauses, self.fulls = what.tsc, 0, 0
        self.debugger = self.rng.random() < 0.5
        self.release_after = 0
        if self.model.wants(what.subject) and self.rng.random() < 0.2:
            self.release_after = self.rng.randint(1, 9)
            self.cpu.write(self.control + LOCK, b"\1\0\0\0")

    def _pass(self, what: Pass, begin: int, end: int) -> None:
        """Execute it; be the debugger where it finds no room."""
        where, fulls = self.cpu.run(begin, end), 0
        assert self.pauses == self.release_after
        if not self.model.wants(what.subject):
            self.model.filtered += 1
        else:
            while not self.model.has_room(what):
                fulls += 1
                if not self.debugger:
                    self.model.lost += 1
                    break
                where = self._make_room(where, end)
            else:
                self.model.record(what)
        assert (where, self.fulls) == (end, fulls)

    def _make_room(self, where: int, end: int) -> int:
        """Stop at `full`, where nobody is hindered; go on with some room or none."""
        assert where == self.program.full
        assert self.cpu.read(self.control, 512) == self.model.control[:512]
        assert not self.cpu.state.flags & IF
        self.model.stop_at = self.model.head + self.rng.randrange(4)
        self.cpu.write(self.control + 16, self.model.stop_at.to_bytes(8, "little"))
        return self.cpu.run(self.program.retry, end)

    def _check_memory(self) -> None:
        area, model = self.world.area, self.model
        assert self.cpu.read(AREA, len(self.program.code)) == self.program.code
        control = model.control.ljust(PAGE, b"\0")
        assert self.cpu.read(area.control, PAGE) == control
        data = self.cpu.read(area.data, len(model.data))
        rows = len(model.data) if area.slots else area.rows * 96
        assert data[:rows] == model.data[:rows]
        if area.rows:
            index = memoryview(data[rows : rows + 8 * area.rows]).cast("I")
            assert sorted(n for n in index if n) == list(range(1, len(model.table) + 1))
            assert not any(data[rows + 8 * area.rows :])

    def _check_writes(self, rsp: int) -> None:
        """Only the stack's free part and the area are written, this with the lock and quietly."""
        area, held = self.world.area, False
        allowed = {(w.address, w.size) for w in self.world.plain.writes}
        for w in self.cpu.writes:
            if w.address == self.control + LOCK:
                held = w.value == 1
                assert w.quiet
            elif w.address in (self.control + LOST, self.control + FILTERED):
                assert w.quiet
            elif self.control <= w.address < area.base + area.size:
                assert held
                assert w.quiet
            else:
                free = rsp - STACK_USED <= w.address <= rsp - w.size
                assert free or (w.address, w.size) in allowed, hex(w.address)
        assert not held


EVERYWHERE = {
    *("recorded", "waited", "filtered", "stopped", "stopped again", "lost", "another task"),
    *("interrupts off", "interrupts on", "live", "kernel thread", "active", "header"),
}


@pytest.mark.parametrize(
    ("form", "happen"), [("ring", {"wrapped"}), ("table", {"no row left", "old row"})]
)
def test_diverted_functions(form, happen, capsys):
    """Each state runs twice: through the trampoline, and through the function as it was."""
    states, seen = 0, set()
    while states < STATES // 2:
        seed = f"{form} {states}"
        runner = Runner(World(seed, ring=form == "ring"))
        for number in range(A_WORLD):
            try:
                runner.one()
            except Exception as error:
                raise AssertionError(f"world {seed!r}, pass {number}") from error
            states += 1
        seen |= runner.seen
    assert seen == EVERYWHERE | happen
    with capsys.disabled():
        print(f" {states} machine states into a {form} ", end="")
