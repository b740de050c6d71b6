"""The probe names what is missing and what to do, without loading anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tokenway.local.probe import REQUIRED_FLAGS, Machine, probe

GOOD = Machine(
    system="linux",
    architecture="x86_64",
    cpuinfo="processor\t: 0\nflags\t\t: fpu sse4_2 avx2 fma f16c bmi2\n",
    find_library=lambda name: f"lib{name}.so.1",
)


def test_a_suitable_machine_lacks_nothing() -> None:
    """A processor with the flags and the library passes."""
    assert probe(GOOD) == []


@pytest.mark.parametrize("flag", REQUIRED_FLAGS)
def test_each_flag_is_required(flag: str) -> None:
    """A processor without one of them is named with what it lacks."""
    (sentence,) = probe(replace(GOOD, cpuinfo=GOOD.cpuinfo.replace(f" {flag}", "")))
    assert f"lacks {flag}," in sentence
    assert "configure a provider" in sentence


def test_flags_are_whole_words() -> None:
    """`avx2` is not found inside the name of another flag."""
    (sentence,) = probe(replace(GOOD, cpuinfo="flags : xavx2x fma f16c bmi2\n"))
    assert "avx2" in sentence


def test_an_unknown_processor_is_tried() -> None:
    """Without the kernel's list nothing is claimed to be missing."""
    assert probe(replace(GOOD, cpuinfo="")) == []


def test_arm_needs_no_flags() -> None:
    """The flags are those of x86."""
    assert probe(replace(GOOD, architecture="aarch64", cpuinfo="")) == []


def test_a_missing_library_comes_with_the_command() -> None:
    """The OpenMP library is a system package on slim images."""
    (sentence,) = probe(replace(GOOD, find_library=lambda _: None))
    assert "libgomp.so.1" in sentence
    assert "apt-get install libgomp1" in sentence


def test_macos_brings_its_own_library() -> None:
    """There only the architecture counts."""
    machine = Machine(system="darwin", architecture="arm64", cpuinfo="", find_library=lambda _: None)
    assert probe(machine) == []


@pytest.mark.parametrize(
    ("machine", "word"),
    [
        (replace(GOOD, system="win32"), "win32"),
        (replace(GOOD, architecture="riscv64"), "riscv64"),
        (replace(GOOD, is_musl=True), "musl"),
    ],
)
def test_platforms_without_a_build_are_named(machine: Machine, word: str) -> None:
    """The sentence says which platform has no build."""
    (sentence,) = probe(machine)
    assert word in sentence


def test_this_machine_can_be_asked() -> None:
    """The real probe gives a list of sentences, whatever the machine."""
    machine = Machine.this()
    assert machine.architecture == machine.architecture.lower()
    assert all(sentence.endswith(".") for sentence in probe(machine))
