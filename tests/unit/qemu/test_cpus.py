# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU model that a kernel is booted on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from qemu import catalogue, cpus
from qemu.errors import GivenError, SetupError
from qemu.kernels import Kernel

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def kernel(tmp_path):
    """A function that makes a kernel with one function in its symbol table."""

    def make(name: str, function: str) -> Kernel:
        source = tmp_path / "k.c"
        source.write_text(f"static void __attribute__((used)) {function}(void) {{}}\n")
        argv = ["gcc", "-c", str(source), "-o", str(tmp_path / "vmlinux")]
        subprocess.run(argv, check=True)
        return Kernel(name, tmp_path / "vmlinux", tmp_path / "bzImage", "9.8")

    return make


def test_kernel_that_can_switch_lazily_gets_the_model_on_which_it_does(kernel):
    lazy = kernel("kgdb-4.4", "eager_fpu_setup")
    assert cpus.model_for(lazy) == "max,-mpx,-xsaveopt"


def test_kernel_of_the_series_that_cannot_gets_the_first(kernel):
    assert cpus.model_for(kernel("kgdb-4.4", "fpu__init_system")) == "max"


@pytest.mark.parametrize(
    ("name", "model"), [("kgdb-5.10", "max"), ("debian-6.1", "max,-cx16"), ("of-my-own", "max")]
)
def test_other_kernels_get_the_first_of_the_catalogue(tmp_path, name, model):
    kernel = Kernel(name, tmp_path / "absent", tmp_path / "absent", "9.8")
    assert cpus.model_for(kernel) == model


def test_person_s_model_goes_before(monkeypatch, kernel):
    monkeypatch.setenv("CPU", "Nehalem,-popcnt")
    for name in ("kgdb-4.4", "kgdb-5.10", "of-my-own"):
        assert cpus.model_for(kernel(name, "eager_fpu_setup")) == "Nehalem,-popcnt"
    assert cpus.models(catalogue.load()["kgdb-4.4"]) == ("Nehalem,-popcnt",)


def test_catalogue_s_models_are_tried_where_none_is_named():
    entry = catalogue.load()["kgdb-4.4"]
    assert cpus.models(entry) == entry.cpus
    assert cpus.models(None) == ("max",)


@pytest.mark.parametrize("model", ["no-such-model", "max,-nosuchfeature"])
def test_model_that_qemu_has_not_is_one_clear_line(monkeypatch, kernel, model):
    assert shutil.which(cpus.QEMU), "QEMU is not installed: run make setup"
    monkeypatch.setenv("CPU", model)
    with pytest.raises(GivenError) as error:
        cpus.model_for(kernel("kgdb-4.4", "eager_fpu_setup"))
    assert str(error.value).startswith(f"CPU={model}: qemu-system-x86_64: ")
    assert "\n" not in str(error.value)


def test_vmlinux_that_is_no_elf_file_is_one_clear_line(tmp_path):
    (tmp_path / "vmlinux").write_text("no")
    with pytest.raises(SetupError, match=r"vmlinux cannot be read: "):
        cpus.switches_lazily(tmp_path / "vmlinux")
    with pytest.raises(SetupError, match=r"absent cannot be read: "):
        cpus.switches_lazily(Path(tmp_path, "absent"))
