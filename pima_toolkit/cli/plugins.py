"""`pima plugins`: list them, check whether their experts conform, write a new one to begin with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pima_toolkit as pima

from .. import testing
from ..errors import ExpertError, OptionError, PluginWarning, require
from ..plugins.hooks import GROUP
from ..plugins.records import PluginRecord
from .new_plugin import plugin_files, write_plugin

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_markup = require("rich.markup", "the command line")
rich_table = require("rich.table", "the command line")

#: Where the registry of every kind of thing that plugins give is: loaded when it is asked, since some need torch.
REGISTRIES = {
    "pima_toolkit.experts": "EXPERTS",
    "pima_toolkit.model.noise.table": "NOISE",
    "pima_toolkit.model.encoders.table": "ENCODERS",
    "pima_toolkit.fitting.speakers.table": "SPEAKERS",
    "pima_toolkit.ingest.formats.registry": "FORMATS",
    "pima_toolkit.report.sections": "SECTIONS",
}

app = typer.Typer(no_args_is_help=True, help="Plugins: what is installed, whether it conforms, a new one.")


@app.command("list")
def plugins_list(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="With modules, hooks and whole tracebacks.")] = False,
) -> None:
    """List every plugin: active, blocked or broken, where it is from, its experts. Exit code 1 if one is broken."""
    records = list(plugin_records().values())
    if as_json:
        rows = [_as_json(record, verbose) for record in records]
        typer.echo(json.dumps(rows, indent=1))
    else:
        _show_records(records, verbose)
    if any(record.state == "broken" for record in records):
        raise typer.Exit(1)


def _as_json(record: PluginRecord, verbose: bool) -> dict:
    row = asdict(record)
    del row["given"]
    row |= {"experts": record.experts, **_beside_experts(record)}
    return row if verbose else {key: value for key, value in row.items() if key != "trace"}


def _beside_experts(record: PluginRecord) -> dict[str, list[str]]:
    """Return what a plugin gave beside experts: names by kind, ``{"noise_models": ["student"]}``."""
    return {
        hook.removeprefix("pima_"): names for hook, names in record.given.items() if names and hook != "pima_experts"
    }


def plugin_records() -> dict[str, PluginRecord]:
    """Every plugin by name, when all that it gives was looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # what it says is in the table
        for module, name in REGISTRIES.items():
            getattr(
                require(module, "plugins"), name
            ).names()  # a plugin counts as sound only when all that it gives was looked at
        return pima.experts.plugin_records()


def _show_records(records: list[PluginRecord], verbose: bool) -> None:
    console = rich_console.Console()
    others = any(map(_beside_experts, records))
    heads = ["name", "state", "distribution", "version", "experts", *(["and"] if others else []), "error"]
    table = rich_table.Table(*heads, *(["module", "hooks"] if verbose else []))
    for r in records:
        many = len(r.experts) > 6 and not verbose
        names = f"{len(r.experts)} experts (pima experts list)" if many else ", ".join(r.experts)
        beside = "; ".join(f"{kind.replace('_', ' ')} {', '.join(of)}" for kind, of in _beside_experts(r).items())
        cells = [r.name, r.state, r.distribution, r.version, names, *([beside] if others else []), r.error or ""]
        cells += [r.value, ", ".join(r.hooks)] if verbose else []
        table.add_row(*map(rich_markup.escape, cells), style={"broken": "red", "blocked": "dim"}.get(r.state))
    console.print(table)
    for r in records:
        if verbose and r.trace:
            console.print(f"{r.name}:", r.trace, markup=False, highlight=False, soft_wrap=True)
    broken = [r.name for r in records if r.state == "broken"]
    if broken:
        hint = "" if verbose else "; --verbose shows the tracebacks"
        console.print(f"left out: {', '.join(broken)}; all others work{hint}", markup=False, highlight=False)


