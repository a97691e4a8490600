# SPDX-License-Identifier: GPL-2.0-or-later
"""The forms that a kernel's DWARF comes in, each made by the tool that makes such files.

What the program prints of its types is the oracle: no form may change a number, or leave one out.
"""

from __future__ import annotations

import re
import shutil
import sys

import pytest
from kernel_like import ANCHORS, NEEDED, TYPES, build, run, said

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts import elf
from gdbfpu.layouts.search import read_layouts

COMPILED = {
    "gcc4": ("gcc", ("-gdwarf-4",)),
    "gcc5": ("gcc", ("-gdwarf-5",)),
    "gcc5-64": ("gcc", ("-gdwarf-5", "-gdwarf64")),
    "gcc-types4": ("gcc", ("-gdwarf-4", "-fdebug-types-section")),
    "gcc-types5": ("gcc", ("-gdwarf-5", "-fdebug-types-section")),
    "gcc-lto": ("gcc", ("-flto", "-O2")),
    "gcc-lto4": ("gcc", ("-flto", "-O2", "-gdwarf-4")),
    "gcc-split4": ("gcc", ("-gsplit-dwarf", "-gdwarf-4")),
    "gcc-split5": ("gcc", ("-gsplit-dwarf", "-gdwarf-5")),
    "gcc-split-types4": ("gcc", ("-gsplit-dwarf", "-gdwarf-4", "-fdebug-types-section")),
    "gcc-split-types5": ("gcc", ("-gsplit-dwarf", "-gdwarf-5", "-fdebug-types-section")),
    "clang4": ("clang", ("-gdwarf-4",)),
    "clang5": ("clang", ("-gdwarf-5",)),
    "clang-lto": ("clang", ("-flto", "-fuse-ld=lld")),
    "clang-thinlto": ("clang", ("-flto=thin", "-fuse-ld=lld")),
    "clang-split4": ("clang", ("-gsplit-dwarf", "-gdwarf-4")),
    "clang-split5": ("clang", ("-gsplit-dwarf", "-gdwarf-5")),
    "gcc-gz": ("gcc", ("-gz=zlib",)),
}


def made(name, folder):
    compiler, flags = COMPILED[name]
    return build(folder, compiler, *flags)


def read(file, anchors=ANCHORS, needed=NEEDED):
    return read_layouts(file, TYPES, elf.symbol_addresses(file, anchors), needed)


def check(file, program=None):
    """Hold the layouts of `file` to what `program`, or it, prints; return them."""
    layouts = read(file)
    assert set(layouts.names()) == set(TYPES) - {"no_such_type"}
    expected = said(program or file)
    assert len(expected) > 45
    found = {
        (name, path): (layouts.struct(name).size,) if path == "-" else layouts.member(name, path)
        for name, path in expected
    }
    for key, place in expected.items():
        got = (0, *found[key]) if key[1] == "-" else (found[key].offset, found[key].size)
        assert got == place, key
    assert layouts.member("fpstate", "in_use").bit_size == 1
    assert layouts.member("task_struct", "parent").type == "task_struct"
    assert layouts.member("debuggerinfo_struct", "task").offset == 8
    return layouts


@pytest.mark.parametrize("name", COMPILED)
def test_compilers(name, tmp_path):
    check(made(name, tmp_path))


@pytest.mark.parametrize("name", ["clang4", "clang5", "gcc-split5", "gcc-types5", "gcc-lto"])
def test_what_makes_the_form_hard_is_there(name, tmp_path):
    """A test of a form proves nothing where the compiler did not make it."""
    file = made(name, tmp_path)
    shown = run("readelf", "-SW", "--debug-dump=info", file)
    signs = {
        "clang4": ".debug_aranges",
        "clang5": ".debug_str_offsets",
        "gcc-split5": "DW_TAG_skeleton_unit",
        "gcc-types5": "DW_UT_type",
        "gcc-lto": "<artificial>",
    }
    assert (signs[name] in shown) == (name != "clang4")


@pytest.mark.parametrize("name", ["gcc4", "gcc5", "gcc-types5", "clang5", "gcc-split5"])
def test_without_aranges_and_symbols(name, tmp_path):
    """The functions' names lead to the units."""
    file = made(name, tmp_path)
    run("objcopy", "--remove-section", ".debug_aranges", "--strip-unneeded-symbol=main", file)
    assert (
        check(file).to_json()
        == read_layouts(file, TYPES, dict.fromkeys(ANCHORS, -1), NEEDED).to_json()
    )


@pytest.mark.parametrize("name", ["gcc5", "clang5", "gcc-types4", "gcc-lto"])
def test_without_the_functions(name, tmp_path):
    """The names of the needed types lead to the units."""
    file = made(name, tmp_path)
    assert set(read_layouts(file, TYPES, {"no_such": -1}, NEEDED).names()) >= {"fpu", "pair_t"}
    check(file)


