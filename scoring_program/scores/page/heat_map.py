"""PAR of every layer over time as a picture: an indexed PNG in a data URI, without a script."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from .markup import Markup, content, element, figure

# Cividis, which looks the same with and without red-green blindness, and whose lightness grows evenly.
ANCHORS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 fee838"
PALETTE = np.array([list(bytes.fromhex(color)) for color in ANCHORS.split()], dtype=np.float64)
STEPS = 128
# Of all values; a few above would leave no colours for the rest.
TOP_PERCENT = 99.5


def png(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """A PNG of palette indices [row, column] uint8 with colours [index, rgb] uint8."""
    height, width = indices.shape
    # Each row begins with its filter: none.
    rows = np.zeros((height, width + 1), dtype=np.uint8)
    rows[:, 1:] = indices
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    written = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def heat_maps(maps: dict[str, np.ndarray], iterations: int, fixed: int) -> Markup:
    """Pictures of PAR [layer, bin] side by side, on one colour scale, with the scale's legend.

    maps: PAR by label (policy, DS-EPLB); fixed: how many first iterations are the same for every policy (drawn grey).
    """
    low = 1.0
    top = float(np.percentile(np.concatenate([values.ravel() for values in maps.values()]), TOP_PERCENT))
    high = max(top, low + 0.01)
    pictures = [_picture(label, values, low, high, iterations, fixed) for label, values in maps.items()]
    return content(element("div", *pictures, class_="pair"), _legend(high))


def colours() -> np.ndarray:
    """The palette [index, rgb] in STEPS colours."""
    places, wanted = np.linspace(0, 1, len(PALETTE)), np.linspace(0, 1, STEPS)
    return np.stack([np.interp(wanted, places, channel) for channel in PALETTE.T], axis=1).round().astype(np.uint8)


def _picture(label: str, values: np.ndarray, low: float, high: float, iterations: int, fixed: int) -> Markup:
    layers = len(values)
    shares = np.clip((values - low) / (high - low), 0, 1)
    image = _uri(png((shares * (STEPS - 1)).round().astype(np.uint8), colours()))
    hottest = int(values.mean(axis=1).argmax())
    description = (
        f"Heat map of PAR, {label}: {layers} layers from top to bottom, {values.shape[1]} stretches of time from left "
        f"to right, values from {values.min():.2f} to {values.max():.2f}; layer {hottest} has the highest mean."
    )
    image = element("img", src=image, alt=description, width=str(values.shape[1]), height=str(layers))
    veil = element("div", class_="veil", style=f"width:{100 * min(fixed / iterations, 1):.2f}%") if fixed else None
    picture = element("div", image, veil, class_="picture")
    down = element("div", element("span", "layer 0"), element("span", str(layers - 1)), class_="down")
    along = element("div", element("span", "iteration 1"), element("span", str(iterations)), class_="along")
    return figure("PAR by layer and time", label, element("div", down, picture, along, class_="map"), kind="heat")


def _legend(high: float) -> Markup:
    ramp = element("img", src=_uri(png(np.arange(STEPS, dtype=np.uint8)[None], colours())), alt="", class_="ramp")
    return element("p", "PAR 1 ", ramp, f" {high:.2f} and above", class_="muted legend")


def _uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
