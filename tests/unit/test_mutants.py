"""The planted faults of tools/mutants.yaml stay applicable: each has its place, once, and the file still parses."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tool():
    spec = importlib.util.spec_from_file_location("mutate", ROOT / "tools/mutate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FOUND = tool().read()


def test_every_room_that_is_mutated_has_its_tests():
    assert {mutant.room for mutant in FOUND.mutants} == {
        "policy",
        "training",
        "action",
        "safety",
        "chaos",
        "sync",
        "observation",
        "bag",
        "commission",
        "description",
    }
    for tests in FOUND.tests.values():
        assert all((ROOT / name).is_file() for name in tests)
    assert len({mutant.name for mutant in FOUND.mutants}) == len(FOUND.mutants) > 90


@pytest.mark.parametrize("mutant", FOUND.mutants, ids=lambda mutant: mutant.name)
def test_a_planted_fault_still_has_its_place(mutant):
    ast.parse(mutant.planted(ROOT))
