# SPDX-License-Identifier: GPL-2.0-or-later
"""The house's fences, held by walking the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gdbfpu"

FLOORS: tuple[dict[str, str], ...] = (
    {"": "errors private ranges target"},
    {
        "text": """
            counted csv_lines fit json_text names printable progress screen short table
        """,
    },
    {
        "layouts": """
            btf cache compression debuginfod dies dwarf elf kinds mentions needs part
            search separate sources split structs types units
        """,
        "probes": """
            asking blocklist catalogue gadget jobs resume returns stepping window
        """,
        "xsave": """
            area components.amx components.apx components.avx components.avx512
            components.cet components.float80 components.mpx components.parts
            components.pkru components.sse components.supervisor components.views
            components.x87 core cpuid cpus decode defects differences features formats
            image legacy live pieces places sigframe sparse text
        """,
    },
    {
        "kernel": """
            askable bounded callpath cpubugs cpuinfo fields identity kgdb pages percpu
            running signals stubs tasks thread_flags usermem vmcore
        """,
    },
    {
        "fpu": """
            evidence facts looks model qemu_registers registers state state_text xstate
        """,
    },
    {
        "audit": """
            bytemap control engine finding fpstate frame frame_diff frame_view header
            inject kvm legacy microarch ownership paths record returns rule rules
            snapshot stale text watch
        """,
        "fast": """
            assembler clock cpus journal layout loan options patching places recorder
            records refusals storing trampoline
        """,
    },
    {
        "trace": """
            entries event_file hit_text kept live_text passes rates task_totals totals
            tracer users
        """,
    },
    {
        "report": """
            comparison event_filter event_hits event_images event_lines event_values
            folded from_events headline hit_page hits_csv markdown page.flame page.hits
            page.images page.render perfetto report sorts text whole_hit
        """,
    },
    {
        "commands": """
            audit audit_options compare compare_options completion completion_options
            completion_script decode decode_options dependencies doctor_options
            dump_options events export export_options fast_options filter_options
            from_cpu_options gdb_init info info_options install_gdb install_options
            layout layout_options man_page model names output parser parsers report
            report_files_options report_options shell_parser show show_options state
            state_options streams task_options trace_options values
        """,
    },
    {
        "doctor": """
            asking attached debugger device distributions finding gdb_checks gdb_program
            journals
            kernel line shell stub text vmlinux
        """,
    },
    {
        "dbg": """
            abandoned api ask_cpu attached audit_command borrowed breakpoints commands
            conditions core_file counters debug_files declared doctor_command
            exit_status fast_begin fast_full fast_install fast_memory fast_trace
            fpu_registers from_cpu functions gdb_types interruptible kernel_text
            language live load one_step overview packets parameters placing planting
            point printers progress scroll_area session settings settling signal_frame
            stops symbols target task_words terminal threads trace_command tui_window
            waiting
        """,
        "kdump": """
            apart commands pages target vmcoreinfo
        """,
    },
    {"": "__main__ cli"},
)
"""The floors of the house from the bottom up: each folder on a floor, with all modules in it.

A module may import its own folder and the floors below, nothing else. `""` is the package itself.
"""

WHERE = {
    f"{folder}.{module}".lstrip("."): (number, folder)
    for number, floor in enumerate(FLOORS)
    for folder, modules in floor.items()
    for module in modules.split()
}
"""The floor and the folder of each module, by its name within the package."""

FENCES = {
    "gdb": "dbg/",
    "elftools": "layouts/dwarf.py",
    "capstone": "probes/",
    "drgn": "kdump/target.py",
    "shtab": "commands/completion_script.py",
    "zstandard": "layouts/compression.py",
    "jinja2": "report/page/render.py",
}
"""Packages that one place may import, a module or a folder of the package."""

LAZY = {"drgn", "elftools", "jinja2", "pygments", "shtab", "tabulate", "wcwidth", "zstandard"}
"""Packages that are imported when they are first needed, within a function."""

BOUNDARIES = {
    "dbg/interruptible.py": {"_guarded"},
    "dbg/declared.py": {"invoke"},
    "dbg/functions.py": {"invoke"},
    "doctor/finding.py": {"_guarded"},
    "kdump/apart.py": {"_answer"},
    "kdump/target.py": {"_open"},
}
"""The functions that may catch everything: GDB calls a breakpoint's stop (`_guarded` is its part)
and the invoke of a command or a function, and an error must not leave them; a check of the doctor
runs where things are broken, and the others have to follow; an error in the process that reads a
dump is raised in the one that asks; drgn raises Exception itself for a dump
that it cannot read."""


def python_files(*folders: str) -> list[Path]:
    """All Python sources below the folders, with scripts that have no suffix."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for path in (ROOT / "scripts").iterdir() if "scripts" in folders else ():
        if path.is_file() and path.read_text().startswith("#!/usr/bin/env python3"):
            files.append(path)
    return sorted(files)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