@pytest.mark.parametrize("how", ["zlib", "zlib-gnu", "zstd"])
@pytest.mark.parametrize("name", ["gcc5", "clang5", "gcc-types4"])
def test_compressed(name, how, tmp_path):
    file, packed = made(name, tmp_path), tmp_path / "packed"
    run("objcopy", f"--compress-debug-sections={how}", file, packed)
    shown = run("readelf", "-SW", packed)
    assert (".zdebug_info" in shown) == (how == "zlib-gnu")
    check(packed)


def test_zstd_without_its_package(tmp_path, monkeypatch):
    file, packed = made("gcc5", tmp_path), tmp_path / "packed"
    run("objcopy", "--compress-debug-sections=zstd", file, packed)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(GdbFpuError, match="package zstandard: install it") as caught:
        read(packed)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, CorruptState)


def test_without_pyelftools(tmp_path, monkeypatch):
    file = made("gcc5", tmp_path)
    monkeypatch.setitem(sys.modules, "elftools.common.exceptions", None)
    with pytest.raises(GdbFpuError, match="package pyelftools: install it") as caught:
        read(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gcc4", "gcc5"])
def test_dwz(name, tmp_path):
    file = made(name, tmp_path)
    run("dwz", "-o", tmp_path / "shared", file)
    assert "DW_TAG_partial_unit" in run("readelf", "--debug-dump=info", tmp_path / "shared")
    check(tmp_path / "shared")


@pytest.mark.parametrize("name", ["gcc4", "gcc5"])
def test_dwz_with_a_common_file(name, tmp_path):
    file = made(name, tmp_path)
    for other in ("one", "two"):
        shutil.copy(file, tmp_path / other)
    run("dwz", "-m", "common", "-M", "common", "one", "two", cwd=tmp_path)
    assert ".gnu_debugaltlink" in run("readelf", "-SW", tmp_path / "one")
    layouts = check(tmp_path / "one")
    assert layouts.files == (tmp_path / "common",)
    (tmp_path / "common").unlink()
    with pytest.raises(GdbFpuError, match=r"common.*gnu_debugaltlink.*missing") as caught:
        read(tmp_path / "one")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("dwp", "gcc-split4"),
        ("dwp", "gcc-split-types4"),
        ("llvm-dwp", "gcc-split4"),
        ("llvm-dwp", "gcc-split5"),
        ("llvm-dwp", "clang-split4"),
        ("llvm-dwp", "clang-split5"),
        ("llvm-dwp", "gcc-split-types4"),
        ("llvm-dwp", "gcc-split-types5"),
    ],
)
def test_package_of_split_files(name, tool, tmp_path):
    file = made(name, tmp_path)
    run(tool, "-e", file, "-o", f"{file}.dwp", cwd=tmp_path)
    for path in tmp_path.glob("*.dwo"):
        path.unlink()
    assert check(file).files == (tmp_path / "vmlinux.dwp",)


@pytest.mark.parametrize("name", ["gcc-split4", "gcc-split5", "clang-split4", "clang-split5"])
def test_split_files_elsewhere(name, tmp_path):
    """The folder of the build is gone: they are beside vmlinux, or one folder down."""
    build_place, now = tmp_path / "made", tmp_path / "now"
    build_place.mkdir()
    now.mkdir()
    file = made(name, build_place)
    for path in build_place.glob("*.dwo"):
        shutil.copy(path, now)
    shutil.copy(file, now)
    shutil.rmtree(build_place)
    check(now / "vmlinux")
    (now / "obj").mkdir()
    for path in now.glob("*.dwo"):
        path.rename(now / "obj" / path.name)
    assert len(check(now / "vmlinux").files) >= 2
    shutil.rmtree(now / "obj")
    with pytest.raises(MissingType, match=r"\.dwo files \(CONFIG_DEBUG_INFO_SPLIT\)") as caught:
        read(now / "vmlinux")
    assert set(caught.value.names) == set(NEEDED)
    assert re.search(r"(main|signal)\.dwo and 2 more are missing", str(caught.value))


def test_split_files_of_another_build(tmp_path):
    """They are known by their id, not by their name."""
    file = made("gcc-split5", tmp_path)
    for path in tmp_path.glob("*.dwo"):
        data, shown = bytearray(path.read_bytes()), run("readelf", "--debug-dump=info", path)
        ident = int(re.search(r"DWO ID: +0x(\w+)", shown)[1], 16)
        data[data.index(ident.to_bytes(8, "little"))] ^= 1
        path.write_bytes(data)
    with pytest.raises(MissingType, match=r"signal\.dwo and 2 more are missing"):
        read(file)


@pytest.mark.parametrize("name", ["gcc5", "gcc4"])
def test_reduced(name, tmp_path):
    compiler, flags = COMPILED[name]
    file = build(tmp_path, compiler, *flags, "-femit-struct-debug-baseonly")
    with pytest.raises(MissingType, match="CONFIG_DEBUG_INFO_REDUCED") as caught:
        read(file)
    assert {"fpu", "task_struct"} <= set(caught.value.names)
    assert all(repr(name) in str(caught.value) for name in caught.value.names)
