"""What comes in: xarray datasets become plain arrays, checked once and here.

`read` checks a dataset and takes its modalities from it, `Scaling` brings one to [0, 1], `encoder_input` makes what
an encoder sees, `split` keeps specimens apart for testing.
"""

from .check import check_dataset, read
from .measurement import Measurement, Schema, Wanted
from .measurement_errors import errors_of, unused_errors
from .names import (
    ANSWER_NAMES,
    batches,
    closest,
    few,
    measured_names,
    population_names,
    says_synthetic,
    specimen_labels,
)
from .normalise import Scaling, common_grid, encoder_input, needs_presence, residual_scale
from .reading_log import (
    count,
    read_entries,
    reading_details,
    reading_log,
    summary,
    what_was_read,
    with_lost_specimens,
)
from .split import split
from .storage import open_data, replacing, save_data
from .streaming import OnDisk, blocks, on_disk

__all__ = [
    "ANSWER_NAMES",
    "Measurement",
    "OnDisk",
    "Scaling",
    "Schema",
    "Wanted",
    "batches",
    "blocks",
    "check_dataset",
    "closest",
    "common_grid",
    "count",
    "encoder_input",
    "errors_of",
    "few",
    "measured_names",
    "needs_presence",
    "on_disk",
    "open_data",
    "population_names",
    "read",
    "read_entries",
    "reading_details",
    "reading_log",
    "replacing",
    "residual_scale",
    "save_data",
    "says_synthetic",
    "specimen_labels",
    "split",
    "summary",
    "unused_errors",
    "what_was_read",
    "with_lost_specimens",
]
