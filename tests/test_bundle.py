"""Building a bundle: keys, the same bytes again, what lies where, the vendored package, and the kit that comes out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

import bundle
import seal
from bundles import KEYS, PACKAGE, ROOT, WHEEL, built, write_tree
from bundling.parts import KIT_README, Files, PhaseSource, kit_files, read_phases
from bundling.reader import members
from bundling.rules_programs import PHASE_REFERENCE
from bundling.rules_traces import source_traces
from bundling.tree import Tree, is_junk
from bundling.wheel import PYCRYPTODOME, Wheel, vendored
from commands.archive import archive, unpack
from placement.errors import OrganizerError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree, outside git."""
    return write_tree(tmp_path / "tree")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a small tree's bundle."""
    return built(write_tree(tmp_path_factory.mktemp("bundle") / "tree"))


def build(root: Path, output: Path, wheel: Wheel = WHEEL) -> int:
    """Build a tree's bundle with its own keys."""
    return bundle.build(root, output, root / "keys", root / bundle.PHASES, wheel)


# Keys


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "keys"
    umask = os.umask(0)
    try:
        assert bundle.main(["keys", "--keys", str(folder)]) == 0
    finally:
        os.umask(umask)
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(texts) == {"signing.key", "trace.key"}
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", text) for text in texts.values())
    assert len(set(texts.values())) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    printed = capsys.readouterr().out
    assert "Next: " in printed and not any(text.strip() in printed for text in texts.values())
    (folder / "trace.key").unlink()
    assert bundle.main(["keys", "--keys", str(folder)]) == 2
    assert "holds signing.key, but no trace.key. Expected: a folder without keys. Next: restore trace.key" in (
        capsys.readouterr().err
    )
    assert (folder / "signing.key").read_text() == texts["signing.key"] and not (folder / "trace.key").exists()


def test_git_ignores_keys_and_bundles() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"keys/", "dist/", "build/"} <= set(ignored)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read. Got: FileNotFoundError"), (b"ab" * 31, "holds no key. Got: 62 characters")],
)
def test_a_build_without_a_key_says_so(
    tree: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "keys" / "trace.key").unlink()
    if content is not None:
        (tree / "keys" / "trace.key").write_bytes(content)
    with pytest.raises(OrganizerError, match=re.escape(message)):
        build(tree, tree / "out.zip")
    assert not (tree / "out.zip").exists()


