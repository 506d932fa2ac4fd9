"""Write the catalogue of experts as a Markdown page with a figure each: ``python docs/catalogue.py OUT``.

The page is ``OUT/experts.md``, the figures ``OUT/experts/NAME.svg``. All of it comes from the experts themselves.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pima_experts

import pima_toolkit as pima
from pima_toolkit.data.files import replacing, write_text
from pima_toolkit.experts import Card, Expert, card_of

HEAD = """# Experts

Every expert that comes with pima_toolkit. `pima.Physics("{first}")` uses one; `pima experts show {first}` prints this
in the terminal. In units `{{y}}` and `{{t}}` stand for those of the data. In the figures the thick line is an example,
the thin ones what 20 % more or less of each parameter does to it.
"""


def write_catalogue(out: Path, names: Sequence[str] | None = None) -> Path:
    """Write the page and its figures.

    Args:
        out: Folder; made where it is missing.
        names: Experts; all that come with pima_toolkit by default.

    Returns:
        The page.
    """
    known = pima.experts.experts()
    cards = [card_of(known[name]) for name in names or [cls.name for cls in pima_experts.pima_experts()]]
    parts = [HEAD.format(first=cards[0].name)]
    for field, group in itertools.groupby(cards, key=lambda card: card.field):
        parts.append(f"## {field}\n")
        for card in group:
            write_figure(known[card.name], out / "experts" / f"{card.name}.svg")
            parts.append(section(card, known[card.name]))
    return write_text(out / "experts.md", "\n".join(parts))


def section(card: Card, expert: Expert) -> str:
    """One expert in Markdown."""
    rows = [f"| `{name}` | {unit} | {bounds} | {meaning} |" for name, unit, bounds, meaning in card.rows]
    inputs = " and ".join(f"`{name}`" for name in expert.inputs)
    parts = [
        f"### {card.name}",
        card.summary,
        f"$$ {card.equation} $$",
        f"![{card.name}](experts/{card.name}.svg)",
        "\n".join(["| parameter | unit | bounds | meaning |", "| --- | --- | --- | --- |", *rows]),
        f"Of {inputs}. {card.remarks}".rstrip(),
        f"*Valid for:* {card.valid_for}",
        f"*Source:* {card.source}",
    ]
    return "\n\n".join(parts) + "\n"


def write_figure(expert: Expert, path: Path) -> None:
    """The expert's figure, the same file every time."""
    with mpl.rc_context({"svg.hashsalt": expert.name}), replacing(path) as temporary:
        pima.plots.plot_expert(expert).savefig(temporary, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the catalogue of experts as Markdown with figures.")
    parser.add_argument("out", type=Path, help="folder")
    write_catalogue(parser.parse_args().out)
