# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/security.md has every rule of the audit, and every CVE that its pages or code name."""

from __future__ import annotations

import re

from doc_pages import DOCS, ROOT, links

from gdbfpu.audit.rules import BLIND_SPOTS, RULES

TEXT = (DOCS / "security.md").read_text()
CVE = re.compile(r"CVE-\d{4}-\d{4,}")


def test_every_rule_is_there() -> None:
    assert {rule.name for rule in RULES} == {
        link.removeprefix("audit/").removesuffix(".md")
        for link in links(TEXT)
        if link.startswith("audit/")
    }


def test_every_cve_is_there_and_none_that_nothing_else_names() -> None:
    sources = [*(DOCS / "audit").glob("*.md"), *(ROOT / "gdbfpu" / "audit").glob("*.py")]
    known = {cve for path in sources for cve in CVE.findall(path.read_text())}
    assert set(CVE.findall(TEXT)) == known


def test_each_cve_stands_in_the_row_of_the_rule_whose_page_names_it() -> None:
    for row in re.findall(r"^\| (CVE-.+) \| (?:near )?\[(\w+)\]\(audit/", TEXT, re.MULTILINE):
        page = (DOCS / "audit" / f"{row[1]}.md").read_text()
        assert [cve for cve in CVE.findall(row[0]) if cve not in page] == []


def test_what_no_rule_decides_has_the_name_of_the_audit() -> None:
    for name, why in BLIND_SPOTS:
        if CVE.search(why):
            row = next(line for line in TEXT.splitlines() if f"| `{name}` |" in line)
            assert CVE.findall(row) == CVE.findall(why)
