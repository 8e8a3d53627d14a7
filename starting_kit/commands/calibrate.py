"""`calibrate`: fit a profile to published figures, or only measure how far the profile is from these figures."""

from __future__ import annotations

import argparse
import importlib.util
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from placement.traces.whole_file import write_whole
from traces.calibration.errors import Generated, Measurement, Target, measure, rms
from traces.calibration.fit import Search, Step, fit, fittable, value_of
from traces.calibration.published import (
    CELL_COLUMNS,
    CURVE_COLUMNS,
    CURVE_NAMES,
    ONCE_COLUMNS,
    REDEPLOYED,
    Curve,
    Published,
    read_curves,
    read_once,
    read_published,
    redeployed,
)
from traces.calibration.report import cell_table, draw_curves, group_table
from traces.calibration.sweep import POINT
from traces.generation.profile import Profile, read_profile, write_profile
from traces.reference_parts import begin_process

from .argument_types import integer_from
from .generate import find_profile
from .named_paths import check_output_file
from .places import OUTPUT, short

DEFAULT_FIT = (
    "layer_sigma,neighbour_correlation,popularity_skew,topic_strength,topic_period,topic_period_spread,topic_alignment,"
    "own_drift,volatility_spread,tokens_per_iteration"
)
KEPT = OUTPUT / "calibrate"


def add_calibrate(commands: Any) -> None:
    """Declare the command `calibrate`."""
    parser = commands.add_parser(
        "calibrate",
        help="fit a profile to published figures",
        description="Fit a profile's parameters to published figures of a recorded trace. Then measure every figure\n"
        "on generated traces of full size and print the errors. For each group of figures, the error is the root\n"
        "mean square on one trace, averaged over the seeds. Period, phase and switches stay as the profile states.\n"
        "Measurements are kept: after an interruption, repeat the same command to continue. The published files\n"
        "are not part of this repository.",
        epilog=f"columns of the published files:\n  --published  {', '.join(CELL_COLUMNS)}\n"
        f"  --once       {', '.join(ONCE_COLUMNS)}\n  --curves     {', '.join(CURVE_COLUMNS)}\n"
        f"A curve is {CURVE_NAMES}; its points are means of {POINT} iterations.\n"
        f"Points earlier than {REDEPLOYED} iterations after the window are left out: the first redeployment is not\n"
        "complete there. Delete other rows that should not count, such as rows after a recorded policy's last plan.\n\n"
        "examples:\n"
        "  python starting_kit/kit.py calibrate --profile my_profile.yaml --published paper.csv --steps 0\n"
        "  python starting_kit/kit.py calibrate --profile my_profile.yaml --published paper.csv --once once.csv \\\n"
        "      --curves curves.csv --output fitted.yaml --table cells.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--profile",
        required=True,
        help="the profile from which the fit begins: a file, or the name of a shipped profile",
    )
    parser.add_argument("--published", required=True, type=Path, metavar="CSV", help="figures of static and DS-EPLB")
    parser.add_argument("--once", type=Path, metavar="CSV", help="figures of a policy that redeploys once")
    parser.add_argument(
        "--curves", type=Path, metavar="CSV", help="figures of PAR by iteration; delete rows that should not count"
    )
    parser.add_argument(
        "--aside", nargs="+", default=[], metavar="POLICY:EP", help="cells to show but not to fit, such as once:32"
    )
    parser.add_argument("--output", type=Path, metavar="YAML", help="file for the fitted profile")
    parser.add_argument("--table", type=Path, metavar="FILE", help="file for both tables, as Markdown")
    parser.add_argument("--image", type=Path, metavar="PNG", help="file for a picture of the curves (needs matplotlib)")
    parser.add_argument("--fit", default=DEFAULT_FIT, help="parameters to fit (default: %(default)s)")
    parser.add_argument(
        "--steps", type=integer_from(0), default=4, help="steps of the fit; 0: only measure (default: %(default)s)"
    )
    parser.add_argument("--fit-seeds", type=_seeds, default=(101, 102, 103), metavar="N,N", help="default: 101,102,103")
    parser.add_argument(
        "--fit-layers",
        type=int,
        default=12,
        help="number of layers from which slopes are measured (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds", type=_seeds, default=(1, 2, 3), metavar="N,N", help="seeds of the tables' traces (default: 1,2,3)"
    )
    parser.add_argument(
        "--drawn", action="store_true", help="draw period, phase and switches of the tables' traces from the seeds"
    )
    parser.add_argument(
        "--kept",
        type=Path,
        default=KEPT,
        metavar="FOLDER",
        help=f"folder that keeps measurements (default: {short(KEPT)})",
    )
    parser.add_argument(
        "--jobs", type=integer_from(1), default=os.cpu_count() or 1, help="number of processes (default: one per core)"
    )
    parser.set_defaults(run=run_calibrate)


