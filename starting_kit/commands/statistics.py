"""`statistics`: measure skew, drift, noise and balance of traces."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.evaluation.result_files import write_json
from placement.grid import Case
from placement.trace import Trace, check_fits
from placement.traces.files import SUFFIXES, open_trace
from placement.traces.keys import read_key
from placement.traces.whole_file import write_whole
from traces.folder import FORM, NAME, no_trace, traces_in
from traces.manifest import MANIFEST, notes_of, read_manifest
from traces.statistics.drift_figures import FAST_BLOCK
from traces.statistics.glossary import help_text
from traces.statistics.page import NO_PLOTS, page
from traces.statistics.plots import draw
from traces.statistics.summary import LEAST_ITERATIONS, summarise
from traces.statistics.tables import layers_csv, terminal

from .fitting import LONGEST_WINDOW, fitting_eps, fitting_window
from .named_paths import check_output

SIZE = re.compile(r"(?P<ep>[0-9]{1,6})(?: ?\+(?P<redundant>[0-9]{1,6}))?")


def add_statistics(commands: Any) -> None:
    """Declare the command `statistics`."""
    parser = commands.add_parser(
        "statistics",
        help="measure skew, drift, noise and balance of traces",
        description="Measure what makes a trace hard to place: skew, drift, noise, and PAR of the static\n"
        "deployment and of DS-EPLB. The drift is shown beside the drift of the shuffled trace, and a "
        "line says\n"
        "which family of traces the trace resembles. Prints tables. With --output, also writes "
        "<model>-<dataset>.html,\n"
        ".json and .csv (a row for each layer). Plots need matplotlib: .venv/bin/python -m pip install "
        "'.[plots]'.",
        epilog=help_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traces", required=True, type=Path, metavar="FOLDER", help="folder of the traces")
    parser.add_argument(
        "--trace",
        action="append",
        default=[],
        type=_trace_name,
        metavar="MODEL/DATASET",
        help="measure only this trace; repeatable (default: every trace of the folder)",
    )
    parser.add_argument(
        "--window",
        type=int,
        metavar="N",
        help=f"collection window (default: {LONGEST_WINDOW} as in the official grid; for a shorter trace, the largest "
        "power of two that fits four times: 128 for the sample traces)",
    )
    parser.add_argument(
        "--ep",
        action="append",
        default=[],
        type=_size,
        metavar="N",
        help="number of devices; N+R with R redundant experts; repeatable; a trace is measured at every N that fits "
        "(default: those of 32, 64, 128, 256 that divide the experts; for small models the four largest "
        "divisors)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder for the pages (default: print tables only)"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="key file of sealed traces")
    parser.set_defaults(run=run_statistics)


def run_statistics(options: argparse.Namespace) -> int:
    """Measure each trace, print and write the results; return exit code 0.

    Raises OrganizerError and OSError.
    """
    if options.output:
        check_output("--output", options.output)
    key = read_key(options.key) if options.key else None
    manifest = _manifest(options.traces)
    names = options.trace or traces_in(options.traces, SUFFIXES)
    if not names:
        raise no_trace(options.traces, "statistics")
    measured = 0
    for name in names:
        trace = open_trace(options.traces, *name.split("/"), manifest, key)
        window = max(fitting_window(trace.iterations), FAST_BLOCK) if options.window is None else options.window
        cases = _cases(options.ep, trace, name, window)
        if not cases:
            continue
        _check_lengths(trace, name, window)
        entry = manifest["traces"][name] if manifest else {}
        summary = summarise(trace, cases, str(entry.get("origin", "not stated")), notes_of(entry))
        # A trace fills hundreds of megabytes: it must be gone before the next one is opened.
        del trace
        print(terminal(summary), flush=True)
        measured += 1
        if options.output:
            _write(options.output, summary)
    if not measured:
        raise OrganizerError(
            "no --ep fits a trace",
            got=", ".join(f"{ep}+{redundant}" for ep, redundant in options.ep) or "none",
            expected="N that divides experts + R; without +R, R is N",
            next_step="name other numbers with --ep",
            where=str(options.traces),
        )
    return 0


def _write(folder: Path, summary: dict[str, Any]) -> None:
    stem = summary["trace"].replace("/", "-")
    plots = draw(summary)
    if plots is None:
        print(NO_PLOTS, file=sys.stderr)
    write_json(folder / f"{stem}.json", summary)
    for suffix, text in (("csv", layers_csv(summary)), ("html", page(summary, plots))):
        write_whole(folder / f"{stem}.{suffix}", text.encode("utf-8"))
    print(f"{folder / stem}.html, .json, .csv", flush=True)


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The folder's manifest; None where the folder has none. Raises OrganizerError for a malformed manifest."""
    return read_manifest(folder) if (folder / MANIFEST).is_file() else None


def _cases(wanted: list[tuple[int, int]], trace: Trace, name: str, window: int) -> list[Case]:
    """The cases that fit a trace's experts. Other requested cases are named on stderr."""
    fitting = []
    for ep, redundant in dict.fromkeys(wanted) or [(ep, ep) for ep in fitting_eps(trace.experts)]:
        case = Case(*name.split("/"), ep, redundant, trace.layers, trace.experts, window, latency=0)
        if (trace.experts + redundant) % ep:
            print(f"{case.name} is left out: {ep} does not divide {trace.experts} + {redundant}", file=sys.stderr)
        else:
            fitting.append(case)
    if not fitting:
        print(f"{name} is left out: none of the numbers of devices fits its {trace.experts} experts", file=sys.stderr)
    return fitting


def _check_lengths(trace: Trace, name: str, window: int) -> None:
    where = f"trace {name}"
    if window < FAST_BLOCK:
        next_step = "choose a longer --window"
        raise OrganizerError("the window is too short", str(window), f"at least {FAST_BLOCK}", next_step, where)
    check_fits(trace, where, trace.layers, trace.experts, window)
    if trace.iterations < LEAST_ITERATIONS:
        expected = f"at least {LEAST_ITERATIONS}"
        raise OrganizerError(
            "the trace is too short for its statistics",
            f"{trace.iterations} iterations",
            expected,
            "use a longer trace",
            where,
        )


def _size(text: str) -> tuple[int, int]:
    form = SIZE.fullmatch(text)
    if not form or not int(form["ep"]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of devices such as 72, or 72+32 with 32 redundant experts"
        )
    return int(form["ep"]), int(form["redundant"] or form["ep"])


def _trace_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {FORM}")
    return text
