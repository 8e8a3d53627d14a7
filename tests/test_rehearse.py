"""The dress rehearsal: honest scores to the last digit, none that was not earned, and what the platform would say."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

import kit
import rehearse
from bundles import KEYS
from bundling.parts import Files, bundle_files, read_phases
from bundling.tree import Tree
from bundling.wheel import PYCRYPTODOME, vendored
from commands.archive import archive, unpack
from guide import follow_the_correction, section
from page_parser import Page
from placement.errors import OrganizerError
from placement.evaluation.result_files import FILES
from placement.evaluation.signature import PUBLISHED_KEY
from placement.isolation import landlock
from placement.trace import trace_sha256
from rehearsal import board, container, engines, worker
from rehearsal.phase import DETAILS, LivePhase, Scores
from submissions import DECLINES, ROOT, grid_mapping, stored_hotness, write_policy

REASON = container.available() or ("" if landlock.version() else "the kernel has no Landlock")
if not REASON and platform.machine() != "x86_64":
    REASON = "the bundle's package for sealed traces is of x86_64"
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)
PHASES = ("development", "final")
NEUTRAL = {"Small/one": "Small/trace-01", "Large/two": "Large/trace-02"}
DS_EPLB = (ROOT / "starting_kit" / "policies" / "ds_eplb" / "policy.py").read_text(encoding="utf-8")
COMMAND = "command: python3 /app/program/attack.py\n"


class Rehearsed(NamedTuple):
    """Exit code and text of a rehearsal, and where it left its files."""

    code: int
    text: str
    output: Path

    @property
    def last(self) -> str:
        return self.text.rstrip("\n").rpartition("\n")[2]

    def scores(self, phase: str) -> dict[str, float]:
        return json.loads(self.zipped(phase, "scoring_result.zip")["scores.json"])

    def zipped(self, phase: str, name: str = "prediction_result.zip") -> dict[str, bytes]:
        return unpack((self.output / phase / name).read_bytes())


class World(NamedTuple):
    """A bundle, the traces of its grids, a folder for outputs; whether the machine is asked what it has."""

    bundle: Path
    traces: Path
    folder: Path
    asks: bool = False
    refusal: str = ""

    def rehearse(self, submission: Path, *options: str) -> Rehearsed:
        """Rehearse a submission."""
        output = self.folder / "rehearsals" / hashlib.sha256(repr((submission, options)).encode()).hexdigest()[:8]
        named = {"bundle": self.bundle, "submission": submission, "traces": self.traces, "output": output}
        with redirect_stdout(StringIO()) as printed, pytest.MonkeyPatch.context() as patch:
            if not self.asks:
                patch.setattr(rehearse, "look_inside", lambda *_: "not asked, to save time")
                patch.setattr(container, "available", lambda: self.refusal)
            code = rehearse.main([*(text for key, path in named.items() for text in (f"--{key}", str(path))), *options])
        return Rehearsed(code, printed.getvalue(), output)


def build(phases: Path) -> Files:
    """The files of the repository's bundle with these phases."""
    wheels = ROOT / "build" / "wheels"
    try:
        return bundle_files(Tree(ROOT), read_phases(phases, ROOT), KEYS, lambda: vendored(PYCRYPTODOME, wheels))
    except OrganizerError as error:
        if PYCRYPTODOME.requirement in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The bundle that ships."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "competition.zip").write_bytes(archive(build(ROOT / "tools" / "phases.yaml")))
    return World(folder / "competition.zip", ROOT / "sample_traces", folder, asks=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A bundle of the tiny grid: open in one phase; hidden, under neutral names, in the other."""
    folder, traces = tmp_path_factory.mktemp("tiny"), {}
    for name, neutral in NEUTRAL.items():
        hotness = stored_hotness(name.partition("/")[0])
        traces[name] = {"shape": list(hotness.shape), "sha256": trace_sha256(hotness)}
        for path in (folder / "traces" / f"{name}.npy", folder / "neutral" / f"{neutral}.npy"):
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, hotness)
    (folder / "traces" / "manifest.yaml").write_text(yaml.safe_dump({"traces": traces}))
    grid = grid_mapping()
    grid["cases"] = [
        {"model": "Small", "dataset": "one", "ep": [4]},
        {"model": "Large", "dataset": "two", "ep": [6], "redundant_experts": 4},
    ]
    cases = [
        case | {"dataset": NEUTRAL[f"{case['model']}/{case['dataset']}"].partition("/")[2]} for case in grid["cases"]
    ]
    hidden = grid | {"name": "tiny-hidden", "hidden": True, "sandbox": "required", "cases": cases}
    phases = {}
    for phase, content, place in (("development", grid, "traces"), ("final", hidden, "neutral")):
        (folder / f"{phase}.yaml").write_text(yaml.safe_dump(content))
        phases[phase] = {"grid": str(folder / f"{phase}.yaml"), "reference": str(folder / phase)}
        paths = ("--grid", phases[phase]["grid"], "--traces", folder / place, "--output", folder / phase)
        assert kit.main(["reference", *(str(argument) for argument in paths)]) == 0
    (folder / "phases.yaml").write_text(yaml.safe_dump(phases))
    # No program looks into the kit, whose traces each rehearsal would read.
    files = build(folder / "phases.yaml") | {"starting_kit.zip": archive({"README.md": b""})}
    (folder / "competition.zip").write_bytes(archive(files))
    return World(folder / "competition.zip", folder / "traces", folder)


@pytest.fixture(scope="module")
def honest(tiny: World) -> Rehearsed:
    """A policy that declines, in both phases: what others fall back to, and results to replay."""
    return tiny.rehearse(write_policy(tiny.folder / "honest", DECLINES))


# Scores


@pytest.mark.modes
def test_the_template_scores_as_at_home_in_both_phases(sample: World, tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "starting_kit" / "kit.py", "run", "--output", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    expected = json.loads((tmp_path / "scoring" / "scores.json").read_bytes())
    done = sample.rehearse(ROOT / "starting_kit" / "policy.py")
    assert done.code == 0, done.text
    assert [done.scores(phase) for phase in PHASES] == [expected] * 2
    assert done.last == f"composite_score: {expected['composite_score']!r}"
    assert done.text.count("\nstatus: Finished\n") == 2
    development, final = done.text.split("=== Final")
    assert "(hidden from participants" not in development
    assert "--- prediction_ingestion_stdout (hidden from participants in this phase) ---" in final
    assert "pycryptodome none" in development and "from /app/program/vendor/Crypto/" in final
    row = "    2.1063       48789.0000          1.1565               0.1521"
    assert "\n89.7551  " in final and f"{row}\nranked by composite_score, the highest first\n" in final
    names = {"prediction_result.zip", "scoring_result.zip", "detailed_results.html", "prediction_ingestion_stdout.txt"}
    for phase in PHASES:
        assert names <= {path.name for path in (done.output / phase).iterdir()}
        assert set(done.zipped(phase)) == {*FILES, "metadata"}
    for secret in KEYS.values():
        assert secret not in done.text
    record = yaml.safe_load(done.zipped("final")["metadata"])
    assert record["exitCode"] is None and record["ingestionExitCode"] == 0
    assert record["elapsedTime"] == record["ingestionElapsedTime"]


def test_a_tiny_bundle_scores_alike_in_both_phases(honest: Rehearsed) -> None:
    assert honest.code == 0, honest.text
    assert honest.scores("development") == honest.scores("final")
    assert "/app/data/tiny/Small/one: Small/one of " in honest.text
    assert "/app/data/tiny-hidden/Large/trace-02: Large/two of " in honest.text


def test_sealed_traces_are_taken_as_they_are(tiny: World, honest: Rehearsed, tmp_path: Path) -> None:
    (tmp_path / "trace.key").write_text(KEYS["trace.key"])
    command = [sys.executable, ROOT / "tools" / "seal.py", "--traces", tiny.traces]
    command += ["--output", tmp_path / "sealed", "--key", tmp_path / "trace.key"]
    command += [f"--rename={old}={new}" for old, new in NEUTRAL.items()]
    subprocess.run(command, check=True, capture_output=True)
    world = tiny._replace(traces=tmp_path / "sealed")
    done = world.rehearse(tiny.folder / "honest", "--phase", "Final")
    assert done.code == 0 and "trace-02 of " in done.text and "sealed with" not in done.text
    assert done.scores("final") == honest.scores("final")


# Policies


@pytest.mark.parametrize(
    ("source", "reason", "phase"),
    [
        ("def rebalance(*_):\n    raise KeyError('oh')\n", "crashed", "development"),
        ("import signal\ndef rebalance(*_):\n    while True:\n        signal.pause()\n", "timeout", "final"),
    ],
)
def test_a_policy_that_crashes_or_hangs_fails(
    tiny: World, tmp_path: Path, source: str, reason: str, phase: str
) -> None:
    world = changed_bundle(tiny, tmp_path, limit_calls) if reason == "timeout" else tiny
    done = world.rehearse(write_policy(tmp_path / "submission", source), "--phase", phase)
    assert done.code == 1
    assert done.last == "No score: scoring ended with exit code 1. Next: read the log above", done.text
    assert f"\n{reason}: " in done.text and "\nNo score: failed: " in done.text and "status: Failed" in done.text
    assert "note: ingestion ended with exit code 1, which the platform ignores" in done.text
    assert "scores.json" not in done.zipped(phase, "scoring_result.zip")
    assert (done.output / phase / "detailed_results.html").is_file()


def test_a_failed_final_tells_its_participant_place_status_and_next_step(tiny: World, tmp_path: Path) -> None:
    # In one case alone, as the first of several to fail ends the others.
    raising = "    if devices == 4:\n        raise KeyError(f'secret {hotness.sum()}')\n"
    source = f"def rebalance(hotness, devices, _):\n{raising}    return False, [], None, None\n"
    done = tiny.rehearse(write_policy(tmp_path / "submission", source), "--phase", "final")
    # What is left to the participant: "Failed", no link, no log, and the page at the guide's address.
    assert done.code == 1 and "\nstatus: Failed\n" in done.text
    assert f"note: the platform links no page for a Failed submission; the page lies at {DETAILS}" in done.text
    assert "--- scoring_stdout (hidden from participants in this phase) ---" in done.text
    page = " ".join("".join(Page((done.output / "final" / "detailed_results.html").read_text()).texts).split())
    assert "No score: failed" in page
    told = "Small/trace-01 ep 4, call 1 (iteration 4): crashed. Hidden traces: no more is told. Next: repeat the"
    hint = "The policy raised an exception, or the policy's process ended. Most failures occur on the kit's traces"
    assert f"{told} failure with the kit.{hint}" in page, page
    assert not any(word in page for word in ("secret", "KeyError", "Small/one"))


def test_the_guides_correction_is_followed_with_real_programs(tiny: World, tmp_path: Path) -> None:
    submission = write_policy(tmp_path / "ann", DS_EPLB)

    def programs(world: World) -> Callable[[str], Scores | None]:
        @cache
        def run(_: str) -> Scores | None:
            done = world.rehearse(submission, "--phase", "final")
            return done.scores("final") if done.code == 0 else None

        return run

    competition = yaml.safe_load((ROOT / "competition.yaml").read_text(encoding="utf-8"))
    wrong = programs(changed_bundle(tiny, tmp_path, score_too_high))
    phase = LivePhase(competition["phases"][1], competition["leaderboards"][0], wrong)
    phase.submit("ann", "ann.zip", day=1)
    boards = follow_the_correction(phase, programs(tiny), day=2)
    old, new = [("ann", pytest.approx(110.0))], [("ann", 100.0)]
    assert [*boards.values()] == [old, old, old, [], new, new, new]


HOSTILE = (
    """
import glob, os, threading

def attempt(name, action):
    try:
        print("OPEN" if action() else "nothing", name, flush=True)
    except OSError as error:
        print("closed", name, error.errno, flush=True)

def write(name):
    with open(f"/app/output/{name}", "w") as file:
        return file.write('{"composite_score": 1000}')

def for_ever():
    while True:
        for name in ("results.json", "results.sig", "scores.json", ".results.json.part", "metadata"):
            try:
                write(name)
                print("OPEN", name, flush=True)
            except OSError:
                pass

for path in ("/app/program/keys/signing.key", "/app/program/keys/trace.key", "/app/data/tiny/Small/one.npy",
             "/app/data/tiny-hidden/Small/trace-01.sealed", "/app/input/ref/ds_eplb.json", "/app/output/results.json"):
    attempt(path, lambda: open(path, "rb").read())
for path in ("/app/data/*", "/app/data/*/*", "/app/program/*", "/app/output/*"):
    attempt(path, lambda: glob.glob(path))
for name in ("results.json", "results.sig", "scores.json", "metadata"):
    attempt(name, lambda: write(name))
attempt("background", lambda: os.fork() or for_ever())
try:
    threading.Thread(target=for_ever, daemon=True).start()
except RuntimeError:
    print("closed thread", flush=True)
"""
    + DS_EPLB
)


def test_a_hostile_policy_gets_the_score_that_it_earns(tiny: World, tmp_path: Path) -> None:
    done = tiny.rehearse(write_policy(tmp_path, HOSTILE))
    assert done.code == 0, done.text
    assert "closed results.json" in done.text and "OPEN" not in done.text
    for phase in PHASES:
        assert done.scores(phase)["composite_score"] == 100.0
        assert set(done.zipped(phase)) == {*FILES, "metadata"}


# Scores that were not earned


@pytest.fixture(scope="module")
def loot(honest: Rehearsed) -> dict[str, dict[str, bytes]]:
    """Results to hand in instead of a run: older ones with the right signature, and dreamt ones with the public key."""
    loot = {}
    for phase in PHASES:
        old = {name: honest.zipped(phase)[name] for name in FILES}
        results = json.loads(old["results.json"])
        for row in results["cases"]:
            row |= {"mean_par": 1.0, "transmit_amount": 1}
        results["duration_seconds"] = 0.3
        data = json.dumps(results).encode()
        signature = hmac.new(PUBLISHED_KEY, data, hashlib.sha256).hexdigest().encode()
        loot |= {f"replayed {phase}": old, f"forged {phase}": old | {"results.json": data, "results.sig": signature}}
    return loot


ATTACK = """
import os, shutil, time
from pathlib import Path

print("attack: the command runs", flush=True)
if HIDE:
    # The ingestion program shall find nothing to refuse: it sees the same folder.
    os.remove("/app/program/metadata.yaml")
end = time.monotonic() + PATIENCE
while not os.path.exists("/app/output/results.sig") and time.monotonic() < end:
    time.sleep(0.001)
for path in Path("/app/program/loot").iterdir():
    shutil.copy(path, "/app/output")
Path("/app/output/scores.json").write_text('{"composite_score": 1000}')
print("attack: the files are placed", flush=True)
"""


def command_submission(folder: Path, attack: str, files: dict[str, bytes], policy: str = DECLINES) -> Path:
    """A submission with a command of its own."""
    write_policy(folder, policy, {"attack.py": attack, "metadata.yaml": COMMAND})
    (folder / "loot").mkdir()
    # A zip holds no empty folder.
    for name, data in {"more": b"", **files}.items():
        (folder / "loot" / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("kind", "order", "hide"),
    [
        ("forged", "before", False),
        ("forged", "beside", False),
        ("forged", "beside", True),
        ("replayed", "before", True),
        ("replayed", "beside", False),
        ("replayed", "beside", True),
    ],
)
def test_a_command_of_its_own_gains_no_score(
    tiny: World, loot: dict[str, dict[str, bytes]], tmp_path: Path, kind: str, order: str, hide: bool
) -> None:
    phase = "final" if kind == "replayed" else "development"
    attack = f"HIDE, PATIENCE = {hide}, {0 if order == 'before' else 600}\n{ATTACK}"
    submission = command_submission(tmp_path / "submission", attack, loot[f"{kind} {phase}"])
    done = tiny.rehearse(submission, "--phase", phase, "--own-command", order)
    assert done.code == 1, done.text
    assert "attack: the files are placed" in done.text
    if order == "before" and not hide:
        reason = "refused: submission: a submission must not contain a command"
    elif kind == "forged" and order == "beside":
        reason = "results.sig: does not sign results.json. Got: a signature with the published key"
    else:
        reason = "metadata: a program of the submission ran beside the ingestion program"
    assert "exit code 1" in done.last and reason in done.text, done.text
    assert "scores.json" not in done.zipped(phase, "scoring_result.zip")
    # What the organizers' guide says to look for.
    guide = section("### A submission with a command")
    assert reason.startswith("results.sig") or f"`{reason.rpartition(': ')[2]}`" in " ".join(guide.split())
    assert (done.output / phase / "prediction_stdout.txt").read_text() and "*prediction_stdout*" in guide
    record = yaml.safe_load(done.zipped(phase)["metadata"])
    assert record["exitCode"] is not None and record["elapsedTime"] != record["ingestionElapsedTime"]


def test_an_old_result_whose_time_is_not_this_runs_gives_no_score(
    tiny: World, loot: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a worker that has lost sight of the submission's own container.
    record = worker.record
    monkeypatch.setattr(worker, "record", lambda path, ended, own: record(path, ended._replace(seconds=9999.0), None))
    attack = f"HIDE, PATIENCE = False, 600\n{ATTACK}"
    submission = command_submission(tmp_path / "submission", attack, loot["replayed final"])
    done = tiny.rehearse(submission, "--phase", "final", "--own-command", "beside")
    # It may be a slow worker's, too, so nobody is accused.
    assert done.code == 2 and "the container's start and end took longer than the grid allows" in done.text
    assert "scores.json" not in done.zipped("final", "scoring_result.zip")


def test_files_that_lie_in_the_output_beforehand_are_gone(
    tiny: World, loot: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    write_policy(tmp_path, "import absent\n")
    for name, data in {**loot["replayed final"], "scores.json": b'{"composite_score": 1000}', "a.html": b""}.items():
        (tmp_path / name).write_bytes(data)
    done = tiny.rehearse(tmp_path, "--phase", "final")
    assert done.code == 1 and "exit code 1" in done.last and "cases failed" in done.text, done.text
    assert set(done.zipped("final")) == {*FILES, "metadata"}


def test_an_output_that_cannot_be_emptied_keeps_no_score(
    tiny: World, loot: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    # Of root's own folder without rights, root without capabilities can list nothing.
    attack = f"HIDE, PATIENCE = True, 0\n{ATTACK}\nos.makedirs('/app/output/a/b')\nos.chmod('/app/output/a', 0)\n"
    submission = command_submission(tmp_path / "submission", attack, loot["replayed final"])
    done = tiny.rehearse(submission, "--phase", "final")
    assert done.code == 1 and "the output cannot be written. Got: PermissionError" in done.text
    # What is deleted before the folder is met depends on the file system; the verdict does not.
    assert "metadata: a program of the submission ran beside" in done.text


def test_a_file_of_the_worker_s_own_name_fails(tiny: World, tmp_path: Path) -> None:
    attack = f"HIDE, PATIENCE = True, 600\n{ATTACK}"
    submission = command_submission(tmp_path / "submission", attack, {"metadata": b"elapsedTime: null\n"})
    done = tiny.rehearse(submission, "--phase", "development", "--own-command", "beside")
    assert done.code == 1
    assert done.last == "No score: Error, the output directory already contains a metadata file"


SEARCH = """
import json, os, socket, time
from pathlib import Path

end = time.monotonic() + 600
while not os.path.exists("/app/output/results.sig") and time.monotonic() < end:
    time.sleep(0.001)
secrets = json.loads(Path("/app/program/secrets.json").read_text())
secrets = {name: bytes.fromhex(text) for name, text in secrets.items()}
seen = []
for root in ("/app", "/tmp", "/root", "/home", "/var", "/run", "/mnt", "/opt", "/srv", "/dev/shm", "/.host"):
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(place, name) not in LIBRARIES]
        for name in names:
            path = os.path.join(place, name)
            if path.startswith("/app/program") or not os.path.isfile(path):
                continue
            seen.append(path)
            data = open(path, "rb").read()
            for secret, text in secrets.items():
                if text in data:
                    print("OPEN:", secret, "in", path, flush=True)