# The same bytes


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the folder, the order and times of files, umask, locale and hash seed are."""
    digests = set()
    program = "import sys, conftest, test_bundle as t; from pathlib import Path; "
    program += "sys.exit(t.build(Path(sys.argv[1]), Path(sys.argv[2])))"
    for number, (umask, locale) in enumerate([(0o022, "C"), (0o077, "C.UTF-8")]):
        root = write_tree(tmp_path / f"tree{number}" / ("deeper" * number))
        paths = sorted((path for path in root.rglob("*") if path.is_file()), reverse=bool(number))
        for path in paths:
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
            path.chmod(0o755 if number else 0o600)
            os.utime(path, (number * 10**8, number * 10**8))
        output = tmp_path / f"out{number}" / "competition.zip"
        environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": locale,
            "PYTHONHASHSEED": str(number),
            "PYTHONPATH": str(ROOT / "tests"),
        }
        command = [sys.executable, "-c", program, root, output]
        cwd = [tmp_path, root][number]
        done = subprocess.run(
            command, cwd=cwd, env=environment, umask=umask, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        digests.add(hashlib.sha256(output.read_bytes()).hexdigest())
        assert f"sha256 {hashlib.sha256(output.read_bytes()).hexdigest()}\n" in done.stdout
        assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert len(digests) == 1


def test_the_last_line_is_the_next_step_and_the_table_lists_the_parts(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tree, tree / "dist" / "competition.zip") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("Next: rehearse ")
    # Below the warnings.
    rows = lines[next(number for number, line in enumerate(lines) if line.startswith("part ")) + 1 :]
    parts = {line.split()[0]: int(line.split()[-1]) for line in rows if len(line.split()) == 3}
    with zipfile.ZipFile(tree / "dist" / "competition.zip") as zipped:
        assert {info.filename: info.file_size for info in zipped.infolist()} == parts


def test_a_build_that_fails_writes_nothing_and_says_that_the_older_bundle_is_older(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tree / "dist" / "competition.zip"
    assert build(tree, output) == 0
    older = output.read_bytes()
    text = (tree / "competition.yaml").read_text(encoding="utf-8")
    (tree / "competition.yaml").write_text(text.replace("Force_Best", "Add"), encoding="utf-8")
    assert build(tree, output) == 1
    printed = capsys.readouterr().out
    assert "submission_rule keeps another submission" in printed
    assert printed.splitlines()[-1] == f"Nothing was written. {output} is an older bundle."
    assert (output.read_bytes(), list(output.parent.iterdir())) == (older, [output])


def test_check_reads_a_built_bundle(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where arrays are stubs, the kit cannot run: test_own_bundle.py tries one.
    monkeypatch.setattr(bundle, "tried", lambda data: [])
    output = tree / "competition.zip"
    assert build(tree, output) == 0
    assert bundle.main(["check", str(output)]) == 0
    assert "no faults. Next: " in capsys.readouterr().out
    output.write_bytes(b"nothing")
    assert bundle.main(["check", str(output)]) == 1
    assert capsys.readouterr().out.endswith("1 fault\n")
    assert bundle.main(["check", str(tree / "absent.zip")]) == 2


# What lies where


def test_the_parts_hold_what_their_phase_needs(files: Files) -> None:
    development, final = (set(unpack(files[f"ingestion_{name}.zip"])) for name in ("development", "final"))
    assert {"ingestion.py", "metadata.yaml", "grid.yaml", "placement/__init__.py", "keys/signing.key"} <= development
    assert final - development == {
        "keys/trace.key",
        "vendor/Crypto/__init__.py",
        "vendor/crypto-1.dist-info/LICENSE.rst",
    }
    assert development < final
    for part in ("development", "final"):
        assert set(unpack(files[f"reference_{part}.zip"])) == {"ds_eplb.json", "series.npz", "signing.key"}
    grids = [yaml.safe_load(unpack(files[f"ingestion_{name}.zip"])["grid.yaml"]) for name in ("development", "final")]
    assert [(grid["name"], grid.get("hidden", False)) for grid in grids] == [("sample", False), ("final", True)]
    differing = {"name", "hidden", "sandbox", "cases"}
    assert {key: grids[0][key] for key in set(grids[0]) - differing} == {
        key: grids[1][key] for key in set(grids[1]) - differing
    }
    assert [(case["model"], case["ep"]) for case in grids[0]["cases"]] == [
        (case["model"], case["ep"]) for case in grids[1]["cases"]
    ]


def test_keys_lie_in_their_places_and_nowhere_else(files: Files) -> None:
    found = {
        name: {str(member) for member in members(files) if text.encode() in member.content.lower()}
        for name, text in KEYS.items()
    }
    stored = {member for places in found.values() for member in places if member.endswith(".zip")}
    places = {name: members_ - stored for name, members_ in found.items()}
    phases = ("development", "final")
    signing = {f"ingestion_{phase}.zip/keys/signing.key" for phase in phases}
    assert places["signing.key"] == signing | {f"reference_{phase}.zip/signing.key" for phase in phases}
    assert places["trace.key"] == {"ingestion_final.zip/keys/trace.key"}


def test_the_kit_is_a_subset_of_the_repository_without_hidden_grids(files: Files) -> None:
    kit = unpack(files["starting_kit.zip"])
    assert kit.pop("README.md") == KIT_README.read_bytes()
    for name, content in kit.items():
        if not name.endswith(".npz"):
            assert (ROOT / name.replace("Makefile", "kit.mk")).read_bytes() == content, name
    grids = {name for name in kit if re.match(r"ingestion_program/grid", name)}
    assert grids == {f"ingestion_program/{name}.yaml" for name in ("grid", "grid_practice", "grid_official")}
    assert {name.split("/")[0] for name in kit}.isdisjoint({"tests", "keys", ".git", "competition.yaml", "dist"})


def test_an_organizers_phases_may_lie_outside_of_the_tree(tree: Path, tmp_path: Path) -> None:
    grid = yaml.safe_load((tree / "ingestion_program" / "grid_final.yaml").read_text(encoding="utf-8"))
    private = tmp_path / "private"
    private.mkdir()
    (private / "grid.yaml").write_text(yaml.safe_dump(grid | {"name": "own"}), encoding="utf-8")
    content = yaml.safe_load((tree / bundle.PHASES).read_text(encoding="utf-8"))
    content["final"]["grid"] = str(private / "grid.yaml")
    (private / "phases.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    page = tree / "pages" / "data.md"
    page.write_text(page.read_text(encoding="utf-8").replace("| Final | final |", "| Final | own |"), encoding="utf-8")
    assert bundle.build(tree, tree / "out.zip", tree / "keys", private / "phases.yaml", WHEEL) == 0
    own = unpack(unpack((tree / "out.zip").read_bytes())["ingestion_final.zip"])
    assert own["grid.yaml"] == (private / "grid.yaml").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "names no phases"),
        ("a: [", "cannot be read"),
        ("Final: {grid: a, reference: b}", "a phase's name. Got: 'Final'"),
        ("final: {grid: a}", "exactly the keys grid and reference"),
        ("final: {grid: 1, reference: b}", "a path for each key"),
        ("final: {grid: a, reference: b, trace: c}", "exactly the keys grid and reference, and traces, which may be"),
        ("final: {grid: a, reference: b, traces: 1}", "a path for each key"),
    ],
)
def test_a_wrong_phases_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "phases.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(OrganizerError, match=re.escape(message)):
        read_phases(tmp_path / "phases.yaml", tmp_path)


def test_a_reference_of_other_traces_than_the_phases_folder_ends_the_build(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = json.loads((tree / "reference_data" / "final" / "ds_eplb.json").read_bytes())
    hashes = {f"{row['model']}/{row['dataset']}": row["trace_sha256"] for row in reference["cases"]}
    entries = {name: {"sha256": sha256} for name, sha256 in hashes.items()}
    (tree / "sealed").mkdir()
    manifest = tree / "sealed" / "manifest.yaml"
    manifest.write_text(yaml.safe_dump({"traces": entries}), encoding="utf-8")
    phases = tree / bundle.PHASES
    phases.write_text(phases.read_text(encoding="utf-8") + "  traces: sealed\n", encoding="utf-8")
    assert build(tree, tree / "out.zip") == 0
    # Sealed again with other ids.
    entries["DS-R1/trace-01"]["sha256"] = "1d"
    manifest.write_text(yaml.safe_dump({"traces": entries}), encoding="utf-8")
    capsys.readouterr()
    (tree / "out.zip").unlink()
    assert build(tree, tree / "out.zip") == 1 and not (tree / "out.zip").exists()
    assert capsys.readouterr().out.splitlines()[0] == (
        f"phase final, {tree}/reference_data/final/ds_eplb.json: the reference was made from another trace "
        f"DS-R1/trace-01. Got: sha256 {hashes['DS-R1/trace-01']}. Expected: 1d, as in {manifest}. Next: "
        f"{PHASE_REFERENCE}."
    )
    manifest.write_text("traces: {}\n", encoding="utf-8")
    assert build(tree, tree / "out.zip") == 1
    assert "has a trace that the manifest lacks. Got: DS-R1/trace-01. Expected: " in capsys.readouterr().out


SMALL = """
name: final
hidden: true
window: 4
cost: {balanced_compute_seconds: 50.0, expert_bytes: 1, bandwidth_bytes_per_second: 1}
limits: {start_seconds: 1, call_seconds: 1, case_seconds: 1, grid_seconds: 1, memory_bytes: 1, trace_memory_bytes: 1,
  log_bytes: 1}
