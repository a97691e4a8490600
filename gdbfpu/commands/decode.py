# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu decode`: what an image of the FPU's state holds."""

from __future__ import annotations

import json
from pathlib import Path

from gdbfpu.commands.decode_options import DecodeOptions
from gdbfpu.commands.streams import standard_input
from gdbfpu.commands.values import STANDARD_INPUT
from gdbfpu.errors import UsageError
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("decode_text",)

_MAX_BYTES = 1 << 20  # far more than any XSAVE area; not a disk that was named by mistake


def decode_text(options: DecodeOptions) -> str:
    """Return what the image holds, as a table or JSON; raise GdbFpuError."""
    image = decode(_read(options.file), format=options.image)
    if options.format == "json":
        return json.dumps(to_json(image, options.components))
    return render_table(image, options.components)


def _read(file: Path) -> bytes:
    """Return the bytes of `file`; raise UsageError."""
    name = "standard input" if file == STANDARD_INPUT else str(file)
    try:
        if file == STANDARD_INPUT:
            data = standard_input().read(_MAX_BYTES + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{name} has more than {_MAX_BYTES} bytes: no image of the FPU's state")
    return data
