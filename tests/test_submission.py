"""A submission's files: which are refused before anything runs, with which words, and which are accepted."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from placement.errors import SubmissionRefused
from placement.submission import files as submission_files
from placement.submission.files import DEEPEST_LEVEL, LARGEST_BYTES, LARGEST_COUNT, LONGEST_SHOWN, shown
from placement.submission.folder import LARGEST_LOOKED_AT, find_policy
from submissions import DECLINES, run_policy, sentence_of, write_policy

COMMAND = "a submission must not contain a command"
CALLED = "Expected: a policy.py that the ingestion program calls."
NO_MODULE = "Expected: no module of this name beside policy.py. Next: rename the module."
LINK = "a link does not lead to a file or folder of the submission"
STAY = (
    "Expected: links that stay inside the submission. Next: replace the link by a copy of its target, or remove the "
    "link."
)
SPECIAL = "the submission has a file of a kind that is not allowed"
ORDINARY = "Expected: regular files, folders, and links to these. Next: remove it from the zip."
ROWS = "from placement.deployment import initial_deployment\nROWS = initial_deployment(1, 4, 2, 2)\n"
UNREADABLE = "a folder of the submission cannot be read"
READABLE = "Expected: folders that can be listed and entered. Next: correct its permissions, or shorten its path."


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A submission with nothing wrong, in a folder beside which other things lie."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("")
    return write_policy(tmp_path / "mine", DECLINES, {"helper.py": "", "data/table.txt": ""})


def refusal(folder: Path) -> str:
    """The message with which a submission is refused, which any log and page can hold."""
    with pytest.raises(SubmissionRefused) as caught:
        find_policy(folder)
    text = str(caught.value)
    text.encode("utf-8")
    assert text.isprintable() and text.startswith("submission: ")
    return text.removeprefix("submission: ")


def link(path: Path, target: str | Path) -> Path:
    """Make a symbolic link and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("name", ["metadata", "metadata.yaml", "Metadata.YAML", "METADATA"])
@pytest.mark.parametrize("kind", ["file", "large file", "link", "link to nothing"])
def test_a_command_is_refused_whatever_it_is(submission: Path, name: str, kind: str) -> None:
    path = submission / name
    {
        "file": lambda: path.write_text("command: x"),
        # Where it may stand behind what is looked at.
        "large file": lambda: path.write_bytes(bytes(LARGEST_LOOKED_AT + 1)),
        "link": lambda: link(path, "policy.py"),
        "link to nothing": lambda: link(path, "/nothing"),
    }[kind]()
    assert refusal(submission) == f"{COMMAND}. Got: {name}. {CALLED} Next: remove {name} from the zip."


@pytest.mark.parametrize("name", ["metadata", "metadata.yaml", "Metadata.YAML"])
def test_data_with_the_name_of_the_platforms_file_is_told_its_true_reason(submission: Path, name: str) -> None:
    (submission / name).write_bytes(bytes(LARGEST_LOOKED_AT))
    assert refusal(submission) == data_refusal(name, "file")
    (submission / name).unlink()
    (submission / name).mkdir()
    assert refusal(submission) == data_refusal(name, "folder")


def data_refusal(name: str, kind: str) -> str:
    """What is said of data that has the name of the platform's file."""
    return (
        f"the name {name.rpartition('/')[2]} is reserved for Codabench. Got: {name}, a {kind} without a command. "
        "Expected: no "
        "such name at the top of the zip, where Codabench looks for a command to run. "
        f"Next: rename the {kind} in the zip and in the code, or put it into a folder beside policy.py."
    )


def test_a_command_in_the_outer_folder_is_refused_and_one_deeper_is_data(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "mine", DECLINES, {"data/metadata.yaml": ""})
    assert find_policy(folder) == (folder, "") and find_policy(tmp_path)[0] == folder
    (folder / "metadata.yaml").touch()
    assert refusal(tmp_path) == data_refusal("mine/metadata.yaml", "file")
    (folder / "metadata.yaml").write_text("command: x")
    name = "mine/metadata.yaml"
    assert refusal(tmp_path) == f"{COMMAND}. Got: {name}. {CALLED} Next: remove {name} from the zip."


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("placement.py", "the simulator's own"),
        ("placement.pyc", "the simulator's own"),
        ("placement/__init__.py", "the simulator's own"),
        ("numpy.py", "a library's"),
        ("numpy.so", "a library's"),
        ("numpy.abi3.so", "a library's"),
        ("numpy.cpython-312-x86_64-linux-gnu.so", "a library's"),
        ("numpy/__init__.cpython-312-x86_64-linux-gnu.so", "a library's"),
        ("yaml.pyd", "a library's"),
        ("yaml.cp312-win_amd64.pyd", "a library's"),
        ("yaml/loader.py", "a library's"),
        ("sitecustomize.py", "Python's own"),
        ("usercustomize.py", "Python's own"),
        ("json.py", "Python's own"),
        ("types/__init__.pyc", "Python's own"),
        ("random/mine.py", "Python's own"),
        ("_json.so", "Python's own"),
    ],
)
def test_a_module_whose_name_is_taken_is_refused(submission: Path, file: str, owner: str) -> None:
    (submission / file).parent.mkdir(exist_ok=True)
    (submission / file).touch()
    name = file.partition("/")[0].partition(".")[0]
    text = f"the name {name} is {owner}. Got: {file}. {NO_MODULE}"
    assert refusal(submission) == text
    assert refusal(submission.parent) == text


