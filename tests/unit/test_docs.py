"""Documentation that is generated or refers to files stays true."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")])
names = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


@pytest.fixture
def study_pages(monkeypatch):
    """Import tools/study_pages.py."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import study_pages

    return study_pages


def anchors(page):
    """Return what a link into a page may end with, as GitHub makes it of the page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    heads = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head) for head in re.findall(r"^#+ (.*)$", text, re.M))
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_the_page_of_parameters_is_the_one_that_the_code_gives():
    from smp_bringup.nodes.params import parameters_markdown

    assert (ROOT / "docs/parameters.md").read_text() == parameters_markdown()


def test_the_pages_of_studies_are_those_that_their_results_give(study_pages):
    wanted = study_pages.pages()
    assert [str(path) for path, text in wanted.items() if path.read_text() != text] == []  # `make docs` writes them
    assert set((ROOT / "docs/studies").iterdir()) <= set(wanted)


def test_a_difference_over_training_seeds_is_paired_only_where_rows_run_the_same_models(study_pages):
    from study_tables import difference

    def row(rates, policy="smp"):
        models = {
            "policy": policy,
            "set": [],
            "start": "",
            "only_router": False,
            "eyes": "",
            "train_tasks": [],
            "limit": None,
        }
        return {**models, "training_seeds": dict(enumerate(rates))}

    rates, lower = [0.5, 0.6, 0.7], [0.4, 0.5, 0.6]
    assert difference(row(rates), row(lower)) == pytest.approx((0.1, 0.0), abs=1e-9)
    assert difference(row(rates), row(lower, "dibm")) == pytest.approx((0.1, 2.776 * 0.1 * (2 / 3) ** 0.5), abs=1e-9)


@pytest.mark.parametrize(
    ("model", "results"),
    [
        ("smp_aloha", ("smp", "smp_no_experts", "smp_fresh", "smp_fresh_no_experts")),
        ("sparse_aloha", ("eyes", "eyes_no_experts", "eyes_fresh", "eyes_fresh_smp", "eyes_regression")),
    ],
)
def test_the_card_and_the_demo_of_a_shipped_policy_tell_what_it_solves_without_its_experts(model, results):
    from smp_bringup.cli.demo import _remark

    remark = _remark(ROOT / "models" / model)
    for name in (f"camera_{result}" for result in results):
        every = json.loads((ROOT / f"docs/results/{name}.json").read_text())["all"]
        assert f"{every['successes']}/{every['episodes']}" in remark


@names
def test_links_and_pictures_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if not target.startswith("http"):
            path = page.parent / target if target else page
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@names
def test_files_that_are_named_exist(page):
    """Paths in backticks below a known folder; names with placeholders aside."""
    for name in re.findall(r"`([\w./-]+\.(?:py|yaml|xml|sh))`", page.read_text()):
        if any(word in name for word in ("x.yaml", "NAME", "my_robot")) or "/" not in name:
            continue
        assert (ROOT / name).exists() or (ROOT / "src/smp_bringup" / name).exists(), name
