"""From a folder of files to a dataset: `from_folder` reads pictures, curves and tables and says what it did."""

from .formats.curves import Curves
from .formats.images import Images
from .ingest import Scalars, from_folder

__all__ = ["Curves", "Images", "Scalars", "from_folder"]