def run_calibrate(options: argparse.Namespace) -> int:
    """Fit, write and report; return 0. Raises OrganizerError, and UsageError for a file that cannot be written."""
    for name in ("output", "table", "image"):
        if path := getattr(options, name):
            check_output_file(f"--{name}", path)
    profile = find_profile(options.profile)
    target = _target(options, profile)
    names = [name for name in options.fit.split(",") if name]
    if options.steps > 0:
        _check_fit(options, profile, names)
    with ProcessPoolExecutor(options.jobs, initializer=begin_process) as pool:
        if options.steps > 0:
            search = Search(names, options.fit_seeds, options.fit_layers, options.steps, options.kept)
            show = partial(_show_step, names, target)
            profile = replace(fit(profile, target, search, pool, show).profile, source=_source(options, profile))
            if options.output:
                write_profile(options.output, profile)
                profile = read_profile(options.output)
        traces = [Generated(profile, seed, None, not options.drawn, options.kept) for seed in options.seeds]
        measurements: list[Measurement] = []
        for trace, measurement in zip(traces, pool.map(measure, traces, [target] * len(traces)), strict=True):
            print(f"seed {trace.seed}: measured", flush=True)
            measurements.append(measurement)
    timing = "drawn from the seeds" if options.drawn else "as fitted"
    head = f"{profile.name}, seeds {', '.join(map(str, options.seeds))}, period, phase and switches {timing}"
    tables = f"{head}\n\n{group_table(target, measurements)}\n\n{cell_table(target, measurements)}\n"
    print(f"\n{tables}", end="")
    if options.table:
        write_whole(options.table, tables.encode("utf-8"))
    if options.image:
        draw_curves(options.image, target, measurements, f"{head}: generated, and recorded")
    return 0


def _source(options: argparse.Namespace, profile: Profile) -> str:
    """The source that a fitted profile states for its parameters."""
    files = [path.name for path in (options.published, options.once, options.curves) if path]
    return f"{profile.name}: fitted by kit.py calibrate to {', '.join(files)}, starting from {options.profile}"


def _target(options: argparse.Namespace, profile: Profile) -> Target:
    cells = read_published(options.published, profile.name)
    once = read_once(options.once, profile.name) if options.once else []
    curves = _curves(options.curves, profile.name) if options.curves else []
    for path, figures in ((options.published, cells), (options.once, once), (options.curves, curves)):
        for policy in [figure.policy for figure in figures]:
            if policy.ep < 1 or profile.experts % policy.ep:
                what, expected = "an ep does not divide the experts", f"a divisor of {profile.experts}"
                raise OrganizerError(what, f"ep {policy.ep} of {policy.name}", expected, "correct the file", str(path))
    for iteration in [iteration for curve in curves for iteration in curve.iterations]:
        if not POINT / 2 <= iteration <= profile.iterations - POINT / 2:
            what, got = "a point of a curve lies outside of the trace", f"iteration {iteration:g}"
            expected = f"the middle of {POINT} of {profile.iterations} iterations"
            raise OrganizerError(what, got, expected, "correct the file", str(options.curves))
    cells += once
    if not cells:
        where = ", ".join(str(path) for path in (options.published, options.once) if path)
        what, expected = "the trace has no published figures", "rows of the profile's model and dataset"
        raise OrganizerError(what, f"none of {profile.name}", expected, "name other files, or another profile", where)
    known = list(dict.fromkeys(f"{cell.policy.name}:{cell.policy.ep}" for cell in cells))
    if unknown := sorted(set(options.aside) - set(known)):
        what, expected = "--aside names no published cell", f"some of {', '.join(known)}"
        raise OrganizerError(what, ", ".join(unknown), expected, "correct --aside")
    if options.image and not curves:
        what, expected = "--image needs curves", f"--curves with curves of {profile.name}"
        raise OrganizerError(what, "none", expected, "name a file of curves with --curves, or leave --image out")
    if options.image and importlib.util.find_spec("matplotlib") is None:
        what, next_step = "--image needs matplotlib", ".venv/bin/python -m pip install '.[plots]', or leave --image out"
        raise OrganizerError(what, "matplotlib is not installed", "the extra `plots`", next_step)
    return Target(Published(cells, curves), tuple(options.aside))


def _curves(path: Path, name: str) -> list[Curve]:
    stated = read_curves(path, name)
    curves = redeployed(stated)
    all_points, points = (sum(len(curve.iterations) for curve in some) for some in (stated, curves))
    if points < all_points:
        left_out = f"{all_points - points} of {all_points} points left out"
        print(f"{path}: {left_out}; the redeployment was not complete there", flush=True)
    return curves


def _check_fit(options: argparse.Namespace, profile: Profile, names: list[str]) -> None:
    if unknown := sorted(set(names) - set(fittable(profile))):
        what, got = "--fit names a parameter that cannot be fitted", ", ".join(unknown)
        raise OrganizerError(what, got, f"some of {', '.join(fittable(profile))}", "correct --fit")
    if not names:
        raise OrganizerError(
            "--fit names no parameter", "none", "at least one", "name a parameter, or measure with --steps 0"
        )
    if not 1 <= options.fit_layers <= profile.layers:
        expected = f"1 .. {profile.layers}, the layers of {profile.name}"
        raise OrganizerError("--fit-layers is out of range", str(options.fit_layers), expected, "correct --fit-layers")


def _show_step(names: list[str], target: Target, step: Step) -> None:
    values = ", ".join(f"{name} {value_of(step.profile, name):.4g}" for name in names)
    by_seed = [measurement.errors(target) for measurement in step.measurements]
    sizes = [f"{group} {np.mean([rms(errors[group]) for errors in by_seed]):.2f}" for group in target.groups()]
    print(f"cost {step.cost:.3f}: {values}\n    error %: {'; '.join(sizes)}", flush=True)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = (-1,)
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different seeds, such as 1,2,3")
    return seeds
