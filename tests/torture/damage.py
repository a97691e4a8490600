# SPDX-License-Identifier: GPL-2.0-or-later
"""What a hostile kernel can have in its memory: each function writes it into a stub's."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.torture.lying_stub import LyingStub

__all__ = ("DAMAGE", "NAMES", "evil_name")

_PHANTOM = 0xFFFF900000000000  # task_structs that are made when they are read
_APART = 0x10000  # bytes from one to the next
_USER = 0x7FF000000000
NAMES = (
    b"\x1b[31mred\x1b[0m", b"\x1b]0;owned\x07", b"a\nb\r\nc", b"a\0b", b"sixteen bytes 16",
    b"\xff\xfe\xfd", b"\xe2\x80\xaetxt.exe", b"\xe2\x81\xa6rtl\xe2\x81\xa9", b"\xc2\x9b31m",
    b"=cmd|'/c x'!A1", b"@SUM(1)", b"+1", b"-1", b"\t=1", b"</script><b>", b"<img src=x o=1",
    b"\"';--", b"|pipe|`code`", b"[x](y)**b**", b"\\x1b[31m", b"", b" ", b"  x  ", b"$(id)",
    b"\xe2\x80\xa8line\xe2\x80\xa9", b"\xc2\xad\xe2\x80\x8bzero", b"\xf0\x9f\x92\xa9", b"%s%n%x",
    b"\xef\xbb\xbfbom", b"\x7f\x08\x08", b"{{7*7}}", b"a;b,c\"d", b"\xed\xa0\x80", b"\xcc\x81" * 8,
)  # fmt: skip


def evil_name(chance: random.Random) -> bytes:
    """Return 16 bytes that a task may have as its name."""
    name = chance.choice((*NAMES, chance.randbytes(16), chance.choice(NAMES) + chance.randbytes(9)))
    return name[:16].ljust(16, chance.choice((b"\0", b"\0", b"A")))


def pointer(stub: LyingStub) -> int:
    """Return a pointer that leads nowhere good."""
    tasks = stub.image.tasks
    links = [task + stub.image.offsets["tasks"] for task in tasks]
    return stub.chance.choice((
        0, 1, 8, _USER, (1 << 64) - 1, (1 << 64) - 8, 0xDEAD000000000100, 1 << 63, 1 << 47,
        stub.chance.randrange(1 << 64), stub.chance.choice(tasks), stub.chance.choice(links),
        stub.chance.choice(links) + stub.chance.randrange(16), stub.image.symbols["init_task"],
    ))  # fmt: skip


def lists(stub: LyingStub) -> None:
    """Links of tasks and threads that loop, and lead to themselves, to user memory, nowhere."""
    for _ in range(stub.chance.randrange(1, 5)):
        place = stub.chance.choice((stub.image.symbols["init_task"], *stub.image.tasks))
        member = stub.chance.choice(("tasks", "tasks", "thread_node", "signal"))
        at = place + stub.image.offsets[member]
        stub.put_int(at, at if stub.chance.random() < 0.2 else pointer(stub))


def states(stub: LyingStub) -> None:
    """Each struct fpu with every bit set, none, or any."""
    at = stub.image.offsets["thread.fpu"]
    for task in stub.image.tasks:
        size = stub.image.size - at
        stub.put(task + at, stub.chance.choice((b"\xff" * size, bytes(size),
                                                stub.chance.randbytes(size))))  # fmt: skip


def tables(stub: LyingStub) -> None:
    """The kernel's own tables about the FPU: rubbish."""
    for name, size in (
        ("xstate_offsets", 40), ("xstate_sizes", 40), ("xfeatures_mask", 8), ("xstate_size", 4),
        ("boot_cpu_data", 100), ("nr_cpu_ids", 4), ("__per_cpu_offset", 128),
    ):  # fmt: skip
        if stub.chance.random() < 0.5:
            value = stub.chance.choice((b"\xff" * size, bytes(size), stub.chance.randbytes(size)))
            stub.put(stub.image.symbols[name], value)


def small_tables(stub: LyingStub) -> None:
    """One value of those tables, which is not far from what can be."""
    name = stub.chance.choice(("xstate_offsets", "xstate_sizes"))
    for place in range(2, 10):
        stub.put_int(stub.image.symbols[name] + 4 * place, stub.chance.randrange(5000), 4)
    stub.put_int(stub.image.symbols["xstate_size"], stub.chance.randrange(500, 9000), 4)
    stub.put_int(stub.image.symbols["xfeatures_mask"], stub.chance.randrange(1 << 64))


def names(stub: LyingStub) -> None:
    for task in (stub.image.symbols["init_task"], *stub.image.tasks):
        stub.put(task + stub.image.offsets["comm"], evil_name(stub.chance))


def current(stub: LyingStub) -> None:
    """The CPU runs a task that is none."""
    stub.put_int(stub.image.symbols["current_task"], pointer(stub))


def all_of_it(stub: LyingStub) -> None:
    """Noise over the kernel's data."""
    start = stub.image.symbols["init_task"]
    for _ in range(stub.chance.randrange(1, 200)):
        stub.put(start + stub.chance.randrange(0x20000), stub.chance.randbytes(8))


def no_end(stub: LyingStub) -> None:
    """A list of tasks that goes on and on: each that is read has another one behind it."""
    offsets, size = stub.image.offsets, stub.image.size
    count = stub.chance.choice((1_000, 1_000_000, 1 << 40))

    def made(address: int, length: int) -> bytes | None:
        number, inside = divmod(address - _PHANTOM, _APART)
        if not 0 <= number < count:
            return None
        task = bytearray(_APART)
        base = _PHANTOM + number * _APART
        own = base + offsets["thread_node"]
        for member, value in (
            ("tasks", base + _APART + offsets["tasks"]), ("thread_node", own), ("signal", own - 16),
            ("pid", number), ("tgid", number),
        ):  # fmt: skip
            task[offsets[member] : offsets[member] + 8] = value.to_bytes(8, "little")
        task[size - 8 :] = bytes(_APART - size + 8)
        return bytes(task[inside : inside + length])

    stub.phantom = made
    last = stub.chance.choice(stub.image.tasks)
    stub.put_int(last + offsets["tasks"], _PHANTOM + offsets["tasks"])


def none(stub: LyingStub) -> None:
    """The kernel is as it was."""


DAMAGE: dict[str, Callable[[LyingStub], None]] = {
    damage.__name__: damage
    for damage in (none, lists, states, tables, small_tables, names, current, all_of_it)
}
"""What is done to memory, by its name."""
