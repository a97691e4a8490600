# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel allows, on kernels written by hand; the bytes of the code are those of 6.1."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake import FakeTarget
from fake_kernel import SYMBOLS, World, layouts_44

from gdbfpu.doctor.attached import check_architecture, check_mode
from gdbfpu.doctor.debugger import Breakpoint, Python
from gdbfpu.doctor.finding import Verdict
from gdbfpu.doctor.gdb_checks import CHECKS
from gdbfpu.doctor.kernel import check_blocklist, check_cpu, check_rodata
from gdbfpu.doctor.stub import check_kvm, check_packets
from gdbfpu.errors import GdbFpuError
from gdbfpu.fpu.model import probe
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts, Member, StructLayout
from gdbfpu.probes.blocklist import honours_blocklist, refused

CHECK, LIST = 0xFFFFFFFF810F4FB0, 0xFFFFFFFF810F3360
# kgdb_validate_break_address() of Linux 6.1 at CHECK, up to its call of within_kprobe_blacklist().
CODE = bytes.fromhex(
    "e8eb4df5ff554889fd534883ec1848c704240000000048c74424080000000048c744241000000000e883e3ffff84c0"
).ljust(128, b"\x90")
NOINSTR = {"__noinstr_text_start": 0xFFFFFFFF81400000, "__noinstr_text_end": 0xFFFFFFFF81401000}


@dataclass
class FakeDebugger:
    """The answers of a debugger; `kernel` is what its model is of."""

    machine: FakeTarget = field(default_factory=FakeTarget)
    kernel: Kernel | None = None
    name: str = "i386:x86-64"
    read_size: int | None = None
    points: tuple[Breakpoint, ...] = ()
    said: str = ""
    at: int | None = 0
    lacks: tuple[str, ...] = ()
    there: bool = True
    tty: Path | None = None
    rate: int | None = None

    def python(self):
        return Python("GDB 13.1, Python 3.11.2", self.lacks, ("", "/a", "/b"))

    def architecture(self):
        return self.name

    def attached(self):
        return self.there

    def vmlinux(self):
        return Path("/nowhere/vmlinux")

    def target(self):
        if not self.there:
            raise GdbFpuError("no kernel to look at")
        return self.machine

    def slide(self):
        return self.at

    def layouts(self):
        return layouts_44()

    def model(self):
        return probe(self.kernel)

    def largest_read(self):
        return self.read_size

    def monitor(self, command):
        assert command == "info kvm"
        return self.said

    def breakpoints(self):
        return self.points

    def device(self):
        return self.tty

    def baud(self):
        return self.rate


def blocking(stub="kgdb"):
    """A kernel with the blocklist."""
    target = FakeTarget(stub)
    target.symbols = {
        "kgdb_validate_break_address": CHECK,
        "within_kprobe_blacklist": LIST,
        "exc_device_not_available": NOINSTR["__noinstr_text_start"] + 0x40,
        "fpu__clear": 0xFFFFFFFF81001000,
        **NOINSTR,
    }
    target.put(CHECK, CODE)
    return target


# --- the blocklist


def test_blocklist_is_honoured_where_the_check_calls_it():
    target = blocking()
    assert honours_blocklist(target)
    target.put(CHECK, bytes(128))
    assert not honours_blocklist(target)
    target.put(CHECK, CODE)
    target.symbols["within_kprobe_blacklist"] += 1
    assert not honours_blocklist(target)
    del target.symbols["within_kprobe_blacklist"]
    assert not honours_blocklist(target)


def test_refused_places():
    target, start = blocking(), NOINSTR["__noinstr_text_start"]
    assert [refused(target, start + at) for at in (-1, 0, 0xFFF, 0x1000)] == [
        *(False, True, True, False)
    ]
    target.symbols |= {"__entry_text_start": 0x1000, "__entry_text_end": 0x2000}
    assert refused(target, 0x1FFF)


def test_breakpoints_that_kgdb_refuses():
    start = NOINSTR["__noinstr_text_start"]
    points = (Breakpoint(2, start + 4), Breakpoint(3, 0x1000), Breakpoint(5, start + 8))
    answer = check_blocklist(FakeDebugger(blocking(), points=points))
    assert answer.verdict is Verdict.TROUBLE
    assert f"2 at {start + 4:#x}, 5 at {start + 8:#x}" in answer.seen
    assert answer.mend[0] == "delete 2 5"


def test_probes_that_kgdb_refuses():
    answer = check_blocklist(FakeDebugger(blocking()))
    assert answer.verdict is Verdict.LIMITED
    assert answer.seen == "KGDB refuses breakpoints in exc_device_not_available"


def test_nothing_is_refused():
    target = blocking()
    del target.symbols["exc_device_not_available"]
    assert check_blocklist(FakeDebugger(target)).verdict is Verdict.FINE
    assert check_blocklist(FakeDebugger(blocking("qemu"))).verdict is Verdict.NOT_APPLICABLE
    del target.symbols["kgdb_validate_break_address"]
    assert "not in this kernel" in check_blocklist(FakeDebugger(target)).seen


# --- rodata


@pytest.mark.parametrize(
    ("enabled", "protected", "verdict"),
    [
        (1, 0, Verdict.TROUBLE),
        (1, 1, Verdict.FINE),
        (0, 0, Verdict.FINE),
        (None, None, Verdict.FINE),
        (None, 0, Verdict.TROUBLE),
        (None, 1, Verdict.FINE),
        (1, None, Verdict.UNKNOWN),
    ],
)
def test_rodata(enabled, protected, verdict):
    target = FakeTarget("kgdb")
    for name, value, size in (
        ("rodata_enabled", enabled, 1),
        ("kernel_set_to_readonly", protected, 4),
    ):
        if value is not None:
            target.symbols[name] = 0x1000 + 0x100 * len(target.symbols)
            target.put_int(target.symbols[name], value, size)
    assert check_rodata(FakeDebugger(target)).verdict is verdict