MODULES = {path.relative_to(PACKAGE).as_posix(): parse(path) for path in python_files("gdbfpu")}
PRODUCT = {
    path.relative_to(ROOT).as_posix(): parse(path)
    for path in python_files("gdbfpu", "qemu", "scripts")
}


def module_name(file: str) -> str:
    """`components/avx.py` is `components.avx`, `dbg/__init__.py` `dbg`, `__init__.py` ``."""
    parts = file.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


UNIT_TESTS = list((ROOT / "tests/unit").rglob("test_*.py"))
NAMES = {module_name(file): file for file in MODULES}


def imports(tree: ast.AST) -> Iterator[str]:
    """The full names of all that a tree imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(file: str) -> set[str]:
    """The modules of the package that one of its modules imports."""
    found = set()
    for name in imports(MODULES[file]):
        if name.split(".")[0] == "gdbfpu":
            inner = name.partition(".")[2]
            while inner not in NAMES:
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


def room(module: str) -> tuple[int, str]:
    """The floor and the folder of a module; a folder's own file is on its folder's floor."""
    inside = (place for name, place in WHERE.items() if name.startswith(f"{module}."))
    return WHERE.get(module) or next(inside)


def everywhere(files=MODULES):
    """Turn a check of one file into a test of all of them."""

    def test_of(check):
        def test():
            failed = {}
            for file in files:
                try:
                    check(file)
                except AssertionError as error:
                    failed[file] = str(error)
            assert failed == {}

        test.__doc__ = check.__doc__
        return test

    return test_of


def test_the_walk_sees_the_package():
    """The tests below would pass on nothing at all."""
    assert {"errors.py", "dbg/target.py", "xsave/components/avx.py"} <= set(MODULES)
    assert {"scripts/setup", "scripts/install", "qemu/vm.py"} <= set(PRODUCT)
    assert {"kernel.tasks", "trace.event_file", "trace.totals"} <= own_imports("trace/tracer.py")
    assert own_imports("dbg/attached.py") >= {"dbg.target", "fpu.model"}
    assert "" in own_imports("trace/event_file.py")
    assert room("xsave.components.avx") == room("xsave.components") == room("xsave.area")


def test_each_module_is_on_one_floor():
    """A new module is written into FLOORS, and a floor lists no module that is gone."""
    folders = {
        name for name in NAMES if MODULES[NAMES[name]] and NAMES[name].endswith("__init__.py")
    }
    listed = [m for floor in FLOORS for modules in floor.values() for m in modules.split()]
    assert len(WHERE) == len(listed)
    assert set(WHERE) == set(NAMES) - folders


@everywhere()
def test_fenced_packages(file):
    for name in imports(MODULES[file]):
        place = FENCES.get(name.split(".")[0])
        assert place is None or file.startswith(place), f"{file} imports {name}"


@everywhere()
def test_other_packages(file):
    allowed = {*sys.stdlib_module_names, "gdbfpu", *FENCES, *LAZY}
    foreign = {name for name in imports(MODULES[file]) if name.split(".")[0] not in allowed}
    assert foreign == set()


@everywhere()
def test_lazy_packages_are_imported_within_functions(file):
    at_once = [
        node for node in MODULES[file].body if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = {name.split(".")[0] for node in at_once for name in imports(node)}
    assert names & LAZY == set()


@everywhere()
def test_imports_go_downward(file):
    name = module_name(file)
    floor, folder = room(name) if name else (len(FLOORS), "")
    others = {other: room(other) for other in own_imports(file) if other}
    assert {o: r for o, r in others.items() if r[1] != folder and r[0] >= floor} == {}


def test_the_package_itself_imports_when_it_is_asked():
    """Its own file gives GDB's Python what is above; everybody else imports it first of all."""
    at_once = [
        n for n in MODULES["__init__.py"].body if isinstance(n, (ast.Import, ast.ImportFrom))
    ]
    names = {name.split(".")[0] for node in at_once for name in imports(node)}
    assert names == {"__future__", "sys", "typing"}


