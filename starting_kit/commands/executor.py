"""Where jobs run: in processes of this machine, or on workers of a Dask cluster (the extra `dask`)."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from .options import UsageError, show
from .places import INGESTION, KIT, SCORING, short

EXECUTORS = ("processes", "dask")
WAIT = "30s"
PYTHONPATH = "PYTHONPATH=" + ":".join(str(short(folder)) for folder in (KIT, INGESTION, SCORING))
MOST_NAMES = 3


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Declare --executor and --dask-address."""
    parser.add_argument(
        "--executor",
        choices=EXECUTORS,
        default="processes",
        help="run in processes of this machine, or on workers of Dask (needs the extra `dask`; default: %(default)s)",
    )
    parser.add_argument(
        "--dask-address",
        metavar="ADDRESS",
        help="with --executor dask: address of the scheduler, such as tcp://host:8786 (default: a cluster of --jobs "
        "workers on this machine). Scheduler and workers need this kit, the same packages, and "
        f"{PYTHONPATH}",
    )


@contextmanager
def chosen(name: str, address: str | None, jobs: int) -> Iterator[Executor | None]:
    """The Dask executor, or None for processes of this machine (each command starts these itself).

    Raises UsageError, also when packages are missing and when no scheduler answers.
    """
    if name != "dask":
        if address:
            expected, next_step = (
                "--executor dask with --dask-address",
                "add --executor dask, or leave --dask-address out",
            )
            raise UsageError("--dask-address needs --executor dask", f"--executor {name}", expected, next_step)
        yield None
        return
    if importlib.util.find_spec("distributed") is None:
        next_step = ".venv/bin/python -m pip install '.[dask]', or leave --executor out"
        raise UsageError(
            "--executor dask needs distributed", "distributed is not installed", "the extra `dask`", next_step
        )
    from distributed import Client, LocalCluster

    if address is None:
        with _own_cluster(LocalCluster, jobs) as cluster, Client(cluster) as client:
            yield client.get_executor(pure=False)
        return
    try:
        client = Client(address, timeout=WAIT)
    except (OSError, ValueError) as error:
        expected, next_step = (
            "the address of a Dask scheduler",
            "start one with `dask scheduler`, or correct the address",
        )
        raise UsageError("no Dask scheduler answers", f"{address}: {error}", expected, next_step) from None
    with client:
        check_kit(client, address)
        yield client.get_executor(pure=False)


def check_kit(client: Any, address: str) -> None:
    """Raise UsageError unless the scheduler and every worker can import the kit, and say so where no worker is there.

    A scheduler reads each job; a worker that cannot read one ends, and the job would wait for ever.
    """

    # Nested, so that the function is sent itself and not by its module's name.
    def has_kit() -> bool:
        return importlib.util.find_spec("sweeps") is not None

    found = {f"worker {worker}": has for worker, has in client.run(has_kit).items()}
    if not found:
        show(f"no worker is at {address} yet: jobs wait until one comes")
    lacking = [name for name, has in {"scheduler": client.run_on_scheduler(has_kit), **found}.items() if not has]
    if lacking:
        more = f" and {len(lacking) - MOST_NAMES} more" if len(lacking) > MOST_NAMES else ""
        got = f"no kit in {', '.join(lacking[:MOST_NAMES])}{more}"
        expected = f"{PYTHONPATH} and the kit's folder as working folder, for scheduler and workers"
        next_step = "start them again as starting_kit/sweeps/guide.md shows"
        raise UsageError("a part of the Dask cluster cannot import the kit", got, expected, next_step)


def _own_cluster(kind: Callable[..., Any], jobs: int) -> Any:
    """A cluster on this machine. A terminal's interrupt does not reach the workers; they end with this program."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return kind(n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL)
    finally:
        signal.signal(signal.SIGINT, before)
