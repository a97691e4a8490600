# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual machine: what it does, how it is lost, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from qemu.console import PROMPT
from qemu.errors import HarnessError, MachineLost
from qemu.gdbs import gdb_program
from qemu.kernels import Kernel
from qemu.vm import Machine
from tests.vm.matrix import busy

_BUSY = "while :; do :; done & while :; do :; done & while :; do :; done & sleep 0.2"

_TROUBLE = (
    "KGDB: BP remove failed: ffffffff81000000",
    "WARNING: CPU: 1 PID: 7 at kernel/x.c:1 f+0x1/0x2",
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "general protection fault: 0000 [#1] SMP",
    "Oops: 0002 [#1] SMP",
)

_PARENT = f"""
import sys, time
from pathlib import Path
from qemu.vm import Machine
machine = Machine(Path(sys.argv[1]), Path(sys.argv[2]))
machine.boot({PROMPT!r}, 120)
print(machine.directory, flush=True)
time.sleep(600)
"""


def _processes(directory: Path) -> list[int]:
    """Return the processes that work in `directory`: a machine's QEMU."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == directory:
                found.append(int(process.name))
        except OSError:
            continue  # it ended meanwhile, or has no directory any more
    return found


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE)[1])


def _gone(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _gdb(kernel: Kernel, socket: Path) -> pexpect.spawn:
    gdb = pexpect.spawn(
        gdb_program(),
        ["-nx", "-q", str(kernel.vmlinux)],
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "TERM": "dumb"},
    )
    gdb.expect_exact("(gdb) ")
    for command in ("set pagination off", "set confirm off", f"target remote {socket}"):
        gdb.sendline(command)
        gdb.expect_exact("(gdb) ")
    return gdb


def test_runs_commands_on_two_cpus(machine, kernel, initrd):
    guest = machine(initrd)
    assert guest.run("uname -r", 20) == f"{kernel.version}\n"
    assert guest.run("grep -c ^processor /proc/cpuinfo", 20) == "2\n"
    assert guest.run("echo 'a  \"b\"'; echo $((6 * 7)); false", 20) == 'a  "b"\n42\n'
    assert f"Linux version {kernel.version}" in guest.console_log
    assert guest.alive()


def test_each_cpu_waits_as_long_as_it_is_told_to(machine, initrd):
    """KGDB's master counts its delays while it waits for the other CPUs."""
    guest = machine(initrd)
    speeds = set(guest.run("grep bogomips /proc/cpuinfo", 20).split("\n")) - {""}
    assert len(speeds) == 1


def test_long_commands_and_background_jobs(machine, initrd):
    guest = machine(initrd)
    assert guest.run("echo " + "x" * 600, 20) == "x" * 600 + "\n"
    assert guest.run("sleep 100 &", 20) == ""
    assert guest.run("jobs", 20).split() == ["[1]+", "Running", "sleep", "100"]


def test_a_saved_machine_goes_on(machine, initrd, tmp_path):
    """Twice, from the same moment; the machine that was saved runs on, too."""
    first, saved = machine(initrd), tmp_path / "saved"
    first.run("echo before > /when", 20)
    first.save(saved)
    first.run("echo after > /when", 20)
    for _ in range(2):
        guest = machine(initrd, saved=saved)
        assert guest.run("cat /when; echo again > /when", 20) == "before\n"
        assert "signals=3 ok" in guest.run("sigstorm 3", 20)
    assert first.run("cat /when", 20) == "after\n"


def test_a_machine_that_cannot_be_saved(machine, initrd, tmp_path):
    with pytest.raises(HarnessError, match="query-migrate: failed"):
        machine(initrd).save(tmp_path / "no directory" / "saved")


def test_the_shell_outlives_its_background_jobs(machine, initrd):
    """BusyBox takes their end for the end of its input, if it comes while the shell reads."""
    guest = machine(initrd, parallel=True)
    before = guest.run("echo $$", 20)
    with busy(2):
        for _ in range(10):
            guest.console.send("sigstorm 5 & sigstorm 5 & sigstorm 5 &\n")
            for _ in range(3):
                guest.wait_console("signals=5 ok", 20)
    assert guest.run("echo $$", 20) == before


def test_options_reach_the_guest(machine, initrd):
    guest = machine(initrd, cpu="Nehalem", smp=1, memory="256M", append="quiet gdbfpu.x=1")
    assert guest.run("cat /proc/cmdline", 20).endswith(" quiet gdbfpu.x=1\n")
    assert "xsave" not in guest.run("cat /proc/cpuinfo", 20)
    total = int(guest.run("grep MemTotal /proc/meminfo", 20).split()[1])
    assert 180 << 10 < total < 256 << 10


def test_break_in_while_every_cpu_is_busy(machine, kernel, initrd):
    guest = machine(initrd)
    guest.run(_BUSY, 20)
    guest.break_in()
    with pytest.raises(MachineLost, match=r"no 'a' on the console within 1 s"):
        guest.wait_console("a", 1)  # the kernel is in KGDB: it says nothing
    gdb = _gdb(kernel, guest.kgdb)
    gdb.sendline("backtrace 3")
    gdb.expect(r"#0 .*kgdb_breakpoint .*\(gdb\) ")
    gdb.sendline("detach")
    gdb.expect_exact("detached]")
    gdb.close()
    assert guest.run("echo on again", 20) == "on again\n"


