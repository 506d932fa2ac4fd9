"""Needs what is not there."""

import no_such_module_xyz as missing

__all__ = ["missing"]
