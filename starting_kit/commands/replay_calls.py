"""`replay`: stop at one call of a case, with everything that the policy saw there, to look or to call the policy
again.
"""

from __future__ import annotations

import argparse
import code
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from placement.answer import Redeployment, check_answer
from placement.deployment import changed_slots
from placement.errors import PolicyError
from placement.evaluation.temporary import temporary_folder
from placement.grid import Case
from placement.isolation.interface import LoadedPolicy, load_policy
from placement.submission.folder import find_policy

from . import options as shared
from .machine import check_isolation
from .moment import Moment, moments
from .places import short
from .policy_folder import staged
from .selection import read_grid, select, short_name
from .worlds import check_traces, grid_for, world_of

EXAMPLES = """
replay my_policy --case DS-R1/generated:64 --call 2  open a Python prompt at the second call
replay my_policy --call 2 --again  call the policy again in this process; a failure shows a plain traceback
replay my_policy --call 2 --save call.npz  save the arrays of the call
"""
NAMES = "hotness, deployment, iteration, case, policy, instance"
PROMPT = f"""{{place}}: {NAMES}
Call policy(hotness.copy(), deployment.copy(), iteration); it has answered the earlier calls. Ctrl-D ends this.
instance is {{instance}}"""
INSTANCES = {
    "class": "the Policy object: vars(instance) is its state, instance.rebalance(...) returns its answer unread",
    "function": "the module policy.py: its variables are the state",
}
MOST_LAYERS = 10


def add_replay(commands: Any) -> None:
    """Declare the command `replay`."""
    parser = shared.add_command(
        commands, "replay", "stop at one call of a case, with everything that the policy saw there", EXAMPLES
    )
    add_call(parser)
    parser.add_argument("--again", action="store_true", help="call the policy again and print the answer; no prompt")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.npz", help="save hotness, deployment and iteration; no prompt"
    )
    parser.set_defaults(run=replay_command, grid=None)


