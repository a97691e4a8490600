# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzz one target: `python -m tests.torture.fuzz.child NAME RUNS SEED FOLDER`.

Or have it read one file: `python -m tests.torture.fuzz.child NAME FILE`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from tests.torture.fuzz.judge import Judge, limit, verdict
from tests.torture.fuzz.target import Target, load

_OURS = 0.5  # of the mutations; the others are libFuzzer's


def fuzz(name: str, runs: int, seed: int, folder: Path) -> None:
    """Fuzz `name` until `folder`/progress has `runs` inputs. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["gdbfpu"], enable_loader_override=False):
        target = load(name)
    judge = Judge(target, folder, runs)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < _OURS:
            return target.hurt(bytearray(data), random)[:most]
        return bytes(atheris.Mutate(data, most))

    options = [f"-seed={seed}", f"-runs={runs}", f"-max_len={target.largest}", "-len_control=0"]
    options += [f"-handle_{name}=0" for name in ("segv", "bus", "abrt", "ill", "fpe")]
    options += ["-rss_limit_mb=0", "-timeout=600", "-verbosity=0", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], *options, str(folder / "seeds")], judge.take, custom_mutator=mutate)
    atheris.Fuzz()


def replay(target: Target, file: Path) -> int:
    """Have `target` read `file`, without atheris; print what fails, and return the status."""
    limit()
    said = verdict(target, file.read_bytes())[1]
    print(said or "nothing fails")
    return int(bool(said))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.exit(replay(load(sys.argv[1]), Path(sys.argv[2])))
    fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