models: {Mine: {layers: 2, experts: 4}}
cases: [{model: Mine, dataset: trace-01, ep: [2]}]
"""


@pytest.mark.parametrize(
    ("old", "new", "key", "faults"),
    [
        ("", "", 1, []),
        (
            "hidden: true",
            "",
            1,
            ["phase final, {grid}: the grid is open, but its trace Mine/trace-01 is sealed. Got: no hidden: true."],
        ),
        (
            "layers: 2",
            "layers: 3",
            1,
            [
                "phase final, {grid}: the sizes of Mine are not those of its trace Mine/trace-01. Got: 3 layers, 4 "
                "experts. Expected: 2 layers, 4 experts, as in {sealed}/manifest.yaml. Next: correct the grid's models."
            ],
        ),
        ("", "", 2, ["phase final: trace.key does not open {sealed}/Mine/trace-01.sealed. Got: a file, a name and a "]),
    ],
)
def test_traces_that_the_grid_or_the_key_does_not_fit_are_found_before_the_upload(
    tmp_path: Path, old: str, new: str, key: int, faults: list[str]
) -> None:
    plain, sealed, grid = tmp_path / "plain" / "Mine", tmp_path / "sealed", tmp_path / "grid.yaml"
    plain.mkdir(parents=True)
    np.save(plain / "trace-01.npy", np.ones((9, 2, 4), np.int32))
    (tmp_path / "trace.key").write_text("01" * 32, encoding="ascii")
    paths = ("--traces", plain.parent, "--output", sealed, "--key", tmp_path / "trace.key")
    assert seal.main([str(text) for text in paths]) == 0
    sha256 = yaml.safe_load((sealed / "manifest.yaml").read_bytes())["traces"]["Mine/trace-01"]["sha256"]
    row = {"model": "Mine", "dataset": "trace-01", "trace_sha256": sha256}
    (tmp_path / "ds_eplb.json").write_text(json.dumps({"cases": [row]}), encoding="utf-8")
    grid.write_text(SMALL.replace(old, new, 1) if old else SMALL, encoding="utf-8")
    found = list(map(str, source_traces([PhaseSource("final", grid, tmp_path, sealed)], bytes([key] * 32))))
    expected = [text.format(grid=grid, sealed=sealed) for text in faults]
    assert len(found) == len(expected) and all(map(str.startswith, found, expected)), found


def test_arrays_that_git_tracks_out_of_place_are_warned_of(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / ".gitignore").write_text("keys/\nbuild/\n*.zip\n", encoding="utf-8")
    (tree / "counts").mkdir()
    (tree / "counts" / "hidden.npy").write_bytes(b"a recording")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    assert build(tree, tree / "out.zip") == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "warning: git tracks counts/hidden.npy, an array outside of sample_traces and reference_data. Everyone who "
        "gets the",
        "repository can read this file. If the array is hidden: git rm --cached counts/hidden.npy, and move the file "
        "below output",
    ]


def test_a_file_that_was_written_after_the_zip_is_found(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    for name, seconds in (("logo.png", 99), ("pages/data.md", 101)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    assert Tree(tmp_path).newer(100, "logo.png", "pages") == ["pages/data.md"]


def test_a_missing_reference_is_named(tree: Path) -> None:
    (tree / "reference_data" / "final" / "ds_eplb.json").unlink()
    with pytest.raises(OrganizerError, match=r"phase final: .*ds_eplb.json cannot be read"):
        build(tree, tree / "out.zip")


# Which files


def test_junk_is_left_out(tree: Path) -> None:
    before = build(tree, tree / "a.zip")
    for name in ("__pycache__/x.pyc", ".ingestion.py.swp", "ingestion.py~", ".DS_Store", ".notes/x"):
        path = tree / "ingestion_program" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"junk")
        assert is_junk(path.relative_to(tree).as_posix())
    assert before == build(tree, tree / "b.zip") == 0
    assert (tree / "a.zip").read_bytes() == (tree / "b.zip").read_bytes()


def git(root: Path, *arguments: str) -> None:
    """Run git in a folder, without the settings of whoever runs the tests."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", root, *arguments], env=environment, check=True, capture_output=True)


