# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure gdbfpu beside its rivals: one table, the same as JSON, and two pictures."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

from qemu.errors import HarnessError
from tests.bench import text
from tests.bench.charts import PICTURES, draw, place
from tests.bench.machine import machine
from tests.bench.rows import Row

PARTS = ("layouts", "wire", "fast", "events", "audit")
"""The parts, each a module of this package, in the order in which they run."""

SCHEMA = 1
"""The version of the JSON file's form."""

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, or quote what an earlier run measured; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {min(unknown)!r}; there are {', '.join(PARTS)}")
    try:
        if options.quote:
            quote(options.quote, options.page)
        else:
            measure(options.parts or PARTS, options.out, options.quick)
    except (OSError, ValueError, SubprocessError, HarnessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART",
        help=f"what to measure, of {', '.join(PARTS)} (default: all)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json", metavar="FILE",
        help="where the JSON goes, the pictures beside it (default: build/bench.json)")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
        help="run everything once, as small as can be: the figures do not count")  # fmt: skip
    parser.add_argument("--quote", type=Path, metavar="FILE",
        help="measure nothing: have docs/performance.md quote this JSON file")  # fmt: skip
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE",
        help="the page that --quote rewrites")  # fmt: skip
    return parser


def measure(parts: Sequence[str], out: Path, quick: bool) -> None:
    """Run `parts`; print the table, write the JSON file `out` and draw the pictures beside it.

    After each part the file holds what there is, so that a part that fails costs only itself.
    """
    missing = [part for part in parts if not importlib.util.find_spec(f"tests.bench.{part}")]
    if missing:
        raise ValueError(f"there is no tests/bench/{missing[0]}.py")
    out.parent.mkdir(parents=True, exist_ok=True)
    facts, rows = machine(), list[Row]()
    for part in parts:
        print(f"bench: {part}", file=sys.stderr, flush=True)
        module = importlib.import_module(f"tests.bench.{part}")
        rows += (Row.from_dict(row) for row in module.rows(quick=quick))
        _save(out, rows, facts, quick)
    drawn = draw(rows, out)
    print(text.report(rows, facts))
    print(f"\nwritten: {' '.join(map(str, [out, *drawn]))}")


def _save(out: Path, rows: Sequence[Row], facts: dict[str, str], quick: bool) -> None:
    data = {
        "schema": SCHEMA,
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "quick": quick,
        "machine": facts,
        "rows": [row.to_dict() for row in rows],
    }
    out.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def quote(source: Path, page: Path) -> None:
    """Have `page` quote the figures in the JSON file `source`, with its pictures beside it."""
    data: Any = json.loads(source.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f"{source} has not schema {SCHEMA}")
    if data["quick"]:
        raise ValueError(f"{source} is of a --quick run, whose figures do not count")
    rows = [Row.from_dict(row) for row in data["rows"]]
    pictures = {}
    for picture, shown in PICTURES.items():
        drawn, copy = place(source, picture), page.with_name(f"bench-{picture}.svg")
        copy.unlink(missing_ok=True)
        if drawn.is_file():
            shutil.copyfile(drawn, copy)
            pictures[copy.name] = shown
    block = text.markdown(rows, data, pictures)
    page.write_text(text.quoted(page.read_text(encoding="utf-8"), block), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
