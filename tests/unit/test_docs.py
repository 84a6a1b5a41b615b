"""Documentation that is generated or refers to files stays true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_page_of_parameters_is_the_one_that_the_code_gives():
    from smp_bringup.nodes.params import parameters_markdown

    assert (ROOT / "docs/parameters.md").read_text() == parameters_markdown()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_are_named_exist(page):
    """Paths in backticks below a known folder; names with placeholders aside."""
    for name in re.findall(r"`([\w./-]+\.(?:py|yaml|xml|sh))`", page.read_text()):
        if any(word in name for word in ("x.yaml", "NAME", "my_robot")) or "/" not in name:
            continue
        assert (ROOT / name).exists() or (ROOT / "src/smp_bringup" / name).exists(), name