def test_in_a_checkout_only_what_git_tracks_is_taken_and_the_rest_is_named(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tree, tree / "outside.zip") == 0
    (tree / ".gitignore").write_text("keys/\nbuild/\n*.zip\n", encoding="utf-8")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    (tree / "scoring_program" / "notes.txt").write_text("mine", encoding="utf-8")
    capsys.readouterr()
    assert build(tree, tree / "inside.zip") == 0
    assert (tree / "outside.zip").read_bytes() == (tree / "inside.zip").read_bytes()
    assert capsys.readouterr().out.startswith("note: scoring_program/notes.txt is not in git and is left out\n")
    git(tree, "rm", "-q", "--cached", "logo.png")
    with pytest.raises(OrganizerError, match=r"logo.png is missing. Got: files that git does not track"):
        build(tree, tree / "inside.zip")


def test_a_link_or_a_missing_file_is_refused(tree: Path) -> None:
    (tree / "pages" / "link.md").symlink_to("/etc/hostname")
    with pytest.raises(OrganizerError, match=r"pages/link.md is a link"):
        Tree(tree).files("pages")
    with pytest.raises(OrganizerError, match=r"absent.md cannot be read.* or git rm absent.md where it is to go\.$"):
        Tree(tree).files("absent.md")


# The vendored package