def circle(arrows: dict[str, set[str]]) -> str:
    """A way along the arrows that comes back to where it was, or nothing."""
    done: set[str] = set()

    def visit(place: str, way: tuple[str, ...]) -> str:
        if place in way:
            return " -> ".join((*way, place))
        found = next((c for to in arrows[place] - done if (c := visit(to, (*way, place)))), "")
        done.add(place)
        return found

    return next((found for place in arrows if (found := visit(place, ()))), "")


def test_no_module_imports_in_a_circle():
    assert circle({name: own_imports(NAMES[name]) - {name, ""} for name in NAMES}) == ""


def test_no_folder_imports_in_a_circle():
    """A folder here is what the floors list; the modules of the package itself are one each."""
    arrows: dict[str, set[str]] = {}
    for name in filter(None, NAMES):
        own = room(name)[1] or name
        to = {room(other)[1] or other for other in own_imports(NAMES[name]) if other}
        arrows.setdefault(own, set()).update(to - {own})
    assert circle(arrows) == ""


def test_circles_are_seen():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == ""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == "a -> b -> c -> b"


def test_unit_tests_mirror_the_folders():
    """Each folder of tests of the package is named as the package's own."""
    other = {"docs", "harness", "qemu", "scripts"}
    folders = {p.parent.relative_to(ROOT / "tests/unit") for p in UNIT_TESTS}
    assert len(folders) > 10
    packages = {Path(file).parent for file in MODULES}
    assert folders - packages == {Path(name) for name in other}


# --- names and docstrings


def exported(file: str) -> tuple[str, ...]:
    for node in MODULES[file].body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == [
            "__all__"
        ]:
            assert isinstance(node.value, ast.Tuple), "__all__ is not a tuple"
            return ast.literal_eval(node.value)
    raise AssertionError(f"{file} has no __all__")


