"""The face of a fit: names, and parts that nobody reaches around."""

import re
from pathlib import Path

import pytest

import pima_toolkit as pima

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fit(two_populations):
    model = pima.PIMA({"feature": pima.Neural(), "stress": pima.Physics("proportional")}, 2, latent_dim=1)
    return model.fit(two_populations(30), epochs=2, crossmodal_epochs=1, seed=3, progress=False)


def test_how_it_was_trained(fit):
    assert fit.settings.seed == 3
    assert fit.settings.epochs == 2


def test_an_old_name_says_the_new_one(fit):
    with pytest.raises(AttributeError, match=r"fit\.experts is called fit\.parameters since 0\.2"):
        fit.experts  # noqa: B018
    with pytest.raises(AttributeError, match="'Fit' object has no attribute 'expert'"):
        fit.expert  # noqa: B018
    assert not hasattr(fit, "trained")


def test_nobody_reaches_into_a_fit():
    """Rooms, panels, benchmarks and tests use public names; ``_trained`` was the private part of version 0.1."""
    private = re.compile(r"\bfit\._(?!repr_html_\b)[a-z]|\._trained\b")
    folders = ("pima_toolkit", "plugins", "widgets", "benchmarks", "tests", "docs")
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")) if file != Path(__file__)]
    reaching = [
        f"{file.relative_to(ROOT).as_posix()}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if private.search(line)
    ]
    assert not reaching, "\n" + "\n".join(reaching)
