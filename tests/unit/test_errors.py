import pytest

from smp_bringup.errors import UnknownNameError, one_line
from smp_bringup.registry import Registry


def test_foreign_text_is_brought_on_one_line():
    assert one_line("a\nb\x1b[31m") == "a\\nb\\x1b[31m"


def test_an_unknown_name_lists_the_known_ones():
    registry: Registry[int] = Registry("gate")
    registry.register("sticky")(1)
    assert registry["sticky"] == 1
    with pytest.raises(UnknownNameError, match=r"unknown gate 'stiky' \(did you mean 'sticky'\?\); known: sticky"):
        registry["stiky"]
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("sticky")(2)
