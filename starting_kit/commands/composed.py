"""The options of `generate --family requests`, and the manifest's text on a trace composed of recorded requests."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError
from traces.composition.request_file import Requests, read_requests
from traces.composition.stream import Composition, compose
from traces.composition.topics import Topics, grouped_topics, label_topics, read_words
from traces.composition.weights import COURSES
from traces.conversion.routing_folder import HEAD

from .argument_types import integer_from, plain_name

COMPOSED = "composed:"
COMPOSED_ITERATIONS = 6144
COMPOSED_OPTIONS = ("requests", "model", "topics", "licence", *asdict(Composition()))
NEEDED = ("requests", "model", "dataset")
UNKNOWN_LICENCE = "unknown, see the source"
DEFAULT = Composition()


class ComposedTrace(NamedTuple):
    """One trace to write; source: the files of requests and topics, each with its hash digits."""

    name: str
    requests: Requests
    topics: Topics
    plan: Composition
    iterations: int
    seed: int
    source: str
    licence: str

    def values(self) -> np.ndarray:
        """The trace, int32 [iteration, layer, expert]."""
        return compose(self.requests, self.topics, self.plan, self.iterations, self.seed)

    def origin(self) -> str:
        """The trace's origin for the manifest: everything that the values depend on."""
        plan = self.plan
        every = "-".join(str(value) for value in dict.fromkeys(plan.switch_every))
        weights = plan.weights + (f" every {every} iterations" if plan.weights == "switching" else "")
        cut = f", cut after {plan.longest} tokens" if plan.longest else ""
        flow = f"{plan.in_flight} in flight, {plan.tokens} token{'s' * (plan.tokens > 1)} of each an iteration{cut}"
        made = f"recorded requests of {self.source}, topic weights {weights}, {flow}, seed {self.seed}"
        return f"{COMPOSED} {made}, kit.py generate; not a recording of a server"


def add_composed_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of --family requests; each is None when not given."""
    group = parser.add_argument_group("--family requests")
    group.add_argument(
        "--requests",
        type=Path,
        metavar="FILE",
        help="required: recorded requests, an .npz in a form of traces/conversion/stacked_requests.py, or a folder of "
        "the lab",
    )
    group.add_argument("--model", type=plain_name, metavar="NAME", help="required: the model's name in the grid")
    group.add_argument(
        "--topics",
        type=Path,
        metavar="YAML",
        help="for each topic a list of words: a label that contains a word belongs to the topic (default: each label "
        "is a topic)",
    )
    group.add_argument(
        "--weights", choices=COURSES, help=f"weights of the topics over time (default: {DEFAULT.weights})"
    )
    group.add_argument(
        "--switch-every",
        nargs="+",
        type=integer_from(1),
        metavar="N",
        help="iterations between two switches; two numbers: random between least and most (default: "
        f"{DEFAULT.switch_every[0]})",
    )
    group.add_argument(
        "--in-flight",
        type=integer_from(1),
        metavar="N",
        help=f"number of requests at the same time (default: {DEFAULT.in_flight})",
    )
    group.add_argument(
        "--tokens",
        type=integer_from(1),
        metavar="N",
        help=f"tokens of a request in an iteration (default: {DEFAULT.tokens})",
    )
    group.add_argument(
        "--longest", type=integer_from(1), metavar="N", help="cut requests after N tokens (default: no cut)"
    )
    group.add_argument(
        "--licence", metavar="TEXT", help=f"licence of the recorded requests (default: {UNKNOWN_LICENCE})"
    )


def composed_trace(options: argparse.Namespace) -> ComposedTrace:
    """The trace that the options ask for, with the requests read. Raises OrganizerError."""
    for name in NEEDED:
        if getattr(options, name) is None:
            raise _wrong(f"--family requests needs --{name}", "none", "a value", f"give --{name}")
    plan = _plan(options)
    requests = read_requests(options.requests)
    source = _with_digits(options.requests)
    if options.topics:
        topics = grouped_topics(requests.labels, read_words(options.topics))
        source += f", topics of {_with_digits(options.topics)}"
    else:
        topics = label_topics(requests.labels)
    name, licence = f"{options.model}/{options.dataset}", options.licence or UNKNOWN_LICENCE
    iterations = options.iterations or COMPOSED_ITERATIONS
    return ComposedTrace(name, requests, topics, plan, iterations, options.seed, source, licence)


def _plan(options: argparse.Namespace) -> Composition:
    given: dict[str, Any] = {name: getattr(options, name) for name in asdict(DEFAULT)}
    if every := options.switch_every:
        if options.weights != "switching":
            got = f"--weights {options.weights or DEFAULT.weights}"
            raise _wrong(
                "--switch-every needs --weights switching", got, "--weights switching", "leave one of them out"
            )
        if len(every) > 2 or every != sorted(every):
            expected = "one number, or the least and the most"
            raise _wrong(
                "--switch-every has the wrong form", " ".join(map(str, every)), expected, "correct --switch-every"
            )
        given["switch_every"] = (every[0], every[-1])
    return Composition(**{name: value for name, value in given.items() if value is not None})


def _with_digits(path: Path) -> str:
    file = path / HEAD if path.is_dir() else path
    return f"{path.name} (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:8]})"


def _wrong(what: str, got: str, expected: str, next_step: str) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, "generate")
