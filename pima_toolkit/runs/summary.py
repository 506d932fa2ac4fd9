"""A fit and a run as plain numbers, for programs that call `pima`."""

from __future__ import annotations

from ..api.pima import Fit
from .run import RunResult


def summary(result: RunResult) -> dict:
    """Describe the result of a run, ready for JSON."""
    folder = result.folder
    names = {"fit": folder.fit_file, "report": folder.report, "options": folder.options_file, "tables": folder.tables}
    return {
        "run": folder.path.resolve(),
        "state": "stopped" if result.fit.interrupted else "finished",
        "finished_before": result.finished_before,
        **fit_summary(result.fit),
        "notes": list(result.notes),
        "files": {name: path.resolve() for name, path in names.items() if path.exists()},
    }


def fit_summary(fit: Fit) -> dict:
    """Describe populations and their parameters, ready for JSON; numbers that are unknown are NaN."""
    parameters, weight = fit.parameters, fit.clusters["weight"].values
    columns = ("value", "std_error", "low", "high", "scatter_std", "at_bound")
    clusters = [
        {
            "cluster": c,
            "weight": float(weight[c]),
            "specimens": float(parameters["effective_specimens"][c]),
            "parameters": {
                str(name): {"unit": str(parameters["unit"].values[p])}
                | {column: parameters[column].values[c, p].item() for column in columns}
                for p, name in enumerate(parameters["parameter"].values)
            },
        }
        for c in range(parameters.sizes["cluster"])
    ]
    interval = {name: parameters.attrs[name] for name in ("level", "method")}
    return {
        "specimens": fit.specimens.sizes["specimen"],
        "elbo": fit.elbo,
        "interval": interval,
        "clusters": clusters,
    }