for process in Path("/proc").glob("[0-9]*"):
    seen.append(f"{process.name} {(process / 'cmdline').read_bytes()}")
print("seen:", *sorted(seen), flush=True)
try:
    open("/app/data/x", "w")
    print("OPEN: data")
except OSError as error:
    print("closed: data", error.errno)
try:
    socket.create_connection(("1.1.1.1", 53), 1)
    print("OPEN: network")
except OSError:
    print("closed: network")
"""


def test_its_own_container_holds_no_secret(tiny: World, tmp_path: Path) -> None:
    hotness = stored_hotness("Large")
    secrets = {
        "signing key": bytes.fromhex(KEYS["signing.key"]),
        "signing key's text": KEYS["signing.key"].encode(),
        "trace key": bytes.fromhex(KEYS["trace.key"]),
        "trace key's text": KEYS["trace.key"].encode(),
        "trace": hotness[3].tobytes(),
        "trace as text": json.dumps(hotness[3].tolist()).encode()[:60],
        "reference": b"static_mean_par",
        "honest name": b"Large/two",
    }
    content = json.dumps({name: text.hex() for name, text in secrets.items()})
    # It hides its command, so that the ingestion program runs the policy on the hidden traces.
    source = (
        f"import os\nos.remove('/app/program/metadata.yaml')\nLIBRARIES = {[sys.prefix, sys.base_prefix]}\n{SEARCH}"
    )
    submission = command_submission(tmp_path / "submission", source, {}, DS_EPLB)
    (submission / "secrets.json").write_text(content)
    done = tiny.rehearse(submission, "--phase", "final", "--own-command", "beside")
    assert done.code == 1 and "ran beside the ingestion program" in done.text
    log = (done.output / "final" / "prediction_stdout.txt").read_text()
    assert "OPEN" not in log, log
    assert "/app/data/tiny-hidden/Large/trace-02.sealed" in log and "/app/output/results.json" in log
    assert "closed: data" in log and "closed: network" in log
    assert "ingestion.py" not in log


# What the platform would say


def changed_bundle(tiny: World, folder: Path, change: Any) -> World:
    """The tiny bundle with its content and its files changed."""
    files = unpack(tiny.bundle.read_bytes())
    content = yaml.safe_load(files["competition.yaml"])
    change(content, files)
    files["competition.yaml"] = yaml.safe_dump(content).encode()
    (folder / "changed.zip").write_bytes(archive(files))
    return World(folder / "changed.zip", tiny.traces, folder)


def test_a_passed_time_limit_is_told_and_stops_nothing(tiny: World, tmp_path: Path) -> None:
    # Any container takes longer than that to start.
    world = changed_bundle(tiny, tmp_path, lambda content, _: content["phases"][0].update(execution_time_limit=1e-6))
    done = world.rehearse(write_policy(tmp_path / "submission", DECLINES), "--phase", "development")
    assert done.code == 0 and "the limit was passed; the platform stops no container" in done.text


def test_a_container_that_goes_on_is_killed_in_the_end(tiny: World, tmp_path: Path) -> None:
    submission = command_submission(
        tmp_path / "submission", "import time\nprint('here', flush=True)\ntime.sleep(600)", {}
    )
    # However slow the machine is, one of these is enough for the start.
    for seconds in (2, 8, 32, 128):
        done = tiny.rehearse(submission, "--phase", "development", "--give-up", str(seconds))
        if "\nhere\n" in done.text and "must not contain a command" in done.text:
            break
    assert done.code == 1 and f"note: prediction: killed after {seconds} s" in done.text
    assert "--- prediction_stdout ---\nhere\n" in done.text
    assert "a submission must not contain a command" in done.text


@pytest.mark.parametrize("command", ["['python3', 'x']", "sh -c 'touch $output/$submission_program'"])
def test_a_command_that_cannot_be_run_changes_nothing(tiny: World, tmp_path: Path, command: str) -> None:
    submission = write_policy(tmp_path, DECLINES, {"metadata.yaml": f"command: {command}\n"})
    done = tiny.rehearse(submission, "--phase", "development")
    assert done.code == 1 and "refused: submission: a submission must not contain a command" in done.text


def test_links_in_an_output_are_not_followed(tiny: World, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of this machine")
    attack = f"HIDE, PATIENCE = True, 600\n{ATTACK}\nos.symlink({str(tmp_path / 'secret')!r}, '/app/output/link')\n"
    attack += "os.symlink('/app', '/app/output/folder')\nos.mkfifo('/app/output/pipe')\n"
    attack += "os.unlink('/app/output/results.json')\nos.symlink('/etc/passwd', '/app/output/results.json')\n"
    attack += "print('\\x1b[2J')\n"
    submission = command_submission(tmp_path / "submission", attack, {})
    done = tiny.rehearse(submission, "--phase", "development", "--own-command", "beside")
    assert done.code == 1 and "metadata: a program of the submission ran beside" in done.text, done.text
    assert "no plain files, so they are not in prediction_result.zip: folder, link, pipe, results.json" in done.text
    assert not {"link", "folder", "pipe", "results.json"} & set(done.zipped("development"))
    assert "\x1b" not in done.text and "\\x1b[2J" in done.text


def test_a_name_that_is_no_text_fails(tiny: World, tmp_path: Path) -> None:
    attack = f"HIDE, PATIENCE = True, 600\n{ATTACK}\nopen(b'/app/output/\\xff', 'w')\n"
    submission = command_submission(tmp_path / "submission", attack, {})
    done = tiny.rehearse(submission, "--phase", "development", "--own-command", "beside")
    assert done.code == 1 and "the output cannot be zipped: UnicodeEncodeError" in done.last


def test_what_is_no_zip_fails(tiny: World, tmp_path: Path) -> None:
    (tmp_path / "plain.zip").write_text("no zip")
    done = tiny.rehearse(tmp_path / "plain.zip", "--phase", "development")
    assert done.code == 1 and done.last.startswith("No score: Bad or empty zip file")


def test_a_zip_is_taken_as_it_is(tiny: World, honest: Rehearsed, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w", zipfile.ZIP_LZMA) as zipped:
        zipped.writestr("folder/policy.py", DECLINES)
    done = tiny.rehearse(tmp_path / "mine.zip", "--phase", "development")
    assert done.code == 0 and done.scores("development") == honest.scores("development")
    assert "policy.py was found in the folder" in done.text
    name = tmp_path / f"{'x' * 61}.zip"
    shutil.copy(tmp_path / "mine.zip", name)
    assert "no more than 64 characters" in tiny.rehearse(name, "--phase", "development").last


# Organizers' errors


def test_other_traces_than_the_reference_s_are_the_organizers_error(tiny: World, tmp_path: Path) -> None:
    shutil.copytree(tiny.traces, tmp_path / "traces")
    hotness = stored_hotness("Small")[::-1]
    np.save(tmp_path / "traces" / "Small" / "one.npy", hotness)
    manifest = yaml.safe_load((tiny.traces / "manifest.yaml").read_text())
    manifest["traces"]["Small/one"]["sha256"] = trace_sha256(hotness)
    (tmp_path / "traces" / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    world = tiny._replace(traces=tmp_path / "traces", folder=tmp_path)
    done = world.rehearse(tiny.folder / "honest", "--phase", "development")
    assert done.code == 2 and "scoring ended with exit code 2" in done.last and "another trace" in done.text
    told = "traces: make the reference again with kit.py reference, and build the bundle again."
    assert done.last.endswith(told)


def drop_column(content: dict[str, Any], _: Files) -> None:
    content["leaderboards"][0]["columns"].append({"index": 9, "key": "more", "title": "more"})


def drop_command(content: dict[str, Any], files: Files) -> None:
    inner = unpack(files["ingestion_development.zip"])
    files["ingestion_development.zip"] = archive(inner | {"metadata.yaml": b"description: none\n"})


def drop_reference(content: dict[str, Any], files: Files) -> None:
    del content["tasks"][0]["reference_data"]


def limit_calls(content: dict[str, Any], files: Files) -> None:
    """Give every call of the last phase one second."""
    inner = unpack(files["ingestion_final.zip"])
    grid = yaml.safe_load(inner["grid.yaml"])
    grid["limits"]["call_seconds"] = 1
    files["ingestion_final.zip"] = archive(inner | {"grid.yaml": yaml.safe_dump(grid).encode()})


def score_too_high(content: dict[str, Any], files: Files) -> None:
    name, inner = "scores/modeled_runtime.py", unpack(files["scoring_program.zip"])
    changed = inner[name].replace(b"100 *", b"110 *")
    assert changed != inner[name]
    files["scoring_program.zip"] = archive(inner | {name: changed})


def drop_vendor(content: dict[str, Any], files: Files) -> None:
    inner = unpack(files["ingestion_final.zip"])
    kept = {name: data for name, data in inner.items() if not name.startswith("vendor/")}
    files["ingestion_final.zip"] = archive(kept)


@pytest.mark.parametrize(
    ("change", "phase", "text"),
    [
        (drop_column, "development", "scores.json lacks columns. Got: more."),
        (drop_command, "development", "ingestion_development.zip has no command"),
        (drop_reference, "development", "phase 'Development' cannot be run. Got: no zip for reference_data"),
        (drop_vendor, "final", "sealed traces: the library for sealed traces is missing"),
    ],
)
def test_a_faulty_bundle_is_told(tiny: World, tmp_path: Path, change: Any, phase: str, text: str) -> None:
    done = changed_bundle(tiny, tmp_path, change).rehearse(tiny.folder / "honest", "--phase", phase)
    assert done.code == 2 and text in done.text, done.text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--bundle", "/nowhere.zip"], "the bundle /nowhere.zip is missing"),
        (["--bundle", __file__], "File is not a zip file"),
        (["--phase", "autumn"], "there is no such phase. Got: autumn. Expected: development or final."),
        (["--traces", "/nowhere"], "the traces /nowhere are missing"),
        (["--traces", str(ROOT / "sample_traces")], "there is no trace for Small/one"),
        (["--submission", "/nowhere.zip"], "the submission /nowhere.zip is missing"),
    ],
)
def test_a_wrong_option_is_told(tiny: World, options: list[str], text: str) -> None:
    done = tiny.rehearse(ROOT / "starting_kit" / "policy.py", *options)
    assert done.code == 2 and done.last.startswith("rehearse.py: ") and text in done.last, done.text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Could not find scores file"),
        ("{", "cannot be decoded"),
        ("[1]", "is not an object"),
        ('{"a": NaN}', "a. Got: nan"),
        ('{"a": 1e10}', "a. Got: 10000000000.0"),
        ('{"a": "1"}', "a. Got: '1'"),
        ('{"a": null}', "a. Got: None"),
        ('{"a": true}', "a. Got: True"),
        ('{"a": {"b": 1}}', "a. Got: {'b': 1}"),
        ('{"a": 1}', "lacks columns. Got: b"),
    ],
)
def test_scores_that_the_platform_would_not_keep_are_refused(tmp_path: Path, content: str | None, text: str) -> None:
    if content is not None:
        (tmp_path / "scores.json").write_text(content)
    with pytest.raises(OrganizerError, match="scores") as raised:
        board.read_scores(tmp_path / "scores.json", [{"key": "a"}, {"key": "b"}])
    assert text in str(raised.value)


# Engines

# Does what Docker does with these options, with the stand-in.
DOCKER = """#!PYTHON
import sys
from pathlib import Path
from rehearsal import container
words = sys.argv[1:]
if words[0] != "run":
    sys.exit(words not in (["info"], ["image", "inspect", IMAGE]))
