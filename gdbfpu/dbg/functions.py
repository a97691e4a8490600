# SPDX-License-Identifier: GPL-2.0-or-later
"""Convenience functions, for expressions and breakpoint conditions.

The code that they need is imported when a function is first called, as with the commands.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable

import gdb

from gdbfpu.dbg.language import in_c
from gdbfpu.errors import GdbFpuError, UsageError, described

if TYPE_CHECKING:
    from gdbfpu.fpu.model import FpuModel

__all__ = ("register_functions",)

_LEAST_ADDRESS = 1 << 22  # the kernel's PID_MAX_LIMIT: no task_struct is below


class _Function(gdb.Function):  # type: ignore[misc]
    """A convenience function whose errors are one line."""

    def __init__(self, name: str, doc: str, call: Callable[..., Any]) -> None:
        self.__doc__ = doc
        self._name = name
        self._call = call
        super().__init__(name)

    def invoke(self, *arguments: Any) -> Any:
        """Return the function's value."""
        try:
            return self._call(*arguments)
        except TypeError as error:
            raise gdb.GdbError(f"${self._name}: wrong arguments; see `help function`") from error
        except GdbFpuError as error:
            raise gdb.GdbError(f"${self._name}: {error}") from error
        except gdb.error:
            raise
        except Exception as error:
            raise gdb.GdbError(f"${self._name}: {described(error)}") from error


def register_functions() -> None:
    """Create $fpu_task, $fpu_xfeatures, $fpu_live and $fpu_reg."""
    for name, doc, call in (
        ("fpu_task", "$fpu_task() - the task_struct * that the stopped CPU runs.", _task),
        ("fpu_xfeatures", "$fpu_xfeatures(TASK) - the xfeatures in TASK's memory.", _xfeatures),
        ("fpu_live", "$fpu_live(TASK) - 1 when a CPU holds TASK's registers, else 0.", _live),
        (
            "fpu_reg",
            '$fpu_reg(TASK, NAME) - register NAME ("ymm3") of TASK.\n'
            "Up to 8 bytes are a number. st(i) is a long double. All else is an array of 64-bit\n"
            "numbers, lowest first.",
            _register,
        ),
    ):
        _Function(name, doc, call)


def _model() -> FpuModel:
    from gdbfpu.dbg.session import session

    return session().model


def _task() -> Any:
    address = _model().kernel.current()[1].address
    with in_c():
        return gdb.Value(address).cast(gdb.lookup_type("struct task_struct").pointer())


def _xfeatures(who: Any) -> int:
    model = _model()
    return model.header(model.fpu_of(_address(model, who)))[0]


def _live(who: Any) -> int:
    model = _model()
    address = _address(model, who)
    return int(model.kernel.running_on(address) is not None and model.live(address))


def _register(who: Any, name: Any) -> Any:
    from gdbfpu.fpu.state import read_state

    model = _model()
    state = read_state(model, model.kernel.task(_address(model, who)))
    wanted = name.string()
    raw = state.image.register(wanted).raw
    if state.loaded and state.source(wanted) != "CPU":
        _warn_of_stale(f"{wanted} of {state.task.comm} (pid {state.task.pid})", state.truth)
    with in_c():
        return _value(raw)


def _value(raw: bytes) -> Any:
    """Return a register's bytes as a number, a long double, or an array."""
    if len(raw) == 10:
        return gdb.Value(raw.ljust(16, b"\0"), gdb.lookup_type("long double"))
    if len(raw) <= 8:
        return gdb.Value(int.from_bytes(raw, "little"))
    words = -(-len(raw) // 8)
    return gdb.Value(raw.ljust(8 * words, b"\0"), gdb.lookup_type("unsigned long").array(words - 1))


@functools.cache
def _warn_of_stale(register: str, truth: str) -> None:
    """Warn that a register's value is from the last save.

    This warns only once for each register, since a condition reads the register at each hit.
    """
    gdb.write(f"warning: {register} is not the current value: {truth}\n", gdb.STDERR)


def _address(model: FpuModel, who: Any) -> int:
    """Return the address of the task_struct that `who` is or points to.

    Raises UsageError for a pid. The message says how to get the address of the pid's task.
    """
    address = int(who) & (1 << 64) - 1
    if address < _LEAST_ADDRESS:
        raise UsageError(
            f"{address} is not the address of a task_struct: use $fpu_task(), or find the address "
            f"of the task with this pid with `fpu-state {address}`"
        )
    return address
