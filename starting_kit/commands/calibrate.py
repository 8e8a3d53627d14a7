"""`calibrate`: fit a profile to published figures, or only say how far off it is."""

from __future__ import annotations

import argparse
import gc
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from traces.calibration.cells import average, cell_table, measure_cells, summary
from traces.calibration.fit import Search, Step, fit, fittable
from traces.calibration.published import Cell, read_published
from traces.generation.profile import Profile, read_profile, write_profile

DEFAULT_FIT = (
    "layer_sigma,neighbour_correlation,topic_strength,topic_period,topic_period_spread,own_drift,volatility_spread,"
    "tokens_per_iteration"
)
SHAPES = "a CSV file with a row per figure: model, dataset, ep, policy (static, ds_eplb), collection_window, "
SHAPES += "latency_iterations (none, measured), mean_par, transmit_amount"


def add_calibrate(commands: Any) -> None:
    """Declare `calibrate` on the subparsers of the command line."""
    parser = commands.add_parser(
        "calibrate",
        help="fit a profile to published figures",
        description="Fit a profile's parameters to published figures of a recorded trace, then measure every figure on "
        "generated traces of full size and print the errors. Period, phase and switches are held as the profile says. "
        "The published file is not part of this repository: " + SHAPES + ".",
        epilog="examples:\n"
        "  python starting_kit/kit.py calibrate --profile my_profile.yaml --published paper.csv --steps 0\n"
        "  python starting_kit/kit.py calibrate --profile my_profile.yaml --published paper.csv \\\n"
        "      --output fitted.yaml --table cells.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", required=True, type=Path, help="where the fit begins")
    parser.add_argument("--published", required=True, type=Path, metavar="CSV")
    parser.add_argument("--output", type=Path, metavar="YAML", help="takes the fitted profile")
    parser.add_argument("--table", type=Path, metavar="FILE", help="takes the table of all cells, as Markdown")
    parser.add_argument("--fit", default=DEFAULT_FIT, help="parameters to move (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="0: only measure (default: %(default)s)")
    parser.add_argument("--fit-seeds", type=_seeds, default=(101, 102), metavar="N,N", help="default: 101,102")
    parser.add_argument("--fit-layers", type=int, default=15, help="layers generated while fitting (%(default)s)")
    parser.add_argument("--seeds", type=_seeds, default=(1, 2, 3), metavar="N,N", help="of the table (default: 1,2,3)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.set_defaults(run=run_calibrate)


def run_calibrate(options: argparse.Namespace) -> int:
    """Fit, write and report; returns 0. Raises OrganizerError."""
    profile = read_profile(options.profile)
    cells = read_published(options.published, profile.model, profile.dataset)
    names = [name for name in options.fit.split(",") if name]
    if unknown := sorted(set(names) - set(fittable())):
        what, got = "--fit names what cannot be fitted", ", ".join(unknown)
        raise OrganizerError(what, got, f"some of {', '.join(fittable())}", "correct --fit")
    if options.steps > 0 and not names:
        raise OrganizerError("--fit names no parameter", "none", "at least one", "name one, or measure with --steps 0")
    if wrong := [cell.ep for cell in cells if cell.ep < 1 or profile.experts % cell.ep]:
        what, expected = "an ep does not divide the experts", f"a divisor of {profile.experts}"
        raise OrganizerError(what, f"ep {wrong[0]}", expected, "correct the file", str(options.published))
    if options.steps > 0 and not 1 <= options.fit_layers <= profile.layers:
        expected = f"1 .. {profile.layers}, the layers of {profile.name}"
        raise OrganizerError("--fit-layers is out of range", str(options.fit_layers), expected, "correct --fit-layers")
    with ProcessPoolExecutor(max(options.jobs, 1), initializer=gc.freeze) as pool:
        if options.steps > 0:
            show_step = partial(_show_step, names)
            search = Search(names, options.fit_seeds, options.fit_layers, options.steps)
            profile = fit(profile, cells, search, pool, show_step).profile
            if options.output:
                write_profile(options.output, profile)
                profile = read_profile(options.output)
        comparisons = average(cells, list(pool.map(partial(_measure, profile, cells), options.seeds)))
    seeds = ", ".join(map(str, options.seeds))
    errors = summary(comparisons)
    head = (
        f"{profile.name}, seeds {seeds}: PAR root mean square error {100 * errors['par_rms']:.2f} %, largest "
        f"{100 * errors['par_largest']:.2f} %; transmit largest {100 * errors['transmit_largest']:.2f} %"
    )
    print(f"\n{cell_table(comparisons)}\n\n{head}")
    if options.table:
        options.table.write_text(f"{head}\n\n{cell_table(comparisons)}\n", encoding="utf-8")
    return 0


def _measure(profile: Profile, cells: list[Cell], seed: int) -> Any:
    return measure_cells(profile, cells, seed)


def _show_step(names: list[str], step: Step) -> None:
    values = ", ".join(f"{name} {getattr(step.profile.parameters, name):.4g}" for name in names)
    print(f"rms {100 * step.rms:.2f} %, largest {100 * abs(step.errors).max():.2f} %: {values}", flush=True)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = (-1,)
    if min(seeds) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of seeds, such as 1,2,3")
    return seeds
