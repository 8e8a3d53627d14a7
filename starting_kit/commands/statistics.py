"""`statistics`: measure skew, drift, noise and balance of traces."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.evaluation.result_files import write_json
from placement.trace import Trace, check_fits
from placement.traces.files import SUFFIXES, open_trace
from placement.traces.keys import read_key
from placement.traces.whole_file import write_whole
from traces.folder import FORM, NAME, no_trace, traces_in
from traces.manifest import MANIFEST, read_manifest
from traces.statistics.glossary import help_text
from traces.statistics.page import NO_PLOTS, page
from traces.statistics.plots import draw
from traces.statistics.summary import FAST_BLOCK, LEAST_ITERATIONS, summarise
from traces.statistics.tables import layers_csv, terminal

EPS = (32, 64, 128, 256)


def add_statistics(commands: Any) -> None:
    """Declare `statistics` on the subparsers of the command line."""
    parser = commands.add_parser(
        "statistics",
        help="measure skew, drift, noise and balance of traces",
        description="Measure what decides how hard a trace is to place: skew, drift, noise, and the PAR of the static\n"
        "deployment and of DS-EPLB. Prints tables; with --output also writes <model>-<dataset>.html, .json\n"
        "and, with a row for each layer, .csv. Plots need matplotlib: pip install -e '.[plots]'.",
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
        help="one trace only; repeatable (default: every trace of the folder)",
    )
    parser.add_argument(
        "--window",
        type=int,
        default=1024,
        metavar="N",
        help="collection window (default: %(default)s, the official grid's; 128 fits the sample traces)",
    )
    parser.add_argument(
        "--ep",
        action="append",
        default=[],
        type=int,
        metavar="N",
        help="number of devices; repeatable (default: those of 32, 64, 128, 256 that divide the experts)",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder of the pages (default: tables only)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key of sealed traces")
    parser.set_defaults(run=run_statistics)


def run_statistics(options: argparse.Namespace) -> int:
    """Measure each trace and print, and write, what was found; returns exit code 0.

    Raises OrganizerError and OSError.
    """
    key = read_key(options.key) if options.key else None
    manifest = _manifest(options.traces)
    names = options.trace or traces_in(options.traces, SUFFIXES)
    if not names:
        raise no_trace(options.traces, "statistics")
    for name in names:
        trace = open_trace(options.traces, *name.split("/"), manifest, key)
        eps = _eps(options.ep, trace, name)
        _check_lengths(trace, name, options.window)
        entry = manifest["traces"][name] if manifest else {}
        summary = summarise(trace, name, options.window, eps, str(entry.get("origin", "not stated")))
        # A trace fills hundreds of megabytes: it must be gone before the next one is opened.
        del trace
        print(terminal(summary), flush=True)
        if options.output:
            _write(options.output, summary)
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
    """The folder's manifest, None where it has none. Raises OrganizerError when it is malformed."""
    return read_manifest(folder) if (folder / MANIFEST).is_file() else None


def _eps(wanted: list[int], trace: Trace, name: str) -> list[int]:
    eps = list(dict.fromkeys(wanted)) or [ep for ep in EPS if trace.experts % ep == 0]
    if not eps or any(ep < 1 or trace.experts % ep for ep in eps):
        raise OrganizerError(
            "an ep does not divide the experts",
            got=f"ep {', '.join(map(str, eps or EPS))}",
            expected=f"divisors of {trace.experts}",
            next_step="name the device counts with --ep",
            where=f"trace {name}",
        )
    return eps


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


def _trace_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {FORM}")
    return text
