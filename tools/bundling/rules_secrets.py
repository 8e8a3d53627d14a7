"""Rules for what must stay with the organizers: keys, hidden traces, and their names and hashes."""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Generator, Iterator
from typing import Any

from bundling.parts import Files, is_hidden
from bundling.reader import Bundle, Fault, Member, Phase, json_of, mapping_of, members, suffix
from bundling.rules_archive import REBUILD
from bundling.rules_competition import CODE, LINK

KEY = re.compile(rb"[0-9a-fA-F]{64}")
# Fewer different digits than any random key has: zeros, a pattern, a placeholder.
FEWEST_DIGITS = 8
# Hidden datasets appear in the log and on the page, and in /app/data.
NEUTRAL = re.compile(r"trace-\d+")
MANIFEST = "sample_traces/manifest.yaml"
ARRAYS = (".npy", ".npz", ".sealed")
REMAKE = "make keys with `python tools/bundle.py keys` and build again"


def keys(bundle: Bundle) -> Iterator[Fault]:
    """A phase's programs share a signing key, which is a secret; the trace key is another."""
    for phase in bundle.phases:
        if not phase.ingestion or not phase.reference:
            continue
        signing = yield from key(phase.parts["ingestion_program"], phase.ingestion, "keys/signing.key")
        verifying = yield from key(phase.parts["reference_data"], phase.reference, "signing.key")
        if signing != verifying:
            expected = "the same key, or every submission of the phase fails"
            yield Fault(phase.name, "its programs have different signing keys", "two keys", expected, REBUILD)
        if "keys/trace.key" in phase.ingestion:
            sealing = yield from key(phase.parts["ingestion_program"], phase.ingestion, "keys/trace.key")
            if sealing == signing:
                expected = "two keys: the signing key also lies in the reference"
                yield Fault(phase.name, "the trace key is the signing key", "one key", expected, REMAKE)


def key(part: str, files: Files, name: str) -> Generator[Fault, None, bytes]:
    """Yield what is wrong with a key file, and return the key's text."""
    if name not in files:
        expected = "a key: without one results are signed with the published key, which anyone can do"
        yield Fault(part, f"has no {name}", "no such file", expected, REMAKE)
        return b""
    text = files[name].strip().lower()
    if not KEY.fullmatch(text):
        # The text is not shown: it may be most of a key.
        got = f"{len(text)} characters of another form"
        yield Fault(part, f"{name} holds no key", got, "64 hexadecimal characters", REMAKE)
    elif len(set(text)) < FEWEST_DIGITS:
        got = f"{len(set(text))} different digits"
        yield Fault(part, f"{name} is no random key", got, "a key that nobody can guess", REMAKE)
    return text


def key_places(bundle: Bundle) -> Iterator[Fault]:
    """Keys lie in their three places, and nowhere else in any form."""
    places = {}
    for phase in bundle.phases:
        ingestion, reference = phase.parts.get("ingestion_program"), phase.parts.get("reference_data")
        places |= {(ingestion, "keys/signing.key"): phase.ingestion, (ingestion, "keys/trace.key"): phase.ingestion}
        places[reference, "signing.key"] = phase.reference
    texts = {files[way[1]].strip().lower() for way, files in places.items() if way[1] in files}
    secrets = [form for text in texts if KEY.fullmatch(text) for form in forms(text)]
    for member in members(bundle.files):
        # A zip is looked at through its members; a part that is stored would show the keys of its own places.
        if member.way in places or member.name.endswith(".zip"):
            continue
        lower = member.content.lower()
        if any(form in member.content or form in lower for form in secrets):
            yield Fault(str(member), "holds a key", "its bytes", "keys in their own files only", "remove it; " + REMAKE)
        elif member.name.endswith(".key"):
            yield Fault(
                str(member), "is a key file", "a file out of place", "keys in their own files only", "remove it"
            )


def forms(text: bytes) -> Iterator[bytes]:
    """How a key may be written: hexadecimal, as bytes, in base64."""
    raw = bytes.fromhex(text.decode("ascii"))
    yield from (text, raw, base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"="))