def test_vendoring_drops_tests_and_keeps_the_licence(tree: Path) -> None:
    kept = {"vendor/Crypto/__init__.py", "vendor/crypto-1.dist-info/LICENSE.rst"}
    assert set(vendored(WHEEL, tree / "build" / "wheels")) == kept


def test_without_network_and_cache_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(OrganizerError, match=r"crypto==1, .* cannot be downloaded. .*or copy that file there"):
        vendored(WHEEL, tmp_path / "wheels")
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_package_with_another_hash_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / WHEEL.file).write_bytes(archive(PACKAGE | {"Crypto/__init__.py": b"evil"}))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    for cached in (False, True):
        if cached:
            (tmp_path / "wheels" / WHEEL.file).write_bytes((source / WHEEL.file).read_bytes())
        with pytest.raises(OrganizerError, match=f"with sha256 {WHEEL.sha256}"):
            vendored(WHEEL, tmp_path / "wheels")


SEAL_AND_OPEN = """
import sys
import Crypto
from Crypto.Cipher.AES import MODE_GCM, new
assert Crypto.__file__.startswith(sys.argv[1]), Crypto.__file__
sealed = new(bytes(32), MODE_GCM, nonce=bytes(12))
text, tag = sealed.encrypt_and_digest(b"hotness")
print(new(bytes(32), MODE_GCM, nonce=bytes(12)).decrypt_and_verify(text, tag).decode())
"""


def test_the_real_package_works_from_its_folder(tmp_path: Path) -> None:
    try:
        files = vendored(PYCRYPTODOME, tmp_path / "wheels")
    except OrganizerError as error:
        pytest.skip(f"no package registry: {error}")
    assert not any("SelfTest" in name for name in files)
    assert any(name.endswith("LICENSE.rst") for name in files)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the package is for Linux on x86-64")
    command = [sys.executable, "-S", "-c", SEAL_AND_OPEN, tmp_path / "vendor"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "vendor")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("hotness\n", "")


# The kit


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit of the real tree, unpacked in a folder with a name that needs quotes."""
    folder = tmp_path_factory.mktemp("my kit")
    tree = write_tree(tmp_path_factory.mktemp("whole") / "tree", stubs=False)
    for name, content in unpack(archive(kit_files(Tree(tree)))).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def in_kit(kit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program of the kit, from the kit's top folder."""
    return subprocess.run([sys.executable, *arguments], cwd=kit, capture_output=True, text=True, check=False)


def test_the_kit_scores_what_its_guide_says(kit: Path) -> None:
    done = in_kit(kit, "starting_kit/kit.py", "run")
    assert (done.returncode, done.stderr) == (0, "")
    guide = (kit / "starting_kit" / "README.md").read_text(encoding="utf-8")
    (score,) = re.findall(r"^\| `policy.py` .* ([\d.]+) \|$", guide, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == f"composite_score: {score}"


def test_the_kit_has_a_readme_that_leads_to_what_is_there(kit: Path) -> None:
    text = (kit / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w.]+/[\w.]+)`", text)
    assert "starting_kit/README.md" in named and [name for name in named if not (kit / name).is_file()] == []


@pytest.mark.parametrize("command", ["generate", "reference", "verify"])
def test_the_kits_commands_for_traces_start(kit: Path, command: str) -> None:
    done = in_kit(kit, "starting_kit/kit.py", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_kit_brings_what_its_makefile_installs(kit: Path) -> None:
    assert "kit.py run" in (kit / "Makefile").read_text(encoding="utf-8")
    assert all((kit / name).is_file() for name in ("requirements.txt", "pyproject.toml", "LICENSE"))
