# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that CPUs wrote (tests/data/cpu) decode to the values that were loaded."""

import json
import platform
import subprocess
from pathlib import Path

import pytest

from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.legacy import parse_fsave, parse_fxsave
from gdbfpu.xsave.places import Tables

DATA = Path(__file__).parents[1] / "data" / "cpu"
CPUS = sorted(path.parent.name for path in DATA.glob("*/golden.json"))
XSAVES = ("xsave", "xsaveopt", "xsavec")
FORMATS = {"fxsave64": "fxsave", "fnsave": "fsave", "sigframe": "sigframe", "xsavec": "compacted"}
POISON = 0xA5
TIMEOUT = 60


class Golden:
    """A directory that xsave_golden.c filled."""

    def __init__(self, directory):
        self.directory = directory
        self.facts = json.loads((directory / "golden.json").read_text())
        self.loaded = {k: bytes.fromhex(v) for k, v in self.facts["loaded"].items()}
        leaves = {int(k): v for k, v in self.facts["cpuid_0xd"].items()}
        self.tables = Tables(
            "CPUID",
            self.facts["xcr0"],
            *({i: leaf[key] for i, leaf in leaves.items()} for key in ("offset", "size", "align")),
        )

    def kinds(self, scenario):
        return sorted(p.stem.split("-", 1)[1] for p in self.directory.glob(f"{scenario}-*.bin"))

    def read(self, scenario, kind):
        return (self.directory / f"{scenario}-{kind}.bin").read_bytes()

    def decode(self, scenario, kind):
        format = FORMATS.get(kind, "standard")
        return decode(self.read(scenario, kind), format=format, tables=self.tables)

    def expected(self, kind):
        """The loaded values that an image of this kind can hold."""
        legacy = {"fcw", *(f"st{i}" for i in range(7))}
        if kind == "fnsave":
            return {k: v for k, v in self.loaded.items() if k in legacy}
        if kind == "fxsave64":
            values = {k: v for k, v in self.loaded.items() if k in {*legacy, "mxcsr"}}
            return {**values, **{f"xmm{i}": self.vector(i)[:16] for i in range(16)}}
        return self.loaded

    def vector(self, i):
        return next(self.loaded[n] for n in (f"zmm{i}", f"ymm{i}", f"xmm{i}") if n in self.loaded)


def check_full(golden):
    kinds = golden.kinds("full")
    assert {"fxsave64", "fnsave", "xsave", "sigframe"} <= set(kinds)
    for kind in kinds:
        image = golden.decode("full", kind)
        found = {name: image.register(name).raw for name in golden.expected(kind)}
        assert found == golden.expected(kind), kind
        assert image.defects == (), kind
        assert image.register("st7").views["tag"] == "empty", kind


def check_classes(golden):
    """The x87 values by their documented meaning, in every image."""
    for kind in golden.kinds("full"):
        image = golden.decode("full", kind)
        views = [image.register(f"st{i}").views for i in range(7)]
        assert [v["class"] for v in views] == [
            "normal",
            "normal",
            "zero",
            "signaling NaN",
            "quiet NaN",
            "infinity",
            "denormal",
        ], kind
        assert [v["decimal"] for v in views[:3]] == ["3.1415926535897932385", "-2.25", "-0"]


def check_parts(golden):
    """Narrow registers are the low parts of wide ones."""
    image = golden.decode("full", "xsave")
    for i in range(16):
        value = golden.vector(i)
        assert image.register(f"xmm{i}").raw == value[:16]
        if len(value) > 16:
            assert image.register(f"ymm{i}").raw == value[:32]
    for i in range(16, 32 if "zmm31" in golden.loaded else 16):
        value = golden.vector(i)
        assert image.register(f"xmm{i}").raw == value[:16]
        assert image.register(f"ymm{i}").raw == value[:32]


def check_sse(golden):
    """Only xmm3 was loaded: all else is initial, though memory holds 0xa5 beside it."""
    for kind in golden.kinds("sse"):
        image = golden.decode("sse", kind)
        values = {r.name: r.raw for r in image.registers}
        assert values.pop("fcw") == b"\x7f\x03", kind
        assert image.register("ftw").views["full"] == "0xffff", kind
        if kind != "fnsave":
            assert values["xmm3"] == golden.vector(3)[:16], kind
            assert values["mxcsr"] == b"\x80\x1f\0\0", kind
        wide = ("st", "mm", "xmm", "ymm", "zmm", "k", "tmm")
        for name, raw in values.items():
            if name.startswith(wide) and not name.endswith("mm3") and name[-1].isdigit():
                assert not any(raw), (kind, name)


