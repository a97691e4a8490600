# SPDX-License-Identifier: GPL-2.0-or-later
"""Make sure that a kernel boots, then run a command: `python -m qemu.ready [COMMAND...]`.

In the environment of the command, KERNEL names the chosen kernel.
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
        kernel = first_that(_boots)
    except HarnessError as error:
        print(f"kernel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kernel: interrupted; run it again to continue", file=sys.stderr)
        return 130
    if not argv:
        print(kernel.vmlinux)
        return 0
    sys.stdout.flush()
    os.execvpe(argv[0], list(argv), {**os.environ, "KERNEL": kernel.name})


def _boots(name: str) -> Kernel:
    machine, kernel = boot_kernel(name, test_image())
    machine.close()
    return kernel


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
