# SPDX-License-Identifier: GPL-2.0-or-later
"""The command, run as a person runs it."""

import bz2
import gzip
import json
import lzma
import os
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from core_files import core, layout, prstatus, xstate
from fpu_images import legacy, put, xsave

from gdbfpu import __version__
from gdbfpu.cli import main

SCHEMA = json.loads(Path(__file__).parents[2].joinpath("docs/decode.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def run(*arguments, data=b""):
    return subprocess.run(
        [sys.executable, "-m", "gdbfpu", *arguments], input=data, capture_output=True, timeout=30
    )


def test_json_from_standard_input():
    done = run("decode", "-", "--format", "json", data=bytes(legacy(fcw=0x27F)))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["registers"]["fcw"]["bytes"] == "7f02"


def test_table_of_a_file(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(put(xsave(7), 831, b"\1")))
    assert main(["decode", str(path), "--component", "AVX"]) == 0
    out = capsys.readouterr().out
    assert "ymm15" in out
    assert "xmm0" not in out


def test_components_may_be_repeated(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(put(xsave(7), 831, b"\1")))
    command = ["decode", str(path), "--component", "avx", "--component", "x87"]
    assert main([*command, "--format", "json"]) == 0
    registers = json.loads(capsys.readouterr().out)["registers"]
    assert "fcw" in registers
    assert "ymm0" in registers
    assert "xmm0" not in registers


def test_image_is_forced(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(2440))
    assert main(["decode", str(path), "--image", "compacted", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "compacted"


def failing(capsys, *arguments):
    assert main(["decode", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_auto_asks_in_one_line(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(2440))
    assert failing(capsys, str(path)) == (
        "gdbfpu: 2440 bytes without XCOMP_BV[63] can be two formats; "
        "say --image standard or compacted"
    )


def test_missing_file(tmp_path, capsys):
    path = str(tmp_path / "none")
    assert failing(capsys, path) == f"gdbfpu: cannot read {path}: No such file or directory"


def test_file_that_is_no_image(capsys):
    assert failing(capsys, "/dev/zero").startswith("gdbfpu: /dev/zero has more than 1048576 bytes")


@pytest.mark.parametrize(
    ("module", "package", "words"),
    [
        ("elftools", "pyelftools", ("layout", "vmlinux")),
        ("pygments", "pygments", ("report", "--from", "events")),
        ("tabulate", "tabulate", ("report", "--from", "events", "--by", "path")),
    ],
)
def test_package_that_is_not_installed(module, package, words, tmp_path, capsys, monkeypatch):
    """It is named in one line, whichever it is."""
    (tmp_path / "events").write_text('{"schema": 1}\n')
    subprocess.run(
        ["gcc", "-g", "-x", "c", "-", "-o", tmp_path / "vmlinux"],
        input=b"struct fpu { int last_cpu; } fpu; int copy_fpstate_to_sigframe(void) { return 0; }"
        b"struct task_struct { int flags; } init_task; int main(void) { return 0; }",
        check=True,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDBFPU_CACHE", "off")
    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert f" the Python package {package}: install it, or " in line


# --- whose places, and core files


def put_file(tmp_path, data, name="image"):
    path = tmp_path / name
    path.write_bytes(bytes(data))
    return str(path)


def answer(capsys, *words):
    assert main(["decode", *words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def amd_buffer():
    """An AMD CPU's image in a buffer of 4096 bytes: CPUID has opmask at 832."""
    image = put(xsave(0x2E7), 464, struct.pack("<Q", 0x2E7))
    return put(put(image, 840, b"\x22" * 8), 4095, b"\0")


def test_amd_places_in_a_larger_buffer(tmp_path, capsys):
    path = put_file(tmp_path, amd_buffer())
    assert answer(capsys, path)["registers"]["k1"]["bytes"] == "22" * 8
    for words, k1 in ((("--cpu", "amd"), "22" * 8), (("--cpu", "intel"), "00" * 8)):
        assert answer(capsys, path, *words)["registers"]["k1"]["bytes"] == k1


def test_assumed_places_are_said(tmp_path, capsys):
    path = put_file(tmp_path, put(xsave(0xE7), 4095, b"\0"))
    (note,) = answer(capsys, path)["notes"]
    assert note.startswith("nothing shows which CPU wrote this image, and the places of opmask")
    assert main(["decode", path]) == 0
    assert f"note       {note}\n" in capsys.readouterr().out
    assert answer(capsys, path, "--cpu", "amd")["notes"] == []


def test_places_from_a_file(tmp_path, capsys):
    leaf = "   0x0000000d 0x05: eax=0x00000040 ebx=0x00000340 ecx=0x00000000 edx=0x00000000\n"
    cpuid = put_file(tmp_path, leaf.encode(), "cpuid")
    found = answer(capsys, put_file(tmp_path, amd_buffer()), "--cpuid", cpuid)
    assert found["places"] == "CPUID"
    assert found["registers"]["k1"]["bytes"] == "22" * 8


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--cpu", "via"), "'via' is neither intel nor amd"),
        (("--cpu", "amd", "--cpuid", "x"), "--cpu and --cpuid cannot be combined"),
        (("--image", "fxsave", "--thread", "1"), "--image fxsave and --thread cannot be combined"),
        (("--cpuid", "/nowhere"), "cannot read /nowhere: No such file or directory"),
        (("--cpuid", "/dev/null"), "cannot use /dev/null: it has no CPUID leaf 0xd as `cpuid -r`"),
        (("--cpuid", "/dev/zero"), "cannot use /dev/zero: it has more than 16777216 bytes"),
        (("--thread", "1"), "--thread needs a core file, and "),
    ],
)
def test_options_that_cannot_be(words, text, tmp_path, capsys):
    assert text in failing(capsys, put_file(tmp_path, legacy()), *words)


YMM5 = bytes(range(0x40, 0x60))


def core_of_two():
    """As an AMD CPU's kernel writes it: ymm5 of the second thread is its own."""
    image = put(xsave(7, xmm=[bytes(16)] * 5 + [YMM5[:16]]), 656, YMM5[16:])
    put(put(image, 464, struct.pack("<Q", 0xE7)), 2431, b"\0")
    first = put(xsave(3), 2431, b"\0")
    return core(prstatus(41), xstate(first), prstatus(42), xstate(image))


def test_each_thread_of_a_core_file(tmp_path, capsys):
    path = put_file(tmp_path, core_of_two())
    found = answer(capsys, path)
    VALIDATOR.evolve(schema=SCHEMA["$defs"]["core"]).validate(found)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.evolve(schema=SCHEMA["$defs"]["core"]).validate({"threads": [{"thread": 1}]})
    assert [one["thread"] for one in found["threads"]] == [41, 42]
    assert found["threads"][1]["registers"]["ymm5"]["bytes"] == YMM5.hex()
    assert main(["decode", path]) == 0
    out = capsys.readouterr().out
    assert "format     standard (NT_X86_XSTATE of thread 41), 2432 bytes\n" in out
    assert "\n\nformat     standard (NT_X86_XSTATE of thread 42), 2432 bytes\n" in out


def test_one_thread_of_a_core_file(tmp_path, capsys):
    found = answer(capsys, put_file(tmp_path, core_of_two()), "--thread", "42")
    VALIDATOR.validate(found)
    assert (found["thread"], found["registers"]["ymm5"]["bytes"]) == (42, YMM5.hex())


def test_a_core_file_from_a_pipe():
    done = run("decode", "-", "--thread", "42", "--format", "json", data=bytes(core_of_two()))
    assert json.loads(done.stdout)["registers"]["ymm5"]["bytes"] == YMM5.hex()


def test_a_core_file_has_the_places_of_its_cpu(tmp_path, capsys):
    image = put(put(xsave(0x27), 840, b"\x22" * 8), 4095, b"\0")
    path = put_file(tmp_path, core(xstate(image), layout((2, 256, 576), (5, 64, 832))))
    (found,) = answer(capsys, path)["threads"]
    assert (found["thread"], found["places"]) == (None, "NT_X86_XSAVE_LAYOUT")
    assert found["registers"]["k1"]["bytes"] == "22" * 8


def test_elf_files_that_are_no_core(tmp_path, capsys):
    line = failing(capsys, sys.executable)
    assert line.endswith("neither a core file nor an image of FPU state")
    path = put_file(tmp_path, core_of_two()[:-10])
    assert failing(capsys, path) == f"gdbfpu: {path}: the core file ends inside its notes"


@pytest.mark.parametrize(("pack", "name"), [(gzip, "gzip"), (bz2, "bzip2"), (lzma, "xz")])
def test_compressed_files(pack, name, tmp_path, capsys):
    path = put_file(tmp_path, pack.compress(core_of_two()))
    assert failing(capsys, path) == f"gdbfpu: {path} is compressed with {name}: unpack it first"


def test_unknown_component(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(legacy()))
    assert failing(capsys, str(path), "--component", "AVX") == (
        "gdbfpu: the image has no component 'AVX'; it has x87, SSE"
    )


def test_reader_that_has_gone_away(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(legacy()))
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gdbfpu", "decode", str(path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=30)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_called_bare_it_shows_examples_that_parse():
    done = run()
    assert (done.returncode, done.stderr) == (0, b"")
    help_text = run("--help")
    assert done.stdout == help_text.stdout
    examples = done.stdout.decode().partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    commands = [
        shlex.split(line.partition("   ")[0] or line)[1:] for line in map(str.strip, examples)
    ]
    assert len(commands) == 5
    for words in commands:
        said = run(*words).stderr.decode()
        assert "see `gdbfpu" not in said, said  # what is missing is the file, not an argument
        assert "No such file" in said


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"gdbfpu {__version__}\n")