CHECKS = (check_full, check_classes, check_parts, check_sse)


def test_committed_images_cover_the_components():
    loaded = {name for cpu in CPUS for name in Golden(DATA / cpu).loaded}
    assert {"st6", "zmm31", "k7", "bnd3", "pkru", "mxcsr"} <= loaded


def test_bounds_and_rights_of_a_cpu():
    image = Golden(DATA / "qemu-tcg").decode("full", "xsave")
    bounds = [image.register(f"bnd{i}").views for i in range(4)]
    assert [int(b["lbound"], 16) for b in bounds] == [0x1000, 0x2000, 0x3000, 0x4000]
    assert [int(b["ubound"], 16) for b in bounds] == [0x1FFF, 0x3000, 0x4001, 0x5002]
    assert image.register("bndcfgu").views["flags"] == ("EN", "BNDPRESERVE")
    rights = image.register("pkru").views["rights"]
    assert rights == ("read-write", "read", *["none"] * 14)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("check", CHECKS)
def test_committed_images(check, cpu):
    check(Golden(DATA / cpu))


@pytest.mark.parametrize("cpu", CPUS)
def test_places_are_found_without_cpuid(cpu):
    golden = Golden(DATA / cpu)
    for kind in golden.kinds("full"):
        image = decode(golden.read("full", kind), format=FORMATS.get(kind, "standard"))
        found = {name: image.register(name).raw for name in golden.expected(kind)}
        assert found == golden.expected(kind), kind


@pytest.mark.parametrize("cpu", CPUS)
def test_rebuilt_tag_word_is_the_cpus(cpu):
    """FNSAVE writes the full tag word that FXSAVE abridges."""
    golden = Golden(DATA / cpu)
    for scenario in ("full", "sse"):
        fxsave = parse_fxsave(golden.read(scenario, "fxsave64"))
        fnsave = parse_fsave(golden.read(scenario, "fnsave"))
        assert fxsave.x87.ftw == fnsave.ftw
        assert fxsave.ftw_byte == fnsave.abridged_ftw


def test_poison_tells_the_initial_state_from_memory():
    """The committed XSAVEC image has a component whose bytes are not what it holds."""
    golden = Golden(DATA / "amd-epyc")
    image = golden.decode("sse", "xsavec")
    stale = [c.name for c in image.components if not c.in_use and set(c.raw) == {POISON}]
    assert stale == ["AVX", "opmask", "ZMM_Hi256", "Hi16_ZMM"]
    assert [c.changed for c in image.components if c.name in stale] == [True] * 4


def test_32_bit_signal_frame():
    """What sigframe32.c loaded, in the frame that a kernel wrote for it."""
    image = decode((DATA / "amd-epyc" / "sigframe32.bin").read_bytes())
    assert (image.format, image.frame.ia32, image.defects) == ("sigframe", True, ())
    assert image.register("fcw").raw == b"\x7f\x0b"
    assert image.register("st0").views["decimal"] == "3.1415926535897932385"
    assert image.register("st1").views["decimal"] == "-2.25"
    assert image.register("st2").views["decimal"] == "nan(0xc000000000000123)"
    assert image.register("st3").views["tag"] == "empty"
    assert image.register("ftw").views["full"] == "0x83ff"
    assert image.register("xmm3").raw == bytes(range(0x30, 0x40))
    assert (image.register("fcs").views["value"], image.register("fds").views["value"]) == (
        0x23,
        0x2B,
    )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only an x86-64 CPU writes such images")
def test_this_cpus_images(tmp_path):
    """Generated anew, here: the same values, and the committed ones where both CPUs have them."""
    program = tmp_path / "xsave_golden"
    source = DATA / "xsave_golden.c"
    subprocess.run(["gcc", "-O1", "-o", program, source], check=True, timeout=TIMEOUT)
    output = tmp_path / "images"
    output.mkdir()
    subprocess.run([program, output], check=True, timeout=TIMEOUT)
    golden = Golden(output)
    for check in CHECKS:
        check(golden)
    committed = Golden(DATA / "amd-epyc")
    for name in golden.loaded.keys() & committed.loaded.keys():
        assert golden.loaded[name] == committed.loaded[name]
