"""A small tree to build bundles from, with a package that is not downloaded, and ways to seed defects into a bundle."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bundling.check import check
from bundling.parts import KIT, ROOT_FILES, Files, bundle_files, read_phases
from bundling.reader import Fault
from bundling.tree import Tree
from bundling.wheel import Wheel, vendored
from commands.archive import archive, unpack

ROOT = Path(__file__).resolve().parent.parent
KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("signing.key", "trace.key")}
PACKAGE = {
    "Crypto/__init__.py": b"",
    "Crypto/__init__.pyi": b"",
    "Crypto/SelfTest/__init__.py": b"",
    "crypto-1.dist-info/LICENSE.rst": b"free",
    "crypto-1.dist-info/RECORD": b"",
}
WHEEL = Wheel("crypto==1", "crypto-1-py3-none-any.whl", hashlib.sha256(archive(PACKAGE)).hexdigest())
ARRAYS = (
    "sample_traces/DS-R1/generated.npz",
    "sample_traces/Qwen3/generated.npz",
    "reference_data/series.npz",
    "reference_data/final/series.npz",
)
NAME = "competition.zip"
DEVELOPMENT, FINAL, KIT_ZIP = "ingestion_development.zip", "ingestion_final.zip", "starting_kit.zip"
LEFT_OUT = re.compile(
    r"starting_kit/(lab|planning|viewer|sweeps|adapters|deployments|commands|traces/conversion)/.*\.py$"
)
DELETE = object()
Change = Callable[[Files], None]


def write_tree(folder: Path, stubs: bool = True) -> Path:
    """A copy of what a bundle is made of, outside git, with keys, stubs for arrays, and the package in its cache."""
    ignored = shutil.ignore_patterns("__pycache__", "*.npz" if stubs else "")
    for place in (*ROOT_FILES, *KIT, "tools/phases.yaml", "reference_data/final"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / place).is_dir():
            shutil.copytree(ROOT / place, folder / place, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copyfile(ROOT / place, folder / place)
    for trace in ARRAYS if stubs else ():
        (folder / trace).parent.mkdir(exist_ok=True, parents=True)
        (folder / trace).write_bytes(archive({"hotness.npy": trace.encode()}))
    (folder / "build" / "wheels").mkdir(parents=True)
    (folder / "build" / "wheels" / WHEEL.file).write_bytes(archive(PACKAGE))
    write_keys(folder / "keys")
    return folder


def write_keys(folder: Path) -> None:
    """Keys that every test knows."""
    folder.mkdir()
    for name, text in KEYS.items():
        (folder / name).write_text(f"{text}\n", encoding="ascii")


def built(root: Path) -> Files:
    """The files of the bundle of a tree."""
    phases = read_phases(root / "tools" / "phases.yaml", root)
    return bundle_files(Tree(root), phases, KEYS, lambda: vendored(WHEEL, root / "build" / "wheels"))


@cache
def whole() -> Files:
    """The files of the bundle of a whole tree, which nobody may change."""
    with tempfile.TemporaryDirectory() as folder:
        return built(write_tree(Path(folder, "tree")))


@cache
def sound() -> Files:
    """The same, the kit without most of its modules: a third of the files, and no rule looks into them."""
    kit = {name: content for name, content in unpack(whole()[KIT_ZIP]).items() if not LEFT_OUT.match(name)}
    return whole() | {KIT_ZIP: archive(kit)}


def messages_of(faults: list[Fault]) -> list[str]:
    """Messages, each once: phases that share a defect repeat it."""
    return list(dict.fromkeys(fault.what for fault in faults))


def assert_found(change: Change, messages: Iterable[str]) -> None:
    """A change of a sound bundle is found by these messages alone; each fault says all, and no key."""
    faults = check(changed(change), NAME)
    assert set(messages_of(faults)) == set(messages), "\n".join(map(str, faults))
    for fault in faults:
        assert all(text.strip() for text in (*fault.where, fault.what, fault.got, fault.expected, fault.next_step))
        assert fault.where and not any(key in str(fault) for key in KEYS.values())


def competition(*path: str | int, value: Any) -> Change:
    """Set, or DELETE, a value of competition.yaml."""

    def change(files: Files) -> None:
        content = yaml.safe_load(files["competition.yaml"])
        _set(content, path, value)
        files["competition.yaml"] = yaml.safe_dump(content, sort_keys=False).encode()

    return change


def mapping(part: str, name: str, *path: str | int, value: Any) -> Change:
    """Set, or DELETE, a value of a YAML or JSON file in one of the zips."""

    def change(files: Files) -> None:
        content = yaml.safe_load(unpack(files[part])[name])
        _set(content, path, value)
        # JSON is YAML, so it is read as such.
        text = json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content, sort_keys=False)
        inner(part, name, text.encode())(files)

    return change


def inner(part: str, name: str, content: bytes | None) -> Change:
    """Replace, add or remove a file of one of the zips."""

    def change(files: Files) -> None:
        changed = unpack(files[part])
        changed.pop(name, None)
        files[part] = archive(changed | ({name: content} if content is not None else {}))

    return change


def outer(name: str, content: bytes | None) -> Change:
    """Replace, add or remove a file of the bundle itself."""

    def change(files: Files) -> None:
        files.pop(name, None)
        if content is not None:
            files[name] = content

    return change


def rename(old: str, new: str) -> Change:
    """Rename a file of the bundle."""

    def change(files: Files) -> None:
        files[new] = files.pop(old)

    return change


def all_of(*changes: Change) -> Change:
    """Several changes that make one defect."""

    def change(files: Files) -> None:
        for one in changes:
            one(files)

    return change


def grid_key(part: str, *path: str | int, value: Any) -> Change:
    """Set a value of a phase's grid."""
    return mapping(part, "grid.yaml", *path, value=value)


def page(content: str | bytes) -> Change:
    """Replace a page."""
    return outer("pages/overview.md", content.encode() if isinstance(content, str) else content)


def changed(*changes: Change) -> bytes:
    """The zip of the sound bundle with defects."""
    files = copy.copy(sound())
    for change in changes:
        change(files)
    return archive(files)


def _set(content: Any, path: tuple[str | int, ...], value: Any) -> None:
    for step in path[:-1]:
        content = content[step]
    if value is DELETE:
        del content[path[-1]]
    elif path[-1] == "+":
        content.append(value)
    else:
        content[path[-1]] = value