def test_a_link_with_a_name_that_is_taken_is_refused(submission: Path) -> None:
    path = link(submission / "copy.py", "helper.py")
    assert refusal(submission) == f"the name copy is Python's own. Got: copy.py. {NO_MODULE}"
    path.unlink()
    (submission / "code").mkdir()
    (submission / "code" / "b.py").touch()
    (submission / "code").rename(submission / "own")
    link(submission / "code", "own")
    assert refusal(submission) == f"the name code is Python's own. Got: code/b.py. {NO_MODULE}"


def test_every_module_of_the_standard_library_is_taken(submission: Path) -> None:
    for name in sorted(sys.stdlib_module_names):
        (submission / f"{name}.py").touch()
        assert refusal(submission).startswith(f"the name {name} is Python's own. Got: {name}.py.")
        (submission / f"{name}.py").unlink()


def test_names_that_shadow_nothing_are_accepted(submission: Path) -> None:
    files = ["test/a.py", "tests/a.py", "policy/a.py", "kit.py", "__init__.py", "Json.py", "json_.py", "data/json.py"]
    files += ["json/table.npy", "json/deeper/a.py", "numpy.npy", "numpy.txt", "numpy", "types.old/a.py", "own.pth"]
    files += ["placement.json", "yaml.yaml", "random.backup.py", ".py", "__pycache__/numpy.cpython-312.pyc"]
    write_policy(submission, DECLINES, dict.fromkeys(files, ""))
    assert find_policy(submission) == (submission, "")


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("from planning import ROWS", {"planning.py": ROWS}),
        ("from planning.rows import ROWS", {"planning/__init__.py": "", "planning/rows.py": ROWS}),
    ],
    ids=["module", "package"],
)
def test_a_submission_may_bring_planning_as_the_kit_packs_it(tmp_path: Path, line: str, files: dict[str, str]) -> None:
    folder = write_policy(tmp_path, f"{line}\nassert ROWS.shape == (1, 2, 3)\n{DECLINES}", files)
    assert find_policy(folder) == (folder, "")
    assert run_policy(folder).row["status"] == "ok"


def test_a_path_file_and_customizations_of_python_are_never_read(tmp_path: Path) -> None:
    # The first is accepted, and find_policy would refuse the others.
    source = "import sys\nassert not hasattr(sys, 'planted'), sys.planted\n" + DECLINES
    names = ["own.pth", "sitecustomize.py", "usercustomize.py"]
    folder = write_policy(tmp_path, source, {name: f"import sys; sys.planted = '{name}'\n" for name in names})
    outcome = run_policy(folder)
    assert (outcome.row["status"], sentence_of(outcome.row)) == ("ok", "")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a", "/etc/passwd"),
        ("a", "/"),
        ("a", "../outside/file"),
        ("a", ".."),
        ("data/a", "../../outside"),
        ("data/a", "../data/../../outside/file"),
        ("a", "../mine2/x"),
        ("a", "nothing"),
        ("a", "/nothing"),
        ("a", "a"),
        ("a", "policy.py/x"),
        ("__MACOSX/a", "/etc"),
    ],
)
def test_a_link_that_leads_out_or_nowhere_is_refused(submission: Path, name: str, target: str) -> None:
    (submission.parent / "mine2").mkdir()
    (submission.parent / "mine2" / "x").touch()
    link(submission / name, target)
    assert refusal(submission) == f"{LINK}. Got: {name} -> {target}. {STAY}"


def test_a_link_that_leads_out_through_others_is_refused(submission: Path) -> None:
    link(submission / "b", "../outside")
    link(submission / "a", "b/file")
    assert refusal(submission) == f"{LINK}. Got: a -> b/file. {STAY}"


