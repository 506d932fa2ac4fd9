"""What every dataset of the package must state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import xarray as xr


@pytest.fixture
def check_stated() -> Callable[[xr.Dataset], None]:
    """Checks that a dataset states its origin, and every number its unit."""

    def check(data: xr.Dataset) -> None:
        assert all(data.attrs[key] for key in ("title", "source", "licence", "citation", "notes"))
        for name, variable in data.variables.items():
            if variable.dtype.kind == "f":
                assert "units" in variable.attrs, name
            if name in data.data_vars:
                assert "long_name" in variable.attrs, name
        assert "specimen" in data.coords

    return check
