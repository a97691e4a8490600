# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of gdbfpu: what can be told without a debugger, of images, dumps and vmlinux.

Each command's modules are imported when it runs: together they take longer than most commands.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gdbfpu.errors import GdbFpuError, UsageError
from gdbfpu.xsave.formats import FORMATS

__all__ = ("main",)

_OF_DUMPS = {
    "report": "list the tasks that use the FPU, from a kdump file or an event file",
    "state": "show a task's FPU state, from a kdump file",
    "info": "show how the kernel handles the FPU, from a kdump file",
    "audit": "check the FPU memory of one task or all, from a kdump file",
}
_MAX_BYTES = 1 << 20  # far more than any XSAVE area; not a disk that was named by mistake


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `arguments` (sys.argv's by default); return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        of_dump = bool(words) and words[0] in _OF_DUMPS
        text, status = _of_dump(*words) if of_dump else (_of_file(words), 0)
        if text:
            print(text, flush=True)
        return status
    except GdbFpuError as error:
        print(f"gdbfpu: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has enough: `gdbfpu decode FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gdbfpu", description="Decode x86 FPU state, find it in dumps and kernels' types."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("decode", help="show what an image of the FPU's state holds")
    command.add_argument("file", metavar="FILE", help="the image's bytes; - for standard input")
    command.add_argument(
        "--image", choices=("auto", *FORMATS), default="auto", help="the format (default: auto)"
    )
    command.add_argument(
        "--component",
        metavar="NAME",
        action="append",
        help="show only this component (x87, SSE, AVX, ...); may be given again",
    )
    command.add_argument(
        "--format", choices=("table", "json"), default="table", help="default: table"
    )
    _add_layout(commands.add_parser("layout", help="show where the members of kernel types are"))
    for name, text in _OF_DUMPS.items():  # `answer` parses theirs
        commands.add_parser(name, help=text)
    return parser


def _add_layout(command: argparse.ArgumentParser) -> None:
    command.description = "Show the layouts of the types that gdbfpu reads in a kernel."
    command.add_argument("file", metavar="VMLINUX", help="the kernel, with DWARF or BTF")
    command.add_argument(
        "--format", choices=("table", "json"), default="table", help="default: table"
    )


def _of_dump(command: str, *words: str) -> tuple[str, int]:
    from gdbfpu.commands.parser import HelpShown
    from gdbfpu.kdump.commands import answer

    try:
        return answer(command, words)
    except HelpShown as shown:
        return str(shown), 0


def _of_file(words: Sequence[str]) -> str:
    options = _parser().parse_args(words)
    return _layout(options) if options.command == "layout" else _decode(options)


def _layout(options: argparse.Namespace) -> str:
    from gdbfpu.commands.layout import layout_text

    return layout_text(Path(options.file), options.format == "json")


def _decode(options: argparse.Namespace) -> str:
    from gdbfpu.xsave.decode import decode
    from gdbfpu.xsave.text import render_table, to_json

    image = decode(_read(options.file), format=options.image)
    if options.format == "json":
        return json.dumps(to_json(image, options.component))
    return render_table(image, options.component)


def _read(name: str) -> bytes:
    """Return the bytes of file `name`, `-` for standard input; raise UsageError."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{name} has more than {_MAX_BYTES} bytes: no image of the FPU's state")
    return data
