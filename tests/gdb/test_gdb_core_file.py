# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu decode` of a core file that GDB wrote of a program with two threads."""

from __future__ import annotations

import json
import subprocess

import pytest

from gdbfpu.cli import main

TIMEOUT = 120
PROGRAM = r"""
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

static uint8_t mine[16], other[16];
static pthread_barrier_t ready;

static void *second(void *unused)
{
    __asm__ volatile("movdqu %0, %%xmm5" : : "m"(other) : "xmm5");
    pthread_barrier_wait(&ready);
    __asm__ volatile("movdqu %0, %%xmm5\n1: pause\njmp 1b" : : "m"(other) : "xmm5");
    return unused;
}

int main(void)
{
    pthread_t thread;

    for (int i = 0; i < 16; i++) {
        mine[i] = 0x10 + i;
        other[i] = 0x40 + i;
    }
    pthread_barrier_init(&ready, 0, 2);
    pthread_create(&thread, 0, second, 0);
    pthread_barrier_wait(&ready);
    usleep(200000);
    __asm__ volatile("movdqu %0, %%xmm5\nfldpi\nint3" : : "m"(mine) : "xmm5");
    return 0;
}
"""


@pytest.fixture(scope="module")
def core_file(tmp_path_factory):
    """The core file of both threads, as GDB writes it."""
    folder = tmp_path_factory.mktemp("core")
    program, core = folder / "program", folder / "core"
    command = ["gcc", "-O1", "-pthread", "-x", "c", "-", "-o", program]
    subprocess.run(command, input=PROGRAM.encode(), check=True, timeout=TIMEOUT)
    orders = ("set confirm off", "run", f"generate-core-file {core}", "kill")
    words = [word for order in orders for word in ("-ex", order)]
    command = ["gdb", "-nx", "-q", "-batch", *words, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert core.exists(), done.stdout + done.stderr
    return core


def test_each_thread_has_its_own_registers(core_file, capsys):
    assert main(["decode", str(core_file), "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["threads"]
    assert first["registers"]["xmm5"]["bytes"] == bytes(range(0x10, 0x20)).hex()
    assert first["registers"]["st0"]["decimal"] == "3.1415926535897932385"
    assert second["registers"]["xmm5"]["bytes"] == bytes(range(0x40, 0x50)).hex()
    assert second["registers"]["st0"]["tag"] == "empty"
    assert first["defects"] == second["defects"] == []
    assert first["reason"] == f"NT_X86_XSTATE of thread {first['thread']}"


def test_one_thread_by_its_number(core_file, capsys):
    """GDB, asked about the same file, names the threads and prints the register."""
    orders = ["-ex", "info threads", "-ex", "thread 2", "-ex", "p/x $xmm5.uint128"]
    command = ["gdb", "-nx", "-q", "-batch", *orders, "-c", core_file]
    said = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT).stdout
    value = int(said.rpartition("= 0x")[2], 16)
    lwp = said.partition("[Switching to thread 2 (")[2].partition(")")[0].split("LWP ")[-1]
    assert main(["decode", str(core_file), "--thread", lwp, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["thread"], found["registers"]["xmm5"]["uint128"]) == (int(lwp), value)