def test_rodata_of_others():
    assert check_rodata(FakeDebugger(FakeTarget("qemu"))).verdict is Verdict.NOT_APPLICABLE
    assert check_rodata(FakeDebugger(FakeTarget("core"))).verdict is Verdict.NOT_APPLICABLE


# --- packets


@pytest.mark.parametrize(
    ("stub", "size", "verdict"),
    [
        ("kgdb", None, Verdict.FINE),
        ("kgdb", 510, Verdict.FINE),
        ("kgdb", 511, Verdict.FINE),
        ("kgdb", 512, Verdict.TROUBLE),
        ("kgdb", 8192, Verdict.TROUBLE),
        ("qemu", 8192, Verdict.FINE),
    ],
)
def test_packets(stub, size, verdict):
    assert check_packets(FakeDebugger(FakeTarget(stub), read_size=size)).verdict is verdict


def test_packets_before_a_kernel_is_attached():
    """It may be KGDB that comes."""
    answer = check_packets(FakeDebugger(there=False, read_size=4096))
    assert answer.verdict is Verdict.TROUBLE
    assert "4,096 bytes at once" in answer.seen


# --- the CPU


def cpu(stub="kgdb", mask=7, brand=b"Intel(R) Xeon(R)", said=""):
    """A debugger with a kernel whose CPU calls itself `brand`."""
    world = World(stub)
    world.add(0, b"swapper")
    target = world.target
    target.put_int(SYMBOLS["xfeatures_mask"], mask)
    target.put(SYMBOLS["boot_cpu_data"] + 100, brand)
    kept = layouts_44()
    cpuinfo = kept.struct("cpuinfo_x86")
    members = (*cpuinfo.members, Member("x86_model_id", 100, 64))
    structs = [kept.struct(name) for name in kept.names() if name != "cpuinfo_x86"]
    layouts = Layouts([*structs, StructLayout("cpuinfo_x86", 200, members)])
    return FakeDebugger(target, Kernel(target, layouts), said=said)


def test_cpu():
    answer = check_cpu(cpu())
    assert (answer.verdict, answer.seen) == (
        Verdict.FINE,
        "x87|SSE|AVX can be seen, in standard format",
    )


def test_cpu_without_avx():
    answer = check_cpu(cpu(mask=3))
    assert answer.verdict is Verdict.LIMITED
    assert "There is no AVX" in answer.seen
    assert answer.mend[-1] == "qemu-system-x86_64 -accel kvm -cpu host ..."


def test_emulated_cpu():
    """QEMU's monitor tells, or over KGDB the name that QEMU gave the CPU."""
    for debugger in (
        cpu(brand=b"QEMU TCG CPU version 2.5+"),
        cpu("qemu", said="kvm support: disabled\r\n"),
    ):
        answer = check_cpu(debugger)
        assert answer.verdict is Verdict.LIMITED
        assert "QEMU emulates the CPU (TCG)" in answer.seen
    assert check_cpu(cpu("qemu", said="kvm support: enabled\r\n")).verdict is Verdict.FINE


# --- the rest


def test_kvm_is_asked_of_qemu_only():
    """kdb has a monitor, too."""
    for stub in ("kgdb", "core"):
        answer = check_kvm(FakeDebugger(FakeTarget(stub), said="kvm support: enabled\r\n"))
        assert answer.verdict is Verdict.NOT_APPLICABLE


def test_architecture():
    assert check_architecture(FakeDebugger()).verdict is Verdict.FINE
    assert check_architecture(FakeDebugger(name="i386:x86-64:intel")).verdict is Verdict.FINE
    for name in ("i386", "i8086", "aarch64"):
        assert check_architecture(FakeDebugger(name=name)).mend[0] == "disconnect"
        mend = check_architecture(FakeDebugger(name=name, there=False)).mend
        assert mend[0] == "set architecture i386:x86-64"


def test_mode():
    target = FakeTarget("qemu")
    assert check_mode(FakeDebugger(target)).verdict is Verdict.NOT_APPLICABLE
    target.registers["efer"] = 0x500
    assert check_mode(FakeDebugger(target)).verdict is Verdict.FINE
    target.registers["efer"] = 0x100  # LME: enabled, but without paging not active
    assert check_mode(FakeDebugger(target)).verdict is Verdict.TROUBLE


def test_python():
    check = CHECKS["Python"]
    assert check(FakeDebugger()).seen == "GDB 13.1, Python 3.11.2, with all packages"
    answer = check(FakeDebugger(lacks=("capstone", "wcwidth")))
    assert answer.verdict is Verdict.TROUBLE
    assert "lacks capstone and wcwidth; it looks in /a, /b" in answer.seen


def test_line():
    """The rate is the one that GDB sets, else what the tty has."""
    assert CHECKS["line"](FakeDebugger()).verdict is Verdict.NOT_APPLICABLE
    ours, theirs = os.openpty()
    tty = Path(os.ttyname(theirs))
    assert CHECKS["line"](FakeDebugger(tty=tty)).seen.startswith("38400 bit/s")
    assert CHECKS["line"](FakeDebugger(tty=tty, rate=9600)).seen.startswith("9600 bit/s")
    os.close(theirs)
    os.close(ours)
