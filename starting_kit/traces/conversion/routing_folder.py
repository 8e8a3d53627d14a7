"""Routing of single tokens in a folder: a file for each layer, which is mapped, so that no command holds them all.

trace.json       format, experts, layers (their numbers), tokens, top_k; sha256 of the content, so that this file
                 alone tells traces apart
requests.npy     int64 [token], the request that a token belongs to
origins.npy      int32 [token], the row of a grid that a token comes from; may be missing
labels.json      what each request is about, by its number; may be missing
layer_003.npy    uint8 or uint16 [token, k], the experts of every token in layer 3
scores_003.npy   float32 [token, expert], what the router gave every expert there; may be missing
weights_003.npy  float32 [token, k], what it gave the chosen ones; may be missing
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from placement.errors import OrganizerError

from .choices import wrong_choice
from .file_errors import kind_of, unreadable

HEAD, LABELS, FORMAT = "trace.json", "labels.json", 1
CHOICES, SCORES, WEIGHTS = "layer", "scores", "weights"
AGAIN = "write the trace again, with `python -m lab import` or `generate`"


@dataclass(frozen=True)
class RoutingHead:
    """What a folder's trace.json says; top_k: choices of a token."""

    experts: int
    layers: tuple[int, ...]
    tokens: int
    top_k: int

    @property
    def dtype(self) -> np.dtype:
        """The smallest dtype that holds an expert's id."""
        return np.dtype(np.uint8 if self.experts <= 256 else np.uint16 if self.experts <= 65536 else np.uint32)

    def file_of(self, position: int, kind: str = CHOICES) -> str:
        """The name of a layer's file; position: in `layers`; kind: CHOICES, SCORES or WEIGHTS."""
        return f"{kind}_{self.layers[position]:03d}.npy"

    def form_of(self, kind: str) -> tuple[np.dtype, tuple[int, int]]:
        """The dtype and the shape of a layer's file of this kind."""
        dtype = self.dtype if kind == CHOICES else np.dtype(np.float32)
        return dtype, (self.tokens, self.experts if kind == SCORES else self.top_k)


class RoutingWriter:
    """A folder that is being written, request by request or layer by layer; it takes its name when it is complete."""

    def __init__(self, path: Path, head: RoutingHead, beside: Sequence[str] = ()) -> None:
        """beside: SCORES or WEIGHTS, where every layer has them.

        Raises OrganizerError where something else than a trace has the name, OSError.
        """
        if path.is_symlink() or (path.exists() and not (path / HEAD).is_file()):
            got, expected = str(path), "a new name, or the folder of a trace"
            raise OrganizerError("the output is something else", got, expected, "choose another --output")
        self._path, self._head = path, head
        self._partial = path.with_name(f".{path.name}.part")
        _remove(self._partial)
        self._partial.mkdir(parents=True)
        places = [(kind, layer) for kind in (CHOICES, *beside) for layer in range(len(head.layers))]
        self._files = {(kind, layer): open(self._partial / head.file_of(layer, kind), "wb") for kind, layer in places}  # noqa: SIM115
        for (kind, _), file in self._files.items():
            dtype, shape = head.form_of(kind)
            form = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, form)
        self._written = dict.fromkeys(places, 0)
        self._digests = [hashlib.sha256() for _ in places]
        self._digest_of = dict(zip(places, self._digests, strict=True))

    def add(self, layer: int, values: np.ndarray, kind: str = CHOICES) -> None:
        """Append tokens to a layer's file; layer: position in `layers`; values: [token, ...] of the kind, checked."""
        data = np.ascontiguousarray(values, self._head.form_of(kind)[0]).data
        self._files[kind, layer].write(data)
        self._digest_of[kind, layer].update(data)
        self._written[kind, layer] += len(values)

    def finish(
        self, requests: np.ndarray, origins: np.ndarray | None = None, labels: Mapping[int, str] | None = None
    ) -> None:
        """Write what is known of each token, and of each request by its number.

        Raises ValueError unless every layer has all tokens.
        """
        if {*self._written.values(), len(requests)} != {self._head.tokens}:
            raise ValueError(f"layers of {[*self._written.values()]} tokens; expected {self._head.tokens} in each")
        for name, values, dtype in (("requests", requests, np.int64), ("origins", origins, np.int32)):
            if values is not None:
                values = np.ascontiguousarray(values, dtype)
                np.save(self._partial / f"{name}.npy", values)
                self._digests.append(hashlib.sha256(values.data))
        if labels is not None:
            text = json.dumps({str(number): label for number, label in labels.items()}) + "\n"
            (self._partial / LABELS).write_text(text, encoding="utf-8")
            self._digests.append(hashlib.sha256(text.encode()))
        content = hashlib.sha256(b"".join(digest.digest() for digest in self._digests)).hexdigest()
        head = json.dumps({"format": FORMAT, **asdict(self._head), "sha256": content})
        (self._partial / HEAD).write_text(head + "\n", encoding="utf-8")

    def __enter__(self) -> RoutingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        if kind is None:
            _remove(self._path)
            self._partial.rename(self._path)
        else:
            _remove(self._partial)


