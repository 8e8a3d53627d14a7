"""Rules for a bundle's programs, grids, references and secrets: seeded defects, each found by its own message alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from bundles import (
    DELETE,
    DEVELOPMENT,
    FINAL,
    KEYS,
    KIT_ZIP,
    Change,
    all_of,
    assert_found,
    grid_key,
    inner,
    mapping,
    outer,
    page,
)
from bundling.parts import Files
from commands.archive import archive, unpack

SIGNING, TRACE = (text.encode() for text in KEYS.values())


def nested(part: str) -> Change:
    """Put a folder around what one of the zips holds."""

    def change(files: Files) -> None:
        files[part] = archive({f"folder/{name}": content for name, content in unpack(files[part]).items()})

    return change


def reference_key(*path: str | int, value: Any) -> Change:
    """Set a value of the Final phase's reference."""
    return mapping("reference_final.zip", "ds_eplb.json", *path, value=value)


def command(value: Any) -> Change:
    """Set the scoring program's command."""
    return inner("scoring_program.zip", "metadata.yaml", yaml.safe_dump({"command": value}).encode())


PROGRAMS = [
    (
        "nested program",
        nested("scoring_program.zip"),
        "has no metadata.yaml at its root",
    ),
    ("nested kit", nested(KIT_ZIP), "has no starting_kit/kit.py at its root"),
    ("no metadata", inner(FINAL, "metadata.yaml", None), "has no metadata.yaml at its root"),
    (
        "nested reference",
        nested("reference_final.zip"),
        "has no ds_eplb.json at its root",
    ),
    ("no command", command(None), "command is no text"),
    (
        "data of the platform's name",
        inner("scoring_program.zip", "metadata.yaml", b"author: me\n"),
        "has no command",
    ),
    ("command list", command(["python3", "/app/program/scoring.py"]), "command is no text"),
    ("shell", command("cd /app/program/scoring.py && python3 /app/program/scoring.py"), "command needs a shell"),
    ("variable", command("python3 $program/scoring.py"), "command needs a shell", "command has a relative path"),
    ("relative", command("python3 scoring.py"), "command has a relative path"),
    ("other mount", command("python3 /app/ingestion_program/scoring.py"), "command names a file that is not there"),
    ("no script", command("python3 /app/program/score.py"), "command names a file that is not there"),
    ("quotes", command("python3 '/app/program/scoring.py"), "command cannot be split"),
    ("no grid", inner(DEVELOPMENT, "grid.yaml", None), "grid is not valid"),
    ("invalid grid", grid_key(DEVELOPMENT, "cases", 0, "ep", value=[48]), "cases[0].ep is not valid"),
    ("same names", grid_key(FINAL, "name", value="sample"), "its grid's name is taken"),
    ("sandbox", grid_key(FINAL, "sandbox", value="best_effort"), "its grid's sandbox may be left out"),
    ("another case", grid_key(FINAL, "cases", 1, "ep", value=[32, 64]), "the reference's cases are not the grid's"),
    (
        "another order",
        grid_key(FINAL, "cases", 1, "ep", value=[64, 32, 128]),
        "the reference's cases are not the grid's",
    ),
    ("another window", grid_key(FINAL, "window", value=64), "the reference was made with another window"),
    ("another latency", grid_key(DEVELOPMENT, "latency", value=2), "the reference was made with another latency"),
    (
        "another cost",
        reference_key("cases", 3, "cost", "expert_bytes", value=1),
        "the reference was made with another cost",
    ),
    ("other groups", reference_key("cases", 3, "groups", value=8), "the reference was made with other groups"),
    (
        "another simulator",
        reference_key("cases", 3, "simulator_version", value="0.9.0"),
        "the reference was made with another simulator_version",
    ),
    ("another format", reference_key("format", value=1), "the reference has the wrong format"),
    ("reference row missing", reference_key("cases", 6, value=DELETE), "the reference's cases are not the grid's"),
    ("no reference rows", reference_key("cases", value=DELETE), "ds_eplb.json has no cases"),
    (
        "kit's grid",
        mapping(KIT_ZIP, "ingestion_program/grid.yaml", "window", value=64),
        "the reference was made with another window",
    ),
    ("kit without grid", inner(KIT_ZIP, "ingestion_program/grid.yaml", None), "grid is not valid"),
    (
        "not hidden any more",
        grid_key(FINAL, "hidden", value=False),
        "keys/trace.key and the grid do not fit",
        "vendor/Crypto and the grid do not fit",
    ),
    ("no trace key", inner(FINAL, "keys/trace.key", None), "keys/trace.key and the grid do not fit"),
    ("no package", inner(FINAL, "vendor/Crypto/__init__.py", None), "vendor/Crypto and the grid do not fit"),
    ("trace key in Development", inner(DEVELOPMENT, "keys/trace.key", TRACE), "keys/trace.key and the grid do not fit"),
]
SECRETS = [
    (
        "no signing key",
        inner(FINAL, "keys/signing.key", None),
        "has no keys/signing.key",
        "its programs have different signing keys",
    ),
    (
        "no key in the reference",
        inner("reference_final.zip", "signing.key", None),
        "has no signing.key",
        "its programs have different signing keys",
    ),
    (
        "another key",
        inner("reference_final.zip", "signing.key", SIGNING[::-1]),
        "its programs have different signing keys",
    ),
    (
        "half a key",
        all_of(
            inner(FINAL, "keys/signing.key", SIGNING[:32]), inner("reference_final.zip", "signing.key", SIGNING[:32])
        ),
        "keys/signing.key holds no key",
        "signing.key holds no key",
    ),
    (
        "published key",
        all_of(
            *(
                inner(part, name, b"published key: it signs runs outside the platform, and proves nothing")
                for part, name in ((FINAL, "keys/signing.key"), ("reference_final.zip", "signing.key"))
            )
        ),
        "keys/signing.key holds no key",
        "signing.key holds no key",
    ),
    ("zeros", inner(FINAL, "keys/trace.key", b"0" * 64), "keys/trace.key is no random key", "holds a key"),
    ("one key for both", inner(FINAL, "keys/trace.key", SIGNING), "the trace key is the signing key"),
    ("key in a page", page(f"# x\n{KEYS['trace.key']}\n"), "holds a key"),
    ("key in capitals", page(f"# x\n{KEYS['signing.key'].upper()}\n"), "holds a key"),
    ("key as bytes", inner(KIT_ZIP, "starting_kit/x.bin", b"x" + bytes.fromhex(KEYS["trace.key"])), "holds a key"),
    (
        "key in base64",
        inner(KIT_ZIP, "starting_kit/x.txt", base64.b64encode(bytes.fromhex(KEYS["signing.key"]))),
        "holds a key",
    ),
    (
        "key in a zip in the kit",
        inner(KIT_ZIP, "x.whl", archive({"a": archive({"b": TRACE})})),
        "holds a key",
    ),
    ("trace key in the scorer", inner("scoring_program.zip", "x.py", TRACE), "holds a key"),
    ("trace key in the reference", inner("reference_final.zip", "trace.key", TRACE), "holds a key"),
    ("stray key file", inner(KIT_ZIP, "keys/signing.key", b"x"), "is a key file"),
    ("sealed trace", inner(KIT_ZIP, "sample_traces/DS-R1/x.sealed", b"x"), "may be a hidden trace"),
    (
        "unlisted trace",
        inner(KIT_ZIP, "sample_traces/x.npz", archive({"hotness.npy": b""})),
        "may be a hidden trace",
    ),
    ("trace in a program", inner(FINAL, "traces/x.npy", b"x"), "may be a hidden trace"),
    ("trace beside", outer("x.npy", b"x"), "may be a hidden trace"),
    (
        "hidden grid in the kit",
        inner(KIT_ZIP, "ingestion_program/grid_final.yaml", b"hidden: true\nname: x\n"),
        "is a grid of hidden traces",
    ),
    (
        "hidden dataset with a name",
        all_of(
            *(
                mapping(part, name, "cases", n, "dataset", value="Secret")
                for part, name, n in [
                    (FINAL, "grid.yaml", 1),
                    *(("reference_final.zip", "ds_eplb.json", n) for n in (4, 5, 6)),
                ]
            ),
        ),
        "names a hidden dataset",
    ),
    (
        "hidden hash in the kit",
        all_of(
            reference_key("cases", 0, "trace_sha256", value="ab" * 32), inner(KIT_ZIP, "starting_kit/x.txt", b"ab" * 32)
        ),
        "has the hash of a hidden trace",
    ),
    ("kit's link", inner(KIT_ZIP, "starting_kit/x.md", b"[x](../SECURITY.md)"), "links to a file that the kit has not"),
]


@pytest.mark.parametrize(("change", "messages"), [pytest.param(d[1], d[2:], id=d[0]) for d in [*PROGRAMS, *SECRETS]])
def test_a_seeded_defect_has_its_message(change: Change, messages: tuple[str, ...]) -> None:
    assert_found(change, messages)