def test_read_memory_sees_a_breakpoint_and_its_removal(machine, kernel, initrd):
    guest = machine(initrd)
    guest.break_in()
    gdb = _gdb(kernel, guest.kgdb)
    gdb.sendline("print/x *(unsigned char (*)[4])do_coredump")
    gdb.expect(r"= \{(0x\w+), (0x\w+), (0x\w+), (0x\w+)\}")
    before = bytes(int(byte, 16) for byte in gdb.match.groups())
    gdb.sendline("break *do_coredump")
    gdb.expect(r"Breakpoint 1 at (0x[0-9a-f]+)")
    address = int(gdb.match[1], 16)
    assert guest.read_memory(address, 4) == before

    gdb.sendline("continue")
    gdb.expect_exact("Continuing.")
    assert guest.run("echo running", 20) == "running\n"
    assert guest.read_memory(address, 4) == b"\xcc" + before[1:]

    guest.break_in()
    gdb.expect_exact("(gdb) ")
    gdb.sendline("detach")
    gdb.expect_exact("detached]")
    gdb.close()
    assert guest.run("echo running", 20) == "running\n"
    assert guest.read_memory(address, 4) == before


def test_gdbstub_answers(machine, kernel, initrd):
    guest = machine(initrd)
    gdb = _gdb(kernel, guest.gdbstub)
    gdb.sendline("info threads")
    gdb.expect(r"CPU#0 .*CPU#1 .*\(gdb\) ")
    gdb.sendline("detach")
    gdb.expect_exact("detached]")
    gdb.close()


def test_panic_is_noticed_at_once(machine, initrd):
    guest = machine(initrd)
    started = time.monotonic()
    with pytest.raises(MachineLost) as lost:
        guest.run("echo c > /proc/sysrq-trigger", 60)
    assert time.monotonic() - started < 10
    # Before Linux 5.0 the key made the kernel follow a NULL pointer.
    crash = "Kernel panic - not syncing: sysrq triggered crash|BUG: unable to handle kernel NULL"
    assert re.search(crash, lost.value.how)
    assert "qemu-system-x86_64 ended with status 0" in lost.value.how
    assert "RIP" in lost.value.console
    assert not guest.alive()


def test_kernel_in_trouble_is_noticed_without_waiting_for_it(machine, initrd):
    guest = machine(initrd)
    for line in _TROUBLE:
        unlike = "''".join(f"<6>{line}")  # the shell's echo of the command must not match already
        guest.console.send(f"echo '{unlike}' > /dev/kmsg\n")
        with pytest.raises(MachineLost) as lost:
            for _ in range(100):
                guest.check()
                time.sleep(0.1)
        assert lost.value.how == f"the kernel says: {line}"


def test_deadline_shows_what_the_console_said_last(machine, initrd):
    guest = machine(initrd)
    guest.run("echo the last words", 20)
    with pytest.raises(MachineLost) as lost:
        guest.run("sleep 50", 1)
    assert "within 1 s" in lost.value.how
    assert "the last words" in lost.value.console


def test_killed_qemu_is_named(machine, initrd):
    guest = machine(initrd)
    (pid,) = _processes(guest.directory)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(MachineLost, match=r"closed the console; .* ended with status 137"):
        guest.run("echo", 20)


def test_qemu_that_does_not_start_is_quoted(machine, initrd):
    with pytest.raises(MachineLost, match=r"ended with status 1: .*'no-such-model'"):
        machine(initrd, cpu="no-such-model")


def test_nothing_listens_to_the_network(machine, initrd):
    """QEMU's sockets are those in its directory, which nobody else can enter."""
    guest = machine(initrd)
    (qemu,) = _processes(guest.directory)
    links = (str(one.readlink()) for one in Path(f"/proc/{qemu}/fd").iterdir())
    own = {name[8:-1] for name in links if name.startswith("socket:[")}
    assert len(own) > 3
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = Path(f"/proc/{qemu}/net/{table}").read_text().splitlines()[1:]
        assert own & {row.split()[9] for row in rows} == set(), table
    rows = [row.split() for row in Path(f"/proc/{qemu}/net/unix").read_text().splitlines()[1:]]
    names = {row[7] for row in rows if row[6] in own and len(row) > 7}
    assert {Path(name).name for name in names} >= {"kgdb.sock", "gdb.sock", "qmp.sock"}


def test_close_leaves_nothing(machine, initrd):
    guest = machine(initrd)
    directory = guest.directory
    (qemu,) = _processes(directory)
    keeper = _parent(qemu)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in directory.iterdir()} >= {"kgdb.sock", "gdb.sock"}
    guest.close()
    guest.close()
    assert not directory.exists()
    assert not Path(f"/proc/{qemu}").exists()
    assert not Path(f"/proc/{keeper}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_parent_leaves_nothing(kernel, initrd, number):
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-c", _PARENT, str(kernel.bzimage), str(initrd)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, cwd=root, text=True, **pipes) as parent:
        directory = Path(parent.stdout.readline().strip())
        (qemu,) = _processes(directory)
        keeper = _parent(qemu)
        assert _parent(keeper) == parent.pid
        parent.send_signal(number)
    assert _gone(lambda: not directory.exists())
    assert _gone(lambda: not Path(f"/proc/{qemu}").exists())
    assert _gone(lambda: not Path(f"/proc/{keeper}").exists())


def test_kvm_on_request_boots_with_or_without_it(machine, initrd, capsys):
    guest = machine(initrd, kvm=True)
    assert guest.run("echo booted", 20) == "booted\n"
    used = guest.monitor.execute("query-kvm")["enabled"]
    assert guest.accelerator.startswith("kvm" if used else "tcg,")
    assert ("using TCG" in capsys.readouterr().err) != used


def test_a_machine_that_is_not_booted_says_so(kernel, initrd):
    with Machine(kernel.bzimage, initrd) as guest:
        with pytest.raises(HarnessError, match="the machine is not booted"):
            guest.run("echo", 1)
        assert not guest.alive()
