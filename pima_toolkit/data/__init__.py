"""What comes in: xarray datasets become plain arrays, checked once and here (MODEL.md §8).

`measure` reads one modality, `Scaling` brings it to [0, 1], `encoder_input` makes what an encoder sees,
`split` keeps specimens apart for testing.
"""

from .check import check_dataset, closest, measure, specimen_labels
from .measured import Measured
from .normalise import Scaling, common_grid, encoder_input, needs_presence, residual_scale
from .split import split
from .storage import open_data, replacing, save_data

__all__ = [
    "Measured",
    "Scaling",
    "check_dataset",
    "closest",
    "common_grid",
    "encoder_input",
    "measure",
    "needs_presence",
    "open_data",
    "replacing",
    "residual_scale",
    "save_data",
    "specimen_labels",
    "split",
]
