# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu completion`."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.commands.parser import Options, Parser

__all__ = ("CompletionOptions", "completion_parser")


@dataclass(eq=False, repr=False)
class CompletionOptions(Options):
    """The option of `gdbfpu completion`: the name of a shell."""

    shell: str = ""


def completion_parser() -> Parser[CompletionOptions]:
    """Return the parser of `gdbfpu completion`."""
    parser = Parser(
        CompletionOptions,
        prog="gdbfpu completion",
        description="Print the script that lets a shell complete the words of `gdbfpu`. Save it:\n"
        "  bash  ~/.local/share/bash-completion/completions/gdbfpu\n"
        "  zsh   _gdbfpu, in a folder of your $fpath\n"
        "  fish  ~/.config/fish/completions/gdbfpu.fish\n"
        "Bash reads it if the package bash-completion is installed; else `source` it in\n"
        "~/.bashrc.",
    )
    parser.add("shell", choices=("bash", "zsh", "fish"), help="your shell")
    return parser
