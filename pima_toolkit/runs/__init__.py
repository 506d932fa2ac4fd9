"""A run: a fit in a folder that says how it was made, goes on after a kill, and can be repeated exactly.

``run(source, folder, options)`` is what ``pima fit`` does; ``open_fit(path)`` reads a run folder or a saved fit.
"""

from typing import TYPE_CHECKING

from ..faces import attribute_of
from ..report.export import write_answer
from .folder import RunFolder, new_data, open_fit, training_data
from .options import merge, read_options
from .run import RunResult, run
from .source import read_source
from .summary import fit_summary, summary
from .together import run_together

__all__ = [
    "RunFolder",
    "RunResult",
    "fit_summary",
    "merge",
    "new_data",
    "open_fit",
    "read_options",
    "read_source",
    "run",
    "run_together",
    "summary",
    "training_data",
    "write_answer",
]

if not TYPE_CHECKING:
    __getattr__ = attribute_of(__name__)
