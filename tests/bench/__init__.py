# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench`: what gdbfpu costs beside its rivals, measured in one run. No test of time.

Each part is a module with `rows(quick: bool = False) -> list[dict]`, the dicts as
`tests.bench.rows.Row` has its fields. With `quick`, one run of the smallest size that goes all the
way: the figures do not count then. What a part has to tell meanwhile it prints on standard error.
"""
