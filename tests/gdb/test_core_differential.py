# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB and this library read the same core file, and agree on every register.

The process is xsave_golden (tests/data/cpu), stopped by GDB when it has loaded its values.
GDB 13 knows Intel's places only: it writes and reads its note so, on AMD's CPUs too. A second
core is therefore made by hand from the image that a CPU wrote, its components moved there.
"""

import json
import re
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from gdbfpu.xsave.decode import decode
from qemu.gdbs import gdb_program

CPU = Path(__file__).parents[1] / "data" / "cpu"
TIMEOUT = 120
NT_PRSTATUS, NT_X86_XSTATE = 1, 0x202
INTEL = {2: 576, 3: 960, 4: 1024, 5: 1088, 6: 1152, 7: 1664, 9: 2688}
CONTROL = {"fctrl": "fcw", "fstat": "fsw", "fop": "fop"}
NAMES = re.compile(r"st\d|f(ctrl|stat|tag|iseg|ioff|oseg|ooff|op)|mxcsr|k\d|pkru|bnd\d|[xyz]mm\d+")
UNIONS = re.compile(r"(?:uint128 = (\w+)|v[24]_int128 = \{(.*?)\})")


def gdb(*commands, program=None):
    """Run GDB on `commands`; return what it printed."""
    arguments = [gdb_program(), "-q", "-nx", "-batch"]
    for command in ("set print repeats 0", "set print elements 0", *commands):
        arguments += ["-ex", command]
    done = subprocess.run(
        [*arguments, *([program] if program else [])],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def gdbs_registers(core, image):
    """Return what GDB says of every FPU register, by name.

    The vector group lacks k0 to k7, and xmm and ymm where there is zmm: hence all registers,
    and those vectors of `image` by name. A register is left out whose place in the image GDB does
    not know: newer ones tell places by XCR0 and the size, not those of an AMD CPU without PKRU.
    """
    groups = ("info registers float", "info registers vector", "info all-registers")
    vectors = [r.name for r in image.registers if r.name[1:3] == "mm"]
    text = gdb(f"core-file {core}", *groups, f"info registers {' '.join(vectors)}")
    lines = (line.split(None, 1) for line in text.splitlines() if "<unavailable>" not in line)
    return {line[0]: line[1] for line in lines if len(line) == 2 and NAMES.fullmatch(line[0])}


def notes(core):
    """Return the notes of an ELF64 core file by type (the first of each)."""
    data = core.read_bytes()
    start, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    found = {}
    for i in range(count):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, start + 56 * i)
        end = offset + size
        while kind == 4 and offset < end:
            name_size, size, type_ = struct.unpack_from("<III", data, offset)
            offset += 12 + (name_size + 3) // 4 * 4
            found.setdefault(type_, data[offset : offset + size])
            offset += (size + 3) // 4 * 4
    return found


def write_core(path, xstate):
    """Write a core file that has nothing but one thread's registers."""
    body = b""
    for type_, desc, name in (
        (NT_PRSTATUS, bytes(336), b"CORE"),
        (NT_X86_XSTATE, xstate, b"LINUX"),
    ):
        body += struct.pack("<III", len(name) + 1, len(desc), type_) + name.ljust(8, b"\0") + desc
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(body), 0, 4)
    path.write_bytes(header + segment + body)


def gdbs_vector(text):
    """Return the bytes of a vector register from GDB's union of its views."""
    single, several = UNIONS.search(text).groups()
    words = [int(word, 0) for word in (single or several).split(",")]
    return b"".join((word & (2**128 - 1)).to_bytes(16, "little") for word in words)


def unit(views):
    """Return what the last bit of a finite 80-bit number is worth."""
    exponent = int(views["raw"][2:6], 16) & 0x7FFF
    return Fraction(2) ** (max(exponent, 1) - 16383 - 63)


def check_stack(name, text, image):
    decimal, raw = re.fullmatch(r"(\S+)\s+\(raw (0x[0-9a-f]{20})\)", text).groups()
    views = image.register(name).views
    assert raw == views["raw"], name
    if "n" in decimal:  # inf, nan(...)
        assert decimal == views["decimal"], name
    else:
        assert decimal.startswith("-") == views["decimal"].startswith("-"), name
        assert abs(Fraction(decimal) - Fraction(views["decimal"])) < unit(views), name