def arrays(bundle: Bundle) -> Iterator[Fault]:
    """Of all traces only the sample traces ship, and those only in the kit."""
    kits = [entry.get("starting_kit") for entry in bundle.entries("phases")]
    entries = sample_traces(bundle).values()
    listed = {f"sample_traces/{entry.get('file')}" for entry in entries if isinstance(entry, dict)}
    for member in members(bundle.files):
        # Arrays inside an .npz are judged with it.
        if suffix(member.name) not in ARRAYS or any(suffix(name) == ".npz" for name in member.way[:-1]):
            continue
        if not allowed(member, kits, listed):
            expected = "the sample traces of the kit's manifest, and each reference's series.npz"
            yield Fault(str(member), "may be a hidden trace", "an array", expected, "remove it")


def allowed(member: Member, kits: list[object], listed: set[str]) -> bool:
    """Whether an array may lie where it does."""
    if member.way[0] in kits:
        return member.name in listed or member.name == "reference_data/series.npz"
    return member.name == "series.npz" and suffix(member.way[0]) == ".zip"


def hidden_names(bundle: Bundle) -> Iterator[Fault]:
    """What participants can read tells nothing of hidden traces: no grid, no hash, and none but neutral names."""
    public = {name: content for name, content in bundle.files.items() if not name.endswith(".zip")}
    public |= {f"starting kit/{name}": content for name, content in bundle.kit.items()}
    for name, content in public.items():
        if suffix(name) in (".yaml", ".yml") and is_hidden(mapping_of(content)):
            yield Fault(name, "is a grid of hidden traces", "hidden: true", "grids that everyone may know", "remove it")
    sample = repr(sample_traces(bundle))
    for phase in bundle.phases:
        if not phase.hidden:
            continue
        for dataset in sorted(datasets(phase.grid)):
            if not NEUTRAL.fullmatch(dataset):
                next_step = "give it a neutral name in the grid, and seal it with --rename"
                part = phase.parts["ingestion_program"]
                yield Fault(
                    f"{part}/grid.yaml", "names a hidden dataset", dataset, "trace-01, trace-02, ...", next_step
                )
        secrets = [text for text in hashes(phase) if text not in sample]
        for name, content in public.items():
            if leaked := next((secret for secret in secrets if secret.encode() in content), None):
                expected = "nothing that tells which traces are hidden"
                yield Fault(name, "has the hash of a hidden trace", leaked, expected, "remove it")


def sample_traces(bundle: Bundle) -> dict[str, Any]:
    """The entries of the kit's manifest, by name."""
    traces = mapping_of(bundle.kit.get(MANIFEST, b"")).get("traces")
    return traces if isinstance(traces, dict) else {}


def datasets(grid: dict[str, Any]) -> set[str]:
    """Names of a grid's datasets."""
    cases = grid.get("cases")
    rows = [row for row in cases if isinstance(row, dict)] if isinstance(cases, list) else []
    return {str(row["dataset"]) for row in rows if "dataset" in row}


def hashes(phase: Phase) -> set[str]:
    """Hashes of a phase's traces."""
    rows = json_of(phase.reference.get("ds_eplb.json", b"")).get("cases")
    values = [row.get("trace_sha256") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {text for text in values if isinstance(text, str) and text}


def kit_links(bundle: Bundle) -> Iterator[Fault]:
    """Links between the kit's documents lead to files of the kit."""
    for name, content in bundle.kit.items():
        if suffix(name) != ".md":
            continue
        prose = CODE.sub("", content.decode("utf-8", "replace"))
        targets = [inline or reference for inline, reference in LINK.findall(prose)]
        for target in targets:
            if target.startswith(("https://", "http://", "mailto:", "#")):
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.partition("#")[0]))
            if not any(file == path or file.startswith(f"{path}/") for file in bundle.kit):
                where = f"starting kit/{name}"
                yield Fault(where, "links to a file that the kit has not", target, "a file of the kit", "correct it")


RULES = (keys, key_places, arrays, hidden_names, kit_links)
