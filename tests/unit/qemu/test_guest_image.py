# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs writer against GNU cpio, and the guest programs against objdump and readelf."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from qemu.errors import SetupError
from qemu.guest import compiler, packages
from qemu.guest.answers import ANSWERS, subject_of
from qemu.guest.cpio import write_initramfs

# An instruction of the x87, SSE or AVX units, by its register or by its mnemonic.
FPU_INSTRUCTION = re.compile(r"%(?:[xyz]?mm\d|st\b)|^ *[0-9a-f]+:\s+(?:f|v|\w*mxcsr)", re.MULTILINE)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("programs")
    compiler.compile_programs(target)
    return target


def output_of(*argv: object) -> str:
    argv_ = [str(argument) for argument in argv]
    return subprocess.run(argv_, capture_output=True, text=True, check=True).stdout


def sample_tree(root: Path) -> None:
    (root / "bin").mkdir(parents=True)
    (root / "bin/one").write_bytes(b"#!/bin/sh\nexit 0\n")
    (root / "bin/one").chmod(0o755)
    (root / "bin/link").symlink_to("one")
    (root / "empty").mkdir()
    (root / "odd").write_bytes(b"12345")
    (root / "odd").chmod(0o600)


def test_gnu_cpio_unpacks_what_was_written(tmp_path: Path) -> None:
    root, unpacked, archive = tmp_path / "root", tmp_path / "unpacked", tmp_path / "initramfs"
    sample_tree(root)
    write_initramfs(root, archive)
    unpacked.mkdir()
    content = gzip.decompress(archive.read_bytes())
    command = ["cpio", "--quiet", "-i", "-H", "newc"]
    subprocess.run(command, cwd=unpacked, input=content, check=True)
    names = sorted(path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*"))
    assert names == ["bin", "bin/link", "bin/one", "empty", "odd"]
    assert (unpacked / "bin/link").readlink() == Path("one")
    assert (unpacked / "bin/one").read_bytes() == b"#!/bin/sh\nexit 0\n"
    assert (unpacked / "bin/one").stat().st_mode == 0o100755
    assert (unpacked / "odd").read_bytes() == b"12345"
    assert (unpacked / "odd").stat().st_mode == 0o100600


def test_equal_trees_make_equal_archives(tmp_path: Path) -> None:
    for name in ("first", "second"):
        sample_tree(tmp_path / name / "tree")
        write_initramfs(tmp_path / name / "tree", tmp_path / name / "initramfs")
    first, second = ((tmp_path / name / "initramfs").read_bytes() for name in ("first", "second"))
    assert first == second


def test_intonly_has_no_fpu_instruction(programs: Path) -> None:
    # The same search finds them where they are, so it can fail.
    for name, uses_fpu in (("ymmall", True), ("x87calc", True), ("intonly", False)):
        code = output_of("objdump", "-d", "--no-show-raw-insn", programs / name)
        assert bool(FPU_INSTRUCTION.search(code)) == uses_fpu, name


def test_answers_are_about_programs_that_are_there() -> None:
    named = {subject.partition("/")[0] for subject in ANSWERS}
    assert named <= set(compiler.PROGRAMS)
    assert all(right.lazy and right.eager for right in ANSWERS.values())


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ("guest: ymmall pid=9 signals=3 ok", "ymmall"),
        ("guest: onereg pid=9 tgid=8 thread=2 signals=3 ok", "onereg/2"),
        ("guest: vforkexec pid=9 loaded=0 signals=3 ok", "vforkexec/child"),
        ("guest: onesignal pid=9 loaded=1 signals=1 ok", "onesignal/loaded"),
    ],
)
def test_a_line_says_whose_it_is(line: str, subject: str) -> None:
    assert subject_of(line) == subject


@pytest.mark.parametrize("name", compiler.PROGRAMS)
def test_program_is_static_and_of_its_width(programs: Path, name: str) -> None:
    header = output_of("readelf", "-h", programs / name)
    assert f"Class:                             ELF{32 if name == 'ia32sig' else 64}" in header
    assert "INTERP" not in output_of("readelf", "-l", programs / name)


def test_program_that_does_not_compile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.c").write_text("int run(void) { return undeclared; }\n")
    monkeypatch.setattr(compiler, "_SOURCES", tmp_path)
    monkeypatch.setattr(compiler, "PROGRAMS", ("broken",))
    with pytest.raises(SetupError, match=r"(?s)broken\.c does not compile.*undeclared"):
        compiler.compile_programs(tmp_path)


def test_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="gcc is missing"):
        compiler.compile_programs(tmp_path)


def test_links_of_an_unpacked_root_stay_below_it(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/real.so").write_bytes(b"")
    (tmp_path / "lib/relative.so").symlink_to("real.so")
    (tmp_path / "absolute.so").symlink_to("/lib/relative.so")
    assert packages._resolve(tmp_path, "absolute.so") == tmp_path / "lib/real.so"


def test_links_that_form_a_loop_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SetupError, match="too many symbolic links: loop"):
        packages._resolve(tmp_path, "loop")
