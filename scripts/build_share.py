# SPDX-License-Identifier: GPL-2.0-or-later
"""What hatchling runs when it builds a wheel: add manual pages and completion, from the parsers."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMPLETION = {
    "bash": "bash-completion/completions/gdbfpu",
    "zsh": "zsh/site-functions/_gdbfpu",
    "fish": "fish/vendor_completions.d/gdbfpu.fish",
}


class Share(BuildHookInterface):
    """Put the files into the wheel's folder `share`, where programs look for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the files, and tell hatchling of them."""
        self.folder = TemporaryDirectory()
        sys.path.insert(0, self.root)
        for name, text in _texts().items():
            file = Path(self.folder.name) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            build_data["shared_data"][str(file)] = f"share/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the files: they are in the wheel."""
        self.folder.cleanup()


def _texts() -> dict[str, str]:
    """Return the texts of the files by their names in `share`."""
    from gdbfpu.commands.completion_script import completion_script
    from gdbfpu.commands.man_page import man_pages

    # https://reproducible-builds.org/docs/source-date-epoch/
    now = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    pages = man_pages(time.strftime("%Y-%m-%d", now))
    scripts = {name: completion_script(shell) for shell, name in _COMPLETION.items()}
    return {**{f"man/man1/{name}": text for name, text in pages.items()}, **scripts}
