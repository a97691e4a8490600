# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP, QEMU's monitor protocol, called synchronously and with deadlines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from qemu.errors import HarnessError
from qemu.qmp import QMPClient, QMPError

__all__ = ("Monitor",)

_TIMEOUT = 20.0  # seconds for one command


class Monitor:
    """QMP on a connected socket; every call raises HarnessError if QEMU does not answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._runner = asyncio.Runner()
        self._client = QMPClient("gdbfpu")
        self._client.logger.disabled = True  # we raise its errors
        try:
            self._run(self._client.connect(connection), "connect")
        except HarnessError:
            self._runner.close()
            raise

    def execute(self, command: str, **arguments: object) -> Any:
        """Execute a QMP command and return its result."""
        return self._run(self._client.execute(command, arguments or None), command)

    def close(self) -> None:
        """Disconnect; QEMU may be gone already."""
        try:
            self._run(self._client.disconnect(), "disconnect")
        except HarnessError:
            pass  # the connection is closed either way
        finally:
            self._runner.close()

    def _run(self, call: Coroutine[Any, Any, Any], what: str) -> Any:
        try:
            return self._runner.run(asyncio.wait_for(call, _TIMEOUT))
        except (QMPError, OSError, EOFError, asyncio.TimeoutError) as error:
            raise HarnessError(f"QMP {what}: {error or type(error).__name__}") from error
