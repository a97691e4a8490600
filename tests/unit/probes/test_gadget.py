# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls through a register. Instructions are bytes as this machine's assembler makes them."""

from __future__ import annotations

import subprocess

import pytest

from gdbfpu.probes.gadget import IDLE_FUNCTIONS, THUNK, Gadget, find_gadget

AT = 0xFFFFFFFF810A1000
THUNKS = {0xFFFFFFFF81C00000 + 32 * n: name for n, name in enumerate(("rax", "rdi", "r11"))}
FREE = ("rax", "rbx", "rbp", "r10", "r11", "r12", "r13", "r14", "r15")
TAKEN = ("rdi", "rsi", "rdx", "rcx", "r8", "r9", "rsp")  # by arguments, and the stack pointer


@pytest.fixture(scope="module")
def assembled(tmp_path_factory):
    """What the assembler makes of a text, linked to AT."""
    folder = tmp_path_factory.mktemp("gadget")

    def assemble(text):
        commands = (["as", "-o", "code.o", "-"], ["ld", f"-Ttext={AT:#x}", "-o", "code", "code.o"],
                    ["objcopy", "-O", "binary", "-j", ".text", "code", "bytes"])  # fmt: skip
        for command in commands:
            done = subprocess.run(command, input=f"{text}\n".encode(), cwd=folder, timeout=30,
                                  capture_output=True)  # fmt: skip
            assert done.returncode == 0, done.stderr
        return (folder / "bytes").read_bytes()

    return assemble


def found(code):
    return find_gadget(code, AT, THUNKS)


def test_a_call_through_each_register_that_no_argument_needs(assembled):
    for name in FREE:
        code = assembled(f"push %rbp; mov %rsp,%rbp; call *%{name}; ret")
        size = 2 if name in ("rax", "rbx", "rbp") else 3
        assert found(code) == Gadget(AT + 4, AT + 4 + size, name)


def test_a_call_through_a_register_that_an_argument_needs(assembled):
    for name in TAKEN:
        assert found(assembled(f"nop; call *%{name}; ret")) is None


def test_the_first_that_serves(assembled):
    code = assembled("call .+0x100; call *%rdi; call *8(%rax); call *%r11; call *%rax")
    assert found(code) == Gadget(AT + 10, AT + 13, "r11")


def test_with_retpolines_a_call_of_a_thunk(assembled):
    addresses = {name: address for address, name in THUNKS.items()}
    code = assembled(f"nop; call {addresses['rax']:#x}; ret")
    assert found(code) == Gadget(AT + 1, AT + 6, "rax")
    code = assembled(f"call {addresses['rdi']:#x}; call {addresses['r11']:#x}")
    assert found(code) == Gadget(AT + 5, AT + 10, "r11")
    assert find_gadget(code, AT, {}) is None
    assert find_gadget(code, AT + 1, THUNKS) is None  # there, it calls something else


def test_a_thunk_below_the_code(assembled):
    code = assembled("call .-0x2000")
    assert find_gadget(code, AT, {AT - 0x2000: "rbx"}) == Gadget(AT, AT + 5, "rbx")


@pytest.mark.parametrize(
    "text", ["jmp *%rax", "call *(%rax)", "call *0x1000(,%rax,8)", "lcall *(%rax)", "syscall", ""]
)
def test_what_is_no_such_call(assembled, text):
    assert found(assembled(f"{text}; ret")) is None


def test_no_code_and_rubbish():
    for code in (b"", b"\xff", b"\xe8\0\0", b"\x06\x07\xff\xd0", bytes(4096)):
        assert found(code) is None


def test_the_functions_run_only_while_the_machine_goes_down():
    assert all(name.endswith(("shutdown", "off", "restart")) for name in IDLE_FUNCTIONS)
    assert THUNK + "rax" == "__x86_indirect_thunk_rax"
