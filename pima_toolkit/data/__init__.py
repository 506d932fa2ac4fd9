"""What comes in: xarray datasets become plain arrays, checked once and here (MODEL.md §8).

`measure` reads one modality, `Scaling` brings it to [0, 1], `encoder_input` makes what an encoder sees,
`split` keeps specimens apart for testing.
"""

from .check import check_dataset, measure
from .measurement import Measurement
from .names import ANSWER_NAMES, closest, few, specimen_labels
from .normalise import Scaling, common_grid, encoder_input, needs_presence, residual_scale
from .reading_log import reading_log, summary, unused_files, with_lost_specimens
from .split import split
from .storage import open_data, replacing, save_data
from .streaming import alone, block_rows, blocks, kind_of, presence, stored, survey

__all__ = [
    "ANSWER_NAMES",
    "Measurement",
    "Scaling",
    "alone",
    "block_rows",
    "blocks",
    "check_dataset",
    "closest",
    "common_grid",
    "encoder_input",
    "few",
    "kind_of",
    "measure",
    "needs_presence",
    "open_data",
    "presence",
    "reading_log",
    "replacing",
    "residual_scale",
    "save_data",
    "specimen_labels",
    "split",
    "stored",
    "summary",
    "survey",
    "unused_files",
    "with_lost_specimens",
]