def read_head(folder: Path) -> RoutingHead:
    """What a folder holds; the headers of its layers are compared with it, their values are not read.

    Raises OrganizerError.
    """
    path = folder / HEAD
    if not path.is_file():
        got, expected = "no trace.json" if folder.is_dir() else "nothing", "a folder that holds a trace"
        raise OrganizerError("there is no trace", got, expected, AGAIN, str(folder))
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error) from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        got = f"format {fields.get('format')!r}" if isinstance(fields, dict) else kind_of(fields)
        raise _wrong("the trace has the wrong form", got, f"format {FORMAT}", path)
    for key in ("experts", "tokens", "top_k"):
        # A boolean is an int to Python, but no number here.
        if type(fields.get(key)) is not int or fields[key] < 1:
            raise _wrong(f"{key} is no number", repr(fields.get(key))[:60], "an integer from 1", path)
    layers = fields.get("layers")
    if not isinstance(layers, list) or not layers or any(type(layer) is not int or layer < 0 for layer in layers):
        raise _wrong("layers has the wrong form", repr(layers)[:60], "numbers of layers from 0", path)
    if len(set(layers)) < len(layers):
        raise _wrong("a layer is there twice", repr(layers)[:60], "each once", path)
    head = RoutingHead(fields["experts"], tuple(layers), fields["tokens"], fields["top_k"])
    for position in range(len(layers)):
        _mapped(folder / head.file_of(position), (head.tokens, head.top_k))
    return head


def read_layer(folder: Path, head: RoutingHead, position: int) -> np.ndarray:
    """A layer's choices, mapped: integers [token, k], each within the experts and once in a token.

    Raises OrganizerError with the file and the layer.
    """
    path = folder / head.file_of(position)
    choices = _mapped(path, (head.tokens, head.top_k))
    if wrong := wrong_choice(choices, head.experts):
        raise _wrong("the layer has no right choices", *wrong, path)
    return choices


def read_values(folder: Path, head: RoutingHead, position: int, kind: str) -> np.ndarray:
    """A layer's SCORES or WEIGHTS, mapped: float32 [token, expert] or [token, k], finite and from 0.

    Raises OrganizerError with the file.
    """
    path = folder / head.file_of(position, kind)
    values = _mapped(path, head.form_of(kind)[1], "f")
    # The least and the largest of an array with NaN are NaN.
    if not (values.min() >= 0 and values.max() < np.inf):
        raise _wrong(f"{kind} are out of range", f"{values.min()} .. {values.max()}", "finite numbers from 0", path)
    return values


def has_values(folder: Path, head: RoutingHead, kind: str) -> bool:
    """Whether the folder has a file of this kind for any layer."""
    return any((folder / head.file_of(position, kind)).exists() for position in range(len(head.layers)))


def read_tokens(folder: Path, head: RoutingHead) -> tuple[np.ndarray, np.ndarray | None]:
    """The request of each token, int64, and the row that it comes from, int32, or None. Raises OrganizerError."""
    requests = _mapped(folder / "requests.npy", (head.tokens,)).astype(np.int64)
    path = folder / "origins.npy"
    origins = _mapped(path, (head.tokens,)).astype(np.int32) if path.exists() else None
    if origins is not None and origins.min() < 0:
        raise _wrong("an origin row is out of range", str(origins.min()), "rows from 0", path)
    return requests, origins


def read_labels(folder: Path, requests: Sequence[int]) -> list[str] | None:
    """The label of each of these requests; None where the folder has no labels. Raises OrganizerError."""
    path = folder / LABELS
    if not path.exists():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise unreadable(path, error) from None
    if not isinstance(fields, dict) or not all(isinstance(label, str) for label in fields.values()):
        raise _wrong("the labels have another form", repr(fields)[:60], "a text for each request's number", path)
    if missing := [request for request in requests if str(request) not in fields]:
        raise _wrong("a request has no label", f"request {missing[0]}", "a label for each", path)
    return [fields[str(request)] for request in requests]


def _remove(path: Path) -> None:
    """Remove a folder and what is in it; of a link the link alone."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _mapped(path: Path, shape: Sequence[int], kinds: str = "iu") -> np.ndarray:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    # numpy raises nearly anything on a damaged file.
    except Exception as error:
        got = "no file" if isinstance(error, FileNotFoundError) else str(error).splitlines()[0]
        raise _wrong("the file cannot be read", got, f"an array {list(shape)}", path) from None
    if not isinstance(values, np.ndarray) or values.shape != tuple(shape) or values.dtype.kind not in kinds:
        got = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else "several arrays"
        expected = f"{'integers' if kinds == 'iu' else 'floats'} {list(shape)}"
        raise _wrong("the array has the wrong form", got, expected, path)
    return values


def _wrong(what: str, got: str, expected: str, path: Path) -> OrganizerError:
    return OrganizerError(what, got, expected, AGAIN, f"{path.parent.name}/{path.name}")
