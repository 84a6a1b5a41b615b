"""What a report page consists of, as data; the template alone knows how it looks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from smp_bringup.output import write_text

PALETTE = Path(__file__).parent / "palette.css"
"""Colours of every page, in light and dark."""


@dataclass(frozen=True)
class Words:
    """A paragraph, or a list of them."""

    lines: Sequence[str]
    kind: str = field(default="words", init=False)


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first cell of a row names it."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Figure:
    """A drawing that takes the colour of the page's text."""

    svg: str
    """From `page.pictures.svg`: markup of ours, which the template does not escape."""
    text: str
    """What is to be seen, for who reads and for who does not see."""
    legend: Sequence[tuple[str, str]] = ()
    """Colours, and what each of them is."""
    kind: str = field(default="figure", init=False)


@dataclass(frozen=True)
class Film:
    """Frames to step through with a slider, one below the other in a single picture."""

    webp: str
    """The picture in base64."""
    time_s: Sequence[float]
    """Of each frame [s]."""
    width: int
    """Of one frame [px]."""
    height: int
    text: str
    kind: str = field(default="film", init=False)

    @property
    def kilobytes(self) -> int:
        """What it adds to the page [kB]."""
        return round(len(self.webp) / 1000)


@dataclass(frozen=True)
class Command:
    """Something to type next, and what for."""

    command: str
    text: str
    kind: str = field(default="command", init=False)


@dataclass(frozen=True)
class Verdicts:
    """What was asked for, whether it holds ("yes", "no", or "" where nothing was judged), and the word for it."""

    rows: Sequence[tuple[str, str, str]]
    kind: str = field(default="verdicts", init=False)


Part = Words | Table | Figure | Film | Command | Verdicts


@dataclass(frozen=True)
class Card:
    """One episode or bag: a headline, a verdict ("yes", "no" or ""), its word, and what belongs to it."""

    title: str
    verdict: str
    word: str
    parts: Sequence[Part]
    kind: str = field(default="card", init=False)


@dataclass(frozen=True)
class Section:
    """A headline and what stands under it."""

    title: str
    parts: Sequence[Part | Card]


@dataclass(frozen=True)
class Page:
    """One report."""

    title: str
    lead: str
    """The result in a sentence."""
    facts: Sequence[tuple[str, str]]
    """Model, date, machine, command: what the result is of."""
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Return a page as HTML; every text in it is escaped."""
    loader = PackageLoader("smp_bringup", "page")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.jinja").render(page=page)


def write_page(path: Path, page: Page) -> None:
    """Write a page whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, render(page))
