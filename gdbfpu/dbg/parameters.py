# SPDX-License-Identifier: GPL-2.0-or-later
"""`set fpu` and `show fpu`: the defaults of some options of commands, and colour.

A default is kept in the parser of the options alone. To set a parameter is to change it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import gdb

from gdbfpu.commands.parser import Parser

__all__ = ("COLOUR", "register_parameters")


COLOUR = "fpu colour"
"""The parameter that says whether text is in colour: True, False, or None for `auto`."""

_ABOUT = "defaults of commands, and whether text is in colour."

_FROM_CPU = "fpu from-cpu"
_ASKING = {
    True: "Over KGDB, commands ask the stopped CPU for its registers.",
    False: "Over KGDB, commands ask the stopped CPU for its registers only with --from-cpu.",
}
_NO_LIMIT = "A trace has no limit of hits."
_COLOURS = {
    None: "Text is in colour on a terminal, if `style enabled` is on (auto).",
    True: "Text is always in colour.",
    False: "Text is never in colour.",
}


# An option, GDB's kind of its values, what `set` sets, and the sentence of `show` for a value.
_DEFAULTS: tuple[tuple[str, int, str, Callable[[Any], str]], ...] = (
    (
        "backtrace",
        gdb.PARAM_ZUINTEGER,
        "how many callers of each hit a trace records",
        lambda value: f"A trace records {_counted(value, 'caller')} of each hit.",
    ),
    (
        "limit",
        gdb.PARAM_UINTEGER,
        "after how many hits a trace ends (0: never)",
        lambda value: f"A trace ends after {_counted(value, 'hit')}." if value else _NO_LIMIT,
    ),
    (
        "quiet",
        gdb.PARAM_BOOLEAN,
        "whether a trace prints no line for a hit",
        lambda value: f"A trace prints {'no' if value else 'a'} line for each hit.",
    ),
    (
        "state",
        gdb.PARAM_ENUM,
        "how much of the FPU state a trace reads at a hit",
        lambda value: f'Of the FPU state, a trace reads "{value}" at each hit.',
    ),
)


class _Parameter(gdb.Parameter):  # type: ignore[misc]
    """A setting. `said` makes the sentence of `show`, `use` is called with each new value.

    `kind` is GDB's kind of values; an enumeration has its words there, too.
    """

    def __init__(
        self,
        name: str,
        what: str,
        more: str,
        kind: tuple[Any, ...],
        value: Any,
        said: Callable[[Any], str],
        use: Callable[[Any], None],
    ) -> None:
        self.set_doc, self.show_doc, self.__doc__ = f"Set {what}.", f"Show {what}.", more
        self._said, self._use = said, use
        super().__init__(name, gdb.COMMAND_DATA, *kind)
        self.value = value

    def get_set_string(self) -> str:
        """Use the new value. There is nothing to print."""
        self._use(self.value)
        return ""

    def get_show_string(self, _value: str) -> str:
        """Return the sentence that `show` prints."""
        return self._said(self.value)


class _Prefix(gdb.Command):  # type: ignore[misc]
    """`set fpu` or `show fpu`, which GDB runs if the name of no setting follows."""

    def __init__(self, name: str, what: str, run: Callable[[], None]) -> None:
        self.__doc__ = what
        self._name = name
        self._run = run
        super().__init__(name, gdb.COMMAND_DATA, prefix=True)

    def invoke(self, argument: str, _from_tty: bool) -> None:
        """Show what there is; refuse the name of a setting that there is not."""
        self.dont_repeat()
        if argument:
            raise gdb.GdbError(f"no setting `fpu {argument.split()[0]}`: see `help {self._name}`")
        self._run()


def register_parameters(
    on: Parser[Any], asking: Sequence[Parser[Any]], changed: Callable[[Parser[Any]], object]
) -> None:
    """Create the parameters in GDB.

    `on` is the parser of `fpu-trace on`, `asking` are those of the commands with `--from-cpu`.
    `changed` is called with a parser after each change of a default of it, since its help shows the
    defaults.
    """
    _Prefix("set fpu", f"Set {_ABOUT}", lambda: gdb.execute("help set fpu"))
    _Prefix("show fpu", f"Show {_ABOUT}", _show)
    for name, kind, what, said in _DEFAULTS:
        words = on.words(f"--{name}")
        _Parameter(
            f"fpu {name}",
            what,
            f"It is the default of `fpu-trace on --{name}`.",
            (kind, words) if words else (kind,),
            on.get_default(name),
            said,
            _user(name, (on,), changed),
        )
    _register_asking(asking, changed)
    _Parameter(
        COLOUR,
        "whether the text of gdbfpu is in colour",
        "The value is `auto`, `on` or `off`. By default, `auto`, it is on a terminal only, and\n"
        "as `set style enabled` and the environment variable NO_COLOR say.",
        (gdb.PARAM_AUTO_BOOLEAN,),
        None,
        _COLOURS.__getitem__,
        lambda _: None,
    )


def _register_asking(
    parsers: Sequence[Parser[Any]], changed: Callable[[Parser[Any]], object]
) -> None:
    _Parameter(
        _FROM_CPU,
        "whether commands ask the stopped CPU for its registers over KGDB",
        "It is the default of `--from-cpu` of fpu-state, fpu-info and fpu-audit.",
        (gdb.PARAM_BOOLEAN,),
        False,
        _ASKING.__getitem__,
        _user("from_cpu", parsers, changed),
    )


def _user(
    name: str, parsers: Sequence[Parser[Any]], changed: Callable[[Parser[Any]], object]
) -> Callable[[Any], None]:
    """Return what makes a new value the default of option `name`."""

    def use(value: Any) -> None:
        for parser in parsers:
            parser.set_defaults(**{name: 0 if value is None else value})  # None: unlimited
            changed(parser)

    return use


def _counted(number: int, thing: str) -> str:
    from gdbfpu.text.counted import counted

    return counted(number, thing)


def _show() -> None:
    """Show each setting, as GDB's own `show` does for a group of settings."""
    for name in sorted((COLOUR, _FROM_CPU, *(f"fpu {name}" for name, *_ in _DEFAULTS))):
        gdb.write(f"{name}:  {gdb.execute(f'show {name}', False, True)}")
