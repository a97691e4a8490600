# SPDX-License-Identifier: GPL-2.0-or-later
"""Debug information: a vmlinux, and a file that it refers to.

An input is a byte that says what the second file is, the size of the first (u32), and both.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.torture.fuzz import elf_files
from tests.torture.fuzz.command import check_json, check_text, said
from tests.torture.fuzz.elf_files import packed, sections, small
from tests.torture.fuzz.target import Target
from tests.unit import kernel_like
from tests.unit.kernel_like import run

__all__ = ("TARGET",)

_HEAD = struct.Struct("<BI")
_OTHERS = ("", "vmlinux.debug", "signal.dwo", "common")
_FOLDER = Path(tempfile.gettempdir()) / f"layouts-{os.getpid()}"
_FORMS = {  # flags of the compiler
    "4": ("-gdwarf-4",),
    "5": ("-gdwarf-5",),
    "types": ("-gdwarf-4", "-fdebug-types-section"),
    "split": ("-gdwarf-5", "-gsplit-dwarf"),
    "split4": ("-gdwarf-4", "-gsplit-dwarf"),
}


def _seeds(folder: Path) -> Iterator[bytes]:
    built = {name: _built(folder / name, flags) for name, flags in _FORMS.items()}
    parts = {name: sections(file.read_bytes()) for name, file in built.items()}
    for name in ("4", "5", "types"):
        yield _joined(0, small(parts[name]))
    for how in ("zlib", "zstd", "gnu"):
        yield _joined(0, small(packed(parts["5"], how)))
    for name in ("split", "split4"):
        separate = sections(built[name].with_name("signal.dwo").read_bytes())
        yield _joined(2, small(parts[name]), small(separate, 1))
    yield from _btf(folder, built["5"])
    yield _debuglink(folder, built["5"])
    yield _common(folder, built["4"])


def _built(folder: Path, flags: Sequence[str]) -> Path:
    """Return a program without libraries, so that it is small; a split one has a single unit."""
    folder.mkdir()
    kernel_like.write_sources(folder)
    units = ("signal",) if "-gsplit-dwarf" in flags else ("signal", "debug")
    for unit in units:
        run(
            "gcc",
            *flags,
            f"-fdebug-prefix-map={folder}=.",
            "-O1",
            "-fno-pie",
            "-c",
            f"{unit}.c",
            cwd=folder,
        )
    argv = ("gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id,-e,0")
    run(*argv, "-o", "vmlinux", *(f"{unit}.o" for unit in units), cwd=folder)
    return folder / "vmlinux"


def _btf(folder: Path, program: Path) -> Iterator[bytes]:
    """Yield a file with BTF alone, and one whose DWARF fails before."""
    run("pahole", "-J", program, cwd=folder)
    parts = sections(program.read_bytes())
    others = [part for part in parts if not part.name.startswith(".debug")]
    yield _joined(0, small(others))
    yield _joined(0, small(packed(others, "zlib")))
    yield _joined(0, small([*others, parts[-1]._replace(name=".debug_info", kind=1)]))


def _debuglink(folder: Path, program: Path) -> bytes:
    run("objcopy", "--only-keep-debug", program, "vmlinux.debug", cwd=folder)
    run("objcopy", "-g", "--add-gnu-debuglink=vmlinux.debug", program, "stripped", cwd=folder)
    files = (sections((folder / name).read_bytes()) for name in ("stripped", "vmlinux.debug"))
    stripped, debug = ([part for part in each if part.name != ".BTF"] for each in files)
    return _joined(1, small(stripped), small(debug))


def _common(folder: Path, program: Path) -> bytes:
    """Return a program and what dwz found in it and in another."""
    (folder / "other").write_bytes(program.read_bytes())
    run("dwz", "-m", "common", "-M", "common", program, "other", cwd=folder)
    files = (sections((folder / name).read_bytes()) for name in (program, "common"))
    return _joined(3, *map(small, files))


def _joined(kind: int, first: bytes, second: bytes = b"") -> bytes:
    return _HEAD.pack(kind, len(first)) + first + second


def _split(data: bytes) -> tuple[int, bytes, bytes]:
    """Return what the second file is, and both."""
    kind, size = _HEAD.unpack(data[: _HEAD.size].ljust(_HEAD.size, b"\0"))
    first = data[_HEAD.size : _HEAD.size + size]
    return kind % len(_OTHERS), first, data[_HEAD.size + len(first) :]


def _read(data: bytes) -> None:
    kind, first, second = _split(data)
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / "vmlinux").write_bytes(first)
    other = _FOLDER / _OTHERS[kind]
    if kind:
        other.write_bytes(second)
    try:
        words, check = ("--format", "json"), check_json
        if not len(data) % 8:
            words, check = (), check_text
        text = said(["layout", str(_FOLDER / "vmlinux"), *words])
        if text:
            check(text)
    finally:
        if kind:
            other.unlink()


def _hurt(data: bytearray, random: Random) -> bytes:
    kind, first, second = _split(bytes(data))
    files = [bytearray(first), bytearray(second)]
    for _ in range(random.choice((1, 1, 2, 4))):
        elf_files.hurt(files[random.randrange(2) if second else 0], random)
    return _joined(kind, *map(bytes, files))


TARGET = Target("debug information: ELF, DWARF, BTF", 20_000, _seeds, _read, _hurt, 64 << 10)