@app.command("check")
def plugins_check(
    target: Annotated[
        str, typer.Argument(metavar="NAME|FILE.py|MODULE", help="An installed plugin, a file, a module.")
    ],
    thorough: Annotated[bool, typer.Option("--thorough", help="Also train a small model with each expert.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every check of every expert, passed or not.")
    ] = False,
) -> None:
    """Put every expert of a plugin to the conformance checks. Exit code 1 if one does not conform."""
    console = rich_console.Console()
    conforms = True
    with _experts_of(target) as experts:
        if not experts:
            raise ExpertError(f"the plugin {target!r} has no experts: there is nothing to check")
        for expert in experts:
            report = testing.check_expert(expert, thorough=thorough)
            conforms = conforms and report.passed
            _show_report(console, report, full=verbose or len(experts) == 1)
    if not conforms:
        raise typer.Exit(1)


def _show_report(console: Any, report: testing.Report, full: bool) -> None:
    passed = testing.Outcome.PASSED, testing.Outcome.NOT_APPLICABLE, testing.Outcome.EXPECTED
    rows = [r for r in report.results if full or r.outcome not in passed]
    if rows:
        table = rich_table.Table("check", "outcome", "why", "what to do")
        for r in rows:
            bad = r.outcome not in passed
            cells = r.check, r.outcome, r.reason, r.advice if bad else ""
            table.add_row(*map(rich_markup.escape, cells), style="red" if bad else None)
        console.print(table)
    console.print(str(report).partition("\n")[0], markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _experts_of(target: str) -> Iterator[list]:
    """Yield the experts of an installed plugin, or of a file or module beside the built-in ones alone."""
    path = Path(target)
    if path.suffix != ".py":
        records = plugin_records()
        matching = [r for r in records.values() if target in (r.name, r.value)]
        if matching:
            record = matching[0]
            if record.state != "active":
                reason = record.error or "see PIMA_BLOCK_PLUGINS and PIMA_ONLY_PLUGINS"
                raise ExpertError(f"the plugin {record.name!r} is {record.state}: {reason}")
            known = pima.experts.experts()
            yield [known[name] for name in record.experts]
            return
        if (
            not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", target)
            or importlib.util.find_spec(target.split(".")[0]) is None
        ):
            raise OptionError(
                f"there is no plugin, file or module {target!r}: plugins are {', '.join(records)}; a file ends in .py"
            )
    # Beside the built-in ones alone: a plugin being written may be installed too, and would take its own names.
    ours = [
        e for e in importlib.metadata.entry_points(group=GROUP) if e.dist is not None and e.dist.name == "pima-toolkit"
    ]
    manager = pima.experts.Manager(ours)
    with pima.experts.use_manager(manager):
        if path.suffix == ".py":
            yield pima.load_plugin(path)
            return
        try:
            module = require(target, "checks of a plugin")
        except (Exception, SystemExit) as error:
            raise ExpertError(f"the module {target!r} cannot be imported: {type(error).__name__}: {error}") from error
        record = pima.experts.PluginRecord(target, target, "module", "")
        manager.add_plugin(module, record)
        known = pima.experts.experts()
        yield [known[name] for name in record.experts]


@app.command("new")
def plugins_new(
    name: Annotated[str, typer.Argument(help="Name of the distribution, such as pima-steel.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to; ./NAME by default. Never overwrites.")
    ] = None,
    expert: Annotated[str | None, typer.Option("--expert", help="Name of its expert; from NAME by default.")] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="What its expert is written as: formula, ode (differential equations), torch.")
    ] = "formula",
) -> None:
    """Write a plugin to begin with: one expert, its tests, ready to install."""
    files = plugin_files(name, expert, kind)
    taken = {path.removeprefix("tests/test_").removesuffix(".py") for path in files if path.startswith("tests/")}
    for clash in taken & set(pima.experts.experts()):
        source = pima.get_expert(clash).origin
        raise OptionError(f"there is an expert {clash!r} already, from {source}: choose another name with --expert")
    written = write_plugin(files, Path(name) if folder is None else folder)
    for path in files:
        typer.echo(f"  {written / path}")
    typer.echo(f"next: pip install -e {written} && pytest {written} && pima plugins list")