def defined(file: str) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in MODULES[file].body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            named = (each for target in node.targets for each in ast.walk(target))
            found.update((n.id, node) for n in named if isinstance(n, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


WITH_NAMES = [file for file in MODULES if file.split("/")[-1] not in ("__init__.py", "__main__.py")]


@everywhere(WITH_NAMES)
def test_all_is_a_sorted_tuple_of_what_is_there(file):
    """Sorted as ruff sorts it: constants, then classes, then functions."""
    names = exported(file)
    kinds = sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert list(names) == kinds
    assert set(names) <= set(defined(file))
    assert not [name for name in names if name.startswith("_")]


@everywhere(WITH_NAMES)
def test_what_is_not_exported_is_private(file):
    public = {name for name in defined(file) if not name.startswith("_")}
    assert public - set(exported(file)) == set()


@everywhere()
def test_modules_have_docstrings(file):
    assert ast.get_docstring(MODULES[file])


@everywhere()
def test_public_functions_and_classes_have_docstrings(file):
    missing = []
    for node in MODULES[file].body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            missing += [node.name] if not ast.get_docstring(node) else []
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                public = isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
                if public and not ast.get_docstring(inner):
                    missing.append(f"{node.name}.{inner.name}")
    assert missing == []


@everywhere(WITH_NAMES)
def test_public_constants_are_documented(file):
    """By a string right behind them, or behind the last of several in a row."""
    body, missing = MODULES[file].body, []
    for i, node in enumerate(body):
        names = [name for name, where in defined(file).items() if where is node]
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or "__all__" in names:
            continue
        rest = body[i + 1 :]
        while rest and isinstance(rest[0], (ast.Assign, ast.AnnAssign)):
            rest = rest[1:]
        told = rest and isinstance(rest[0], ast.Expr) and isinstance(rest[0].value, ast.Constant)
        missing += [name for name in names if name in exported(file) and not told]
    assert missing == []


# --- bound by type


def told_by_name(tree: ast.AST) -> Iterator[str]:
    """The comparisons of what something is called, or of what people read, with a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            names = {side.attr for side in sides if isinstance(side, ast.Attribute)}
            words = [each for side in sides for each in ast.walk(side)]
            texts = [w for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)]
            if names & {"stub", "name", "purpose"} and texts:
                yield ast.unparse(node)


@everywhere()
def test_nothing_is_told_by_a_name_compared_with_a_text(file):
    """A stub says what it can do, a probe what its job is."""
    assert list(told_by_name(MODULES[file])) == []


def test_comparisons_of_names_are_seen():
    source = """
target.stub == "kgdb"
"qemu" != a.b.stub.name
probe.purpose in ("a", "b")
name == "kgdb"
a.name == b.name
len(a.name) > 5
"""
    assert len(list(told_by_name(ast.parse(source)))) == 3


# --- size and manners, of all that is not a test


@everywhere(PRODUCT)
def test_modules_are_under_300_lines(file):
    assert len((ROOT / file).read_text().splitlines()) < 300


@everywhere(PRODUCT)
def test_functions_are_no_longer_than_40_lines(file):
    functions = [n for n in ast.walk(PRODUCT[file]) if isinstance(n, ast.FunctionDef)]
    lengths = {f.name: f.end_lineno - f.lineno + 1 for f in functions}
    assert {name: length for name, length in lengths.items() if length > 40} == {}


def broad_excepts(tree: ast.AST, inside: str = "") -> Iterator[str]:
    """The names of the functions that keep Exception, BaseException or everything."""
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.FunctionDef) else inside
        if isinstance(node, ast.ExceptHandler):
            caught = ast.walk(node.type) if node.type else ()
            names = {getattr(each, "id", getattr(each, "attr", "")) for each in caught}
            again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if (node.type is None or names & {"Exception", "BaseException"}) and not again:
                yield name
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "suppress":
            names = {getattr(each, "id", "") for each in node.args}
            if names & {"Exception", "BaseException"}:
                yield name
        yield from broad_excepts(node, name)


@everywhere(PRODUCT)
def test_broad_excepts_stand_at_the_boundaries_only(file):
    allowed = BOUNDARIES.get(file.removeprefix("gdbfpu/"), set())
    assert set(broad_excepts(PRODUCT[file])) <= allowed


def test_broad_excepts_are_seen():
    source = """
def a():
    try: pass
    except: pass
def b():
    try: pass
    except (KeyError, Exception): pass
def c():
    with suppress(BaseException): pass
def d():
    try: pass
    except ValueError: pass
def e():
    try: pass
    except BaseException:
        print()
        raise
"""
    assert list(broad_excepts(ast.parse(source))) == ["a", "b", "c"]


@everywhere(PRODUCT)
def test_annotations_are_not_evaluated(file):
    text = (ROOT / file).read_text()
    functions = [node for node in PRODUCT[file].body if isinstance(node, ast.FunctionDef)]
    assert not functions or "\nfrom __future__ import annotations\n" in text


SOURCES = sorted(
    {
        *python_files("gdbfpu", "qemu", "scripts", "tests"),
        *(p for suffix in ("c", "h", "toml", "S") for p in (ROOT / "qemu").rglob(f"*.{suffix}")),
        *(p for suffix in ("c", "h", "S") for p in (ROOT / "tests").rglob(f"*.{suffix}")),
        *(p for p in (ROOT / "scripts").iterdir() if p.is_file()),
        *(p for p in (ROOT / "qemu" / "guest").iterdir() if p.is_file() and p.suffix != ".md"),
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
    }
)


def test_licence_is_named_on_top():
    assert len(SOURCES) > 100
    heads = {path: path.read_text().splitlines()[:2] for path in SOURCES}
    line = "SPDX-License-Identifier: GPL-2.0-or-later"
    assert [str(path) for path, head in heads.items() if line not in "".join(head)] == []


FORBIDDEN = {
    "ends processes by name": ("pki" + "ll", "killa" + "ll"),
    "names a registry's host": ("deb." + "debian.org", "py" + "pi.org", "npm" + "js.org"),
    "names the machine it was written on": ("/wo" + "rk/", "/tmp/" + "proto"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_forbidden_is_said(what):
    texts = {
        path: path.read_bytes()
        for path in (
            *SOURCES,
            *(p for p in ROOT.glob("docs/**/*") if p.is_file()),
            *ROOT.glob("*.md"),
        )
    }
    words = [word.encode() for word in FORBIDDEN[what]]
    said = [str(path) for path, text in texts.items() if any(word in text for word in words)]
    assert said == []
