# SPDX-License-Identifier: GPL-2.0-or-later
"""Booted kernels for the tests: a missing kernel or QEMU fails them, it skips nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu.console import PROMPT
from qemu.kernels import Kernel, obtain
from qemu.vm import Machine

BOOT_TIMEOUT = 120.0  # seconds; it takes about three

_INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin PS1='{PROMPT}'
exec setsid sh -c 'exec sh -i </dev/ttyS0 >/dev/ttyS0 2>&1'
"""


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The kernel that the environment variable KERNEL names, kgdb-5.10 without one."""
    return obtain(os.environ.get("KERNEL", "kgdb-5.10"))


@pytest.fixture(scope="session")
def shell_initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest that is busybox and nothing else."""
    root = tmp_path_factory.mktemp("root")
    (root / "bin").mkdir()
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    (root / "init").write_text(_INIT)
    (root / "init").chmod(0o755)
    initrd = tmp_path_factory.mktemp("initrd") / "initrd"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with initrd.open("wb") as file:
        argv = ["cpio", "--quiet", "-o", "-H", "newc"]
        subprocess.run(argv, cwd=root, input=names.encode(), stdout=file, check=True)
    return initrd


@pytest.fixture
def machine(kernel: Kernel) -> Iterator[Callable[..., Machine]]:
    """A function that boots `initrd` to its shell; what it booted ends with the test."""
    machines: list[Machine] = []

    def boot(initrd: Path, *, until: str = PROMPT, **options: object) -> Machine:
        machines.append(Machine(kernel.bzimage, initrd, **options))
        machines[-1].boot(until, BOOT_TIMEOUT)
        return machines[-1]

    yield boot
    for each in machines:
        each.close()