def check_control(name, text, image):
    value = int(text.split()[0], 16)
    fip, fdp = (image.register(n).views["value"] for n in ("fip", "fdp"))
    pointers = {"fiseg": fip >> 32, "fioff": fip, "foseg": fdp >> 32, "fooff": fdp}
    if name in CONTROL:
        assert value == image.register(CONTROL[name]).views["value"], name
    elif name == "ftag":
        assert value == int(image.register("ftw").views["full"], 16)
    else:
        assert value == pointers[name] & (0xFFFF if name.endswith("seg") else 0xFFFFFFFF), name


def check_mxcsr(text, image):
    views = image.register("mxcsr").views
    value, flags = re.fullmatch(r"(0x[0-9a-f]+)\s+\[(.*)\]", text).groups()
    assert int(value, 16) == views["value"]
    named = {flag for flag in flags.split() if flag.isalpha()}
    assert {"FZ" if flag == "FTZ" else flag for flag in views["flags"]} == named - {"RC"}


def compare(registers, image):
    """Hold every register that GDB printed against the image."""
    for name, text in registers.items():
        if name.startswith("st"):
            check_stack(name, text, image)
        elif name == "mxcsr":
            check_mxcsr(text, image)
        elif name.startswith(("k", "pkru")):
            raw = image.register(name).raw
            assert int(text.split()[0], 16) == int.from_bytes(raw, "little"), name
        elif name.startswith("bnd"):
            bounds = re.match(r"\{lbound = (\w+), ubound = (\w+)\}", text).groups()
            views = image.register(name).views
            assert [int(b, 16) for b in bounds] == [int(v, 16) for v in views.values()], name
        elif name.startswith("f"):
            check_control(name, text, image)
        else:
            assert gdbs_vector(text) == image.register(name).raw, name


def test_core_of_a_process(tmp_path):
    program, core = tmp_path / "xsave_golden", tmp_path / "core"
    source = CPU / "xsave_golden.c"
    subprocess.run(["gcc", "-O1", "-o", program, source], check=True, timeout=TIMEOUT)
    gdb("break save_all", f"run {tmp_path}", f"gcore {core}", "kill", program=program)
    image = decode(notes(core)[NT_X86_XSTATE])
    registers = gdbs_registers(core, image)
    assert (image.format, image.reason) == (
        "standard",
        "XCOMP_BV[63] is clear and XCR0 is at byte 464",
    )
    assert {f"xmm{i}" for i in range(16)} <= registers.keys()
    vectors = [name for name in registers if "mm" in name]
    assert len(registers) - len(vectors) >= 17  # st0-7, eight x87 control registers, mxcsr
    compare(registers, image)
    assert image.register("st4").views["decimal"] == "nan(0xc000000000000123)"
    assert image.register("fcw").views["value"] == 0x0B7F
    assert image.register("xmm5").raw == bytes((5 * 8 + j * 3 + 1) & 0xFF for j in range(16))


def intel_note(cpu):
    """Return the image of directory `cpu` as NT_X86_XSTATE, its components in Intel's places."""
    old = (cpu / "full-xsave.bin").read_bytes()
    facts = json.loads((cpu / "golden.json").read_text())
    leaves = {int(number): leaf for number, leaf in facts["cpuid_0xd"].items()}
    size = max(INTEL[number] + leaf["size"] for number, leaf in leaves.items())
    note = bytearray(old[:576].ljust(size, b"\0"))
    note[416:512] = bytes(96)
    struct.pack_into("<Q", note, 464, facts["xcr0"])
    for number, leaf in leaves.items():
        offset, start = INTEL[number], leaf["offset"]
        note[offset : offset + leaf["size"]] = old[start : start + leaf["size"]]
    return bytes(note)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("amd-epyc", {"k7", "xmm31", "ymm16", "zmm31"}),
        ("qemu-tcg", {"bnd0", "bnd3", "ymm15", "pkru"}),
    ],
)
def test_core_of_a_cpus_image(tmp_path, name, needed):
    cpu = CPU / name
    core = tmp_path / "core"
    write_core(core, intel_note(cpu))
    image = decode(notes(core)[NT_X86_XSTATE])
    registers = gdbs_registers(core, image)
    if not gdb("complete show mpx"):  # GDB 13 knows the bound registers, GDB 16 does not
        needed = needed - {"bnd0", "bnd3"}
    assert {"st0", "fctrl", "mxcsr", *needed} <= registers.keys()
    compare(registers, image)
    loaded = json.loads((cpu / "golden.json").read_text())["loaded"]
    for name, value in loaded.items():
        assert image.register(name).raw.hex() == value, name