def test_a_chain_of_links_longer_than_the_kernel_follows_is_refused(submission: Path) -> None:
    for number in range(2000):
        link(submission / f"l{number:04}", f"l{number + 1:04}")
    (submission / "l2000").touch()
    assert refusal(submission) == f"{LINK}. Got: l0000 -> l0001. {STAY}"


@pytest.mark.parametrize("outer", [False, True])
def test_a_policy_that_is_a_link_out_is_refused(submission: Path, outer: bool) -> None:
    (submission / "policy.py").rename(submission.parent / "outside" / "policy.py")
    target = "../outside/policy.py"
    name = "mine/policy.py" if outer else "policy.py"
    top = submission
    if outer:
        top, target = submission / "top", "../../../outside/policy.py"
    link(top / name, target)
    assert refusal(top) == f"{LINK}. Got: {name} -> {target}. {STAY}"


def test_links_inside_are_accepted_and_not_followed(submission: Path) -> None:
    (submission / "policy.py").rename(submission / "data" / "real.py")
    for name, target in {"policy.py": "data/real.py", "b": "a", "a": "data", "data/up": "..", "c": "."}.items():
        link(submission / name, target)
    link(submission / "absolute", submission / "helper.py")
    assert find_policy(submission) == (submission, "")
    through = link(submission.parent / "through", submission)
    assert find_policy(through) == (through, "")


def test_special_files_are_refused(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(submission / "data" / "pipe")
    assert refusal(submission) == f"{SPECIAL}. Got: data/pipe, a named pipe. {ORDINARY}"
    (submission / "data" / "pipe").unlink()
    # A socket's whole path would be too long for its address.
    monkeypatch.chdir(submission)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("door")
    assert refusal(submission) == f"{SPECIAL}. Got: door, a socket. {ORDINARY}"


def test_a_policy_that_is_a_pipe_is_refused_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "policy.py")
    assert refusal(tmp_path) == f"{SPECIAL}. Got: policy.py, a named pipe. {ORDINARY}"


def test_a_device_is_refused(submission: Path) -> None:
    try:
        os.mknod(submission / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device needs a privilege")
    assert refusal(submission) == f"{SPECIAL}. Got: null, a device. {ORDINARY}"


def test_a_policy_that_is_a_folder_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "mine" / "policy.py").mkdir(parents=True)
    assert refusal(tmp_path).startswith("the submission has no policy.py. Got: mine/. ")


def test_many_long_chains_of_links_are_accepted(submission: Path) -> None:
    folder = "/".join(["d" * 50] * 60)
    (submission / folder).mkdir(parents=True)
    last = "../helper.py"
    for number in range(530):
        place = submission / "data" / f"{number:03}"
        link(place, last)
        # 13 links in a row: the kernel, which allows 40, counts those of a walk that it begins again twice and thrice.
        last = f"{'../' * 2}mine/{folder}/{'../' * 60}data/{min(number, 11):03}"
    assert find_policy(submission) == (submission, "")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    folder = write_policy(tmp_path, DECLINES, {"data/0": ""})
    for number in range(3, LARGEST_COUNT):
        os.link(folder / "data" / "0", folder / "data" / str(number))  # quicker than a file
    assert find_policy(folder) == (folder, "")
    (folder / "data" / "last").mkdir()
    expected = f"Expected: at most {LARGEST_COUNT}. Next: keep only the files that the policy needs."
    assert (
        refusal(folder)
        == f"the submission has too many files. Got: {LARGEST_COUNT + 1} files and folders so far. {expected}"
    )


def test_no_more_is_read_than_the_limit_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        """A folder without an end, as os.scandir would give it."""

        def __enter__(self) -> Iterator[SimpleNamespace]:
            status = (tmp_path / "policy.py").stat()
            while True:
                yield SimpleNamespace(path=str(tmp_path / "x"), stat=lambda follow_symlinks: status)

        def __exit__(self, *exception: object) -> None:
            pass

    write_policy(tmp_path, DECLINES)
    monkeypatch.setattr(os, "scandir", lambda folder: Endless())
    assert refusal(tmp_path).startswith("the submission has too many files. Got: 10001 ")


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    # A file with a hole takes no room on the disk.
    folder = write_policy(tmp_path, DECLINES, {"data/hole": "", "z": ""})
    os.truncate(folder / "data" / "hole", LARGEST_BYTES - len(DECLINES))
    assert find_policy(folder) == (folder, "")
    (folder / "data" / "link").symlink_to("hole")
    assert find_policy(folder) == (folder, "")
    os.truncate(folder / "z", 1)
    text = f"the submission is too large. Got: {LARGEST_BYTES + 1} bytes so far. Expected: at most {LARGEST_BYTES} "
    assert refusal(folder) == f"{text}bytes. Next: keep only the files that the policy needs."