at = words.index(IMAGE)
options = [word.partition("=")[::2] for word in words[1:at]]
expected = {"--network": "none", "--cap-drop": "ALL", "--security-opt": "no-new-privileges", "--userns": "host"}
assert dict(options).items() >= expected.items() and dict(options)["--workdir"] == "/app/program"
volumes = [value.split(":") for name, value in options if name == "--volume"]
mounts = [container.Mount(Path(source), target, mode == "rw") for source, target, mode in volumes]
done = container.run(words[at + 1 :], mounts, python=Path(PYTHON))
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


def test_docker_is_preferred_where_it_has_the_image(
    tiny: World, honest: Rehearsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = "codalab/codalab-legacy:py312"
    names = {"IMAGE": image, "PYTHON": sys.executable}
    text = DOCKER.replace("#!PYTHON", f"#!{sys.executable}")
    for name, value in names.items():
        text = text.replace(name, repr(value))
    (tmp_path / "docker").write_text(text)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tools"))
    done = tiny.rehearse(tiny.folder / "honest", "--phase", "development")
    assert done.code == 0, done.text
    assert f"engine: docker, image {image}\n" in done.text
    assert done.scores("development") == honest.scores("development")
    engine, notes = engines.choose("other:image", Path(sys.executable), tmp_path)
    assert not isinstance(engine, engines.Client)
    assert "docker has no image other:image; `docker pull other:image` gets it" in notes[0]


def test_without_containers_nothing_is_rehearsed(tiny: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CLIENTS", ())
    world = tiny._replace(refusal="A container needs Linux, root and util-linux.")
    done = world.rehearse(ROOT / "starting_kit" / "policy.py")
    assert done.code == 3 and "note: A container needs Linux" in done.text and done.last.startswith("SKIPPED: ")


def test_nothing_is_left_behind(tiny: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    tiny.rehearse(tiny.folder / "honest", "--phase", "development")
    assert list((tmp_path / "tmp").iterdir()) == []
