# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command with a kernel ready: `python -m qemu.ready [COMMAND...]`.

The command's environment names in KERNEL the kernel that was chosen; it was obtained, and boots.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from qemu.booting import boot_kernel
from qemu.choice import first_that
from qemu.errors import HarnessError
from qemu.guest.image import test_image
from qemu.kernels import Kernel

__all__ = ("main",)


def main(argv: Sequence[str]) -> int:
    """Choose, obtain and boot a kernel, then become the command `argv`; return the exit status."""
    try:
        kernel = first_that(_tried)
    except HarnessError as error:
        print(f"kernel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kernel: interrupted; run it again to go on", file=sys.stderr)
        return 130
    if not argv:
        print(kernel.vmlinux)
        return 0
    sys.stdout.flush()
    os.execvpe(argv[0], list(argv), {**os.environ, "KERNEL": kernel.name})


def _tried(name: str) -> Kernel:
    machine, kernel = boot_kernel(name, test_image())
    machine.close()
    return kernel


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
