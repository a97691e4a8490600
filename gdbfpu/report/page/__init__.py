# SPDX-License-Identifier: GPL-2.0-or-later
"""An event file as a page for a browser, in one file that needs no network."""
