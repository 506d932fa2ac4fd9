"""A fit as a plain table of numbers, for programs that call `pima`."""

from __future__ import annotations

from ..api.pima import Fit
from .run import RunResult


def summary(outcome: RunResult) -> dict:
    """What a run came to, ready for JSON."""
    folder = outcome.folder
    names = {"fit": folder.fit_file, "report": folder.report, "options": folder.options_file, "tables": folder.tables}
    return {
        "run": folder.path.resolve(),
        "state": "stopped" if outcome.fit.interrupted else "finished",
        "finished_before": outcome.finished_before,
        **fit_summary(outcome.fit),
        "notes": list(outcome.notes),
        "files": {name: path.resolve() for name, path in names.items() if path.exists()},
    }


def fit_summary(fit: Fit) -> dict:
    """Populations and their parameters; numbers that are unknown are NaN."""
    experts, weight = fit.parameters, fit.clusters["weight"].values
    columns = ("value", "std_error", "scatter_std", "at_bound")
    clusters = [
        {
            "cluster": c,
            "weight": float(weight[c]),
            "specimens": float(experts["effective_specimens"][c]),
            "parameters": {
                str(name): {"unit": str(experts["unit"].values[p])}
                | {column: experts[column].values[c, p].item() for column in columns}
                for p, name in enumerate(experts["parameter"].values)
            },
        }
        for c in range(experts.sizes["cluster"])
    ]
    return {"specimens": fit.specimens.sizes["specimen"], "elbo": fit.elbo, "clusters": clusters}
