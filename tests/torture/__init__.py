# SPDX-License-Identifier: GPL-2.0-or-later
"""What must not break gdbfpu, and what gdbfpu must not break, many times: `make torture`."""
