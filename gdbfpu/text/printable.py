# SPDX-License-Identifier: GPL-2.0-or-later
"""Make names of tasks and files, which may hold any bytes, safe to print."""

from __future__ import annotations

__all__ = ("one_line", "printable")


def printable(comm: bytes) -> str:
    r"""Return `comm` (`char[TASK_COMM_LEN]`) as text that is safe on a terminal.

    Control bytes, invalid UTF-8 and spaces at either end become `\xNN`; other unprintable
    characters become `\uNNNN` or `\UNNNNNNNN`. A backslash is doubled, so that no two names look
    alike.
    """
    text = comm.split(b"\0", 1)[0].replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else _escaped(c) for c in text)
    left, right = len(shown) - len(shown.lstrip(" ")), len(shown.rstrip(" "))
    return r"\x20" * left + shown[left:right] + r"\x20" * (len(shown) - max(left, right))


def one_line(text: str) -> str:
    r"""Return `text` with each unprintable character as `\xNN`, `\uNNNN` or `\n`.

    A file name on a command line may hold a newline, commands to the terminal, or bytes that are
    not UTF-8 (as surrogates, see os.fsdecode).
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x80:  # \x80 and above stand for bytes that are not UTF-8
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