def add_call(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name a call."""
    shared.add_policy_and_case(parser)
    parser.add_argument("--call", type=int, default=1, metavar="N", help="number of the call, from 1 (default: 1)")


def replay_command(options: argparse.Namespace) -> int:
    """Run the case up to the call, do what the options ask for, and return the exit code."""
    if options.save:
        _check_file(options.save)
    case = named_case(options)

    def look(folder: Path, seen: list[Moment], place: str) -> None:
        if options.again:
            print(_answer_line(policy_at(folder, seen).call(*seen[-1].arguments()), seen[-1], case))
        elif not options.save:
            _prompt(place, seen[-1], policy_at(folder, seen))

    return at_call(case, options, look, options.save)


def named_case(options: argparse.Namespace) -> Case:
    """The case of the options; changes options.grid to a file. Raises UsageError."""
    options.grid = grid_for(options.grid, options.traces)
    return one_case(options.grid, options.case)


def at_call(
    case: Case, options: argparse.Namespace, act: Callable[[Path, list[Moment], str], None], save: Path | None = None
) -> int:
    """Run the case up to the call, save the call's arrays, call the policy in this process, and return the exit code.

    act: is called with the policy's folder, the calls up to this one, and a text that names the call. An exception of
    the policy is shown as Python shows it.
    """
    here = Path.cwd()
    with temporary_folder(), staged(options.policy) as submission:
        folder = find_policy(submission)[0]
        seen = _moments(folder, case, options)
        place, moment = f"{case.name}, call {options.call} (iteration {seen[-1].iteration})", seen[-1]
        print(f"{place}: hotness {list(moment.hotness.shape)}, deployment {list(moment.deployment.shape)}", flush=True)
        if save:
            np.savez_compressed(
                _npz(save), hotness=moment.hotness, deployment=moment.deployment, iteration=moment.iteration
            )
            print(f"saved: {short(_npz(save))}", flush=True)
        try:
            act(folder, seen, place)
        except PolicyError as error:
            print(error.at(place))
            return 1
        except Exception:
            traceback.print_exc()
            print(
                f"{place}: the policy raised the exception above. Next: correct the policy and repeat this command",
                flush=True,
            )
            return 1
        finally:
            # Windows removes no folder that a process is in.
            os.chdir(here)
    return 0


def replay(
    policy: str | Path, case: str, call: int = 1, grid: str | Path | None = None, traces: str | Path | None = None
) -> Moment:
    """What a policy saw at a call: hotness, deployment, iteration and case. The case runs up to the call.

    case: such as "DS-R1/generated:64". Raises UsageError, PolicyError when an earlier call fails, and OrganizerError.
    """
    world = world_of(grid_for(grid, traces), traces)
    chosen = one_case(world.grid, case)
    check_traces(world, [chosen])
    shared.check_least("call", call, 1)
    with staged(policy) as submission:
        return moments(find_policy(submission)[0], chosen, read_grid(world.grid), world.traces, call)[-1]


def one_case(grid: Path, name: str | None) -> Case:
    """The named case, or the grid's first case. Raises UsageError."""
    whole = read_grid(grid)
    check_isolation(whole, grid)
    cases = select(whole, [name]) if name else [whole.cases[0]]
    if len(cases) > 1:
        names = ", ".join(map(short_name, cases))
        raise shared.UsageError("--case names several cases", name, f"one of {names}", "correct --case")
    return cases[0]


def _moments(folder: Path, case: Case, options: argparse.Namespace) -> list[Moment]:
    shared.check_least("--call", options.call, 1)
    world = world_of(options.grid, options.traces, None, options.seed)
    check_traces(world, [case])
    return moments(folder, case, read_grid(world.grid), world.traces, options.call)


def _check_file(path: Path) -> None:
    if path.is_dir() or _npz(path).is_dir():
        raise shared.UsageError("--save is a folder", str(path), "the name of a file", "correct --save")
    if not path.parent.is_dir():
        raise shared.UsageError(
            "the folder of --save is missing", f"no {path.parent}", "a path in an existing folder", "make the folder"
        )


def _npz(path: Path) -> Path:
    """The path that numpy writes: with the ending .npz."""
    return path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")


def policy_at(folder: Path, seen: list[Moment]) -> LoadedPolicy:
    """The policy in this process, after answering all calls but the last."""
    folder = folder.resolve()
    # As in a process of its own: its data files are found from there.
    os.chdir(folder)
    _forget_modules_named_in(folder)
    policy = load_policy(folder, seen[0].case)
    for number, moment in enumerate(seen[:-1], 1):
        answer = policy.call(*moment.arguments())
        if not _same(answer, moment.answer):
            print(
                f"note: at call {number} the policy answers differently here than in its own process: a random "
                "generator without a seed decides, or a library rounds differently under this shell's variables "
                "(OPENBLAS_CORETYPE)"
            )
    return policy


def _forget_modules_named_in(folder: Path) -> None:
    """Remove the kit's modules that have names of the policy's modules, so that the policy imports its own."""
    names = {path.stem for path in folder.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]


def _same(one: Redeployment | None, other: Redeployment | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def _answer_line(answer: Redeployment | None, moment: Moment, case: Case) -> str:
    """A valid answer in words. Raises PolicyError for an invalid answer."""
    if answer is None or not len(answer[0]):
        return "answer: keep the deployment"
    check_answer(*answer, case)
    layers, table = answer
    changed = changed_slots(moment.deployment[layers], table[layers])
    named = ", ".join(map(str, layers[:MOST_LAYERS].tolist())) + ", ..." * (len(layers) > MOST_LAYERS)
    return f"answer: redeploy {len(layers)} of {case.layers} layers ({named}), {changed} slots change"


def _prompt(place: str, moment: Moment, policy: LoadedPolicy) -> None:
    # At a prompt an interrupt ends what was typed, not the prompt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    variables = {name: getattr(moment, name) for name in ("hotness", "deployment", "iteration", "case")}
    variables |= {"policy": policy.call, "instance": policy.instance, "np": np}
    code.interact(PROMPT.format(place=place, instance=INSTANCES[policy.form]), local=variables, exitmsg="")
