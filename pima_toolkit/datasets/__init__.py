"""Data to try things on, each an `xarray.Dataset` that says where it comes from and what is made up.

``digits`` and ``lattice`` need no file; ``mnist`` is downloaded once; ``spinodoid`` and ``metal_tension`` are measured
curves read from the folder ``PIMA_DATA``. ``write_folder`` writes a folder of files to try `from_folder` on.
"""

from .digits import digits
from .folder import write_folder
from .lattice import lattice
from .metal_tension import metal_tension
from .mnist import mnist
from .spinodoid import spinodoid

__all__ = ["digits", "lattice", "metal_tension", "mnist", "spinodoid", "write_folder"]