def test_folders_nested_too_deep_are_refused(submission: Path) -> None:
    # The submission's own folder is the first level.
    (submission / "/".join("a" * (DEEPEST_LEVEL - 1))).mkdir(parents=True)
    assert find_policy(submission) == (submission, "")
    (submission / "/".join("a" * 200)).mkdir(parents=True)
    text = f"the submission's folders are nested too deep. Got: 65 levels at {'/'.join('a' * DEEPEST_LEVEL)}. "
    assert (
        refusal(submission)
        == f"{text}Expected: at most {DEEPEST_LEVEL} levels. Next: move the files to a higher folder."
    )


@pytest.mark.parametrize(("closed", "name"), [("", "the top folder"), ("data", "data"), ("a\x1b\n/b", "a\ufffd /b")])
def test_a_folder_that_cannot_be_read_is_refused(
    submission: Path, monkeypatch: pytest.MonkeyPatch, closed: str, name: str
) -> None:
    (submission / closed).mkdir(parents=True, exist_ok=True)
    scan = os.scandir

    def scandir(folder: str) -> Iterator[os.DirEntry[str]]:
        if os.path.realpath(folder) == os.path.realpath(submission / closed):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    # Permissions would not stop a test that runs as root.
    monkeypatch.setattr(submission_files.os, "scandir", scandir)
    # The text keeps the mark of a control character.
    assert refusal(submission) == f"{UNREADABLE}. Got: {name}: Permission denied. {READABLE}"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no name that is not UTF-8")
def test_any_file_name_can_be_shown(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\x1b[2J \n\xe2\x80\xae.py")
    clean = "\ufffd\ufffd[2J \ufffd.py"
    next_step = f"rename {clean} to policy.py"
    (tmp_path / odd).touch()
    text = "the submission has no policy.py. Got: {}. Expected: policy.py at the top of the submission. Next: {}."
    assert refusal(tmp_path) == text.format(clean, next_step)
    (tmp_path / odd).unlink()
    link(tmp_path / odd, f"/{odd}")
    assert refusal(tmp_path) == f"{LINK}. Got: {clean} -> /{clean}. {STAY}"
    (tmp_path / odd).unlink()
    write_policy(tmp_path / odd, DECLINES)
    assert find_policy(tmp_path)[1].startswith(f"policy.py was found in the folder {clean}/; ")
    assert find_policy(tmp_path / odd) == (tmp_path / odd, "")
    write_policy(tmp_path / "b", DECLINES)
    assert refusal(tmp_path).startswith(f"the submission has several policy.py. Got: b/policy.py, {clean}/policy.py. ")
    os.mkfifo(tmp_path / odd / odd)
    assert refusal(tmp_path) == f"{SPECIAL}. Got: {clean}/{clean}, a named pipe. {ORDINARY}"


def test_a_folder_that_is_not_there_is_shown_like_any_other(tmp_path: Path) -> None:
    assert refusal(tmp_path / os.fsdecode(b"\xff\n")).startswith("the submission has no policy.py. Got: no folder ")
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file").startswith("the submission has no policy.py. Got: no folder ")


def test_a_shown_name_is_short_and_never_blank() -> None:
    assert shown("\n") == r"'\n'" and shown(" ") == "' '"
    assert shown("x" * 255) == "x" * 255
    assert shown("a" * 5000 + "/policy.py").endswith("aaa/policy.py")
    assert len(shown("a" * 5000)) <= LONGEST_SHOWN + 3


def test_hidden_folders_at_the_top_are_nobody_s_business(submission: Path, tmp_path: Path) -> None:
    link(submission / ".venv" / "bin" / "python", "/usr/bin/python3")
    (submission / ".git").mkdir()
    os.mkfifo(submission / ".git" / "pipe")
    assert find_policy(submission) == (submission, "")
    # They are no part, and so is nothing that leads there.
    link(submission / "env", ".venv")
    assert refusal(submission) == f"{LINK}. Got: env -> .venv. {STAY}"
    (submission / "env").unlink()
    link(submission / "data" / ".cache" / "out", "/usr/bin")
    assert refusal(submission).startswith(f"{LINK}. Got: data/.cache/out -> /usr/bin.")
