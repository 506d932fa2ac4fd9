"""Sphinx: the documentation site. Nothing is fetched and nothing is executed while it is built.

Tutorials are copied beside the pages with the outputs they were committed with; the catalogue is written from the
experts themselves. Formulas become MathML, which browsers draw by themselves, and the theme uses the reader's fonts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from catalogue import write_catalogue  # noqa: E402

import pima_toolkit as pima  # noqa: E402
from pima_toolkit.data.files import write_text  # noqa: E402

project = "pima_toolkit"
author = "pima_toolkit contributors"
copyright = author  # noqa: A001 - the name Sphinx reads
version = release = pima.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"] if os.environ.get("PIMA_DOCS_DRAFT") else []

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"
html_math_renderer = "mathml"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "pima_toolkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def write_pages() -> None:
    """Copy the tutorials, and write the catalogue."""
    for notebook in sorted((ROOT / "tutorials").glob("*.ipynb")):
        # pictures of the panels lie with the site; in the repository a tutorial is one folder farther from them
        text = notebook.read_text(encoding="utf-8").replace("../docs/_static/", "../_static/")
        write_text(HERE / "tutorials" / notebook.name, text)
    write_catalogue(HERE / "experts")


write_pages()
