"""vllm-ascend's expert map: JSON, the experts of each device of each layer with experts, counted from 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from .rows import Rows, check_ids, wrong

COUNT, LAYERS = "moe_layer_count", "layer_list"


def vllm_ascend_text(table: np.ndarray, _numbers: tuple[int, ...], _experts: int) -> bytes:
    """The file's bytes; table: int [layer, device, slot].

    vllm-ascend takes layers by their place among those with experts, and so counts its `layer_id`.
    """
    layers = [
        {
            "layer_id": layer,
            "device_count": len(rows),
            "device_list": [{"device_id": at, "device_expert": row} for at, row in enumerate(rows)],
        }
        for layer, rows in enumerate(table.tolist())
    ]
    return json.dumps({COUNT: len(table), LAYERS: layers}).encode()


def read_vllm_ascend(content: Mapping[str, Any]) -> Rows:
    """Read the rows of a file's content. Raises Problem."""
    layers = content[LAYERS]
    if not isinstance(layers, list) or content.get(COUNT) != len(layers) or not layers:
        got = f"{len(layers)} layers" if isinstance(layers, list) else type(layers).__name__
        raise wrong(
            f"{LAYERS} has another length than {COUNT} states", got, f"a list of {content.get(COUNT)!r:.20} layers"
        )
    ids = [layer.get("layer_id", at) if isinstance(layer, dict) else at for at, layer in enumerate(layers)]
    # vllm-ascend goes by the place in the list, not by the number.
    if not all(type(number) is int for number in ids) or ids != sorted(set(ids)):
        raise wrong(f"{LAYERS} is not in order", f"layer_id {ids[:6]}", "ascending ones: the place in the list counts")
    rows = [_devices(layer, at) for at, layer in enumerate(layers)]
    sizes = {(len(row), *sorted({len(device) for device in row})) for row in rows}
    if len(sizes) > 1 or len(next(iter(sizes))) != 2:
        got, expected = "devices with different numbers of experts", "one number"
        raise wrong(
            f"{LAYERS} is uneven", got, expected, "give every device the same number of experts, as a run here needs"
        )
    table = np.array(rows, np.int64)
    return Rows(table.reshape(len(table), -1), "vllm-ascend", devices=table.shape[1])


def _devices(layer: Any, at: int) -> list[list[int]]:
    """The experts of a layer's devices, which stand in order of their ids."""
    what = f"{LAYERS}[{at}]"
    try:
        devices = [(device["device_id"], device["device_expert"]) for device in layer["device_list"]]
        ids, rows = [number for number, _ in devices], [list(row) for _, row in devices]
    except (KeyError, TypeError) as error:
        expected = "device_list of device_id and device_expert"
        raise wrong(f"{what} has the wrong form", f"{type(error).__name__}: {error}", expected) from None
    if ids != list(range(len(ids))) or layer.get("device_count", len(ids)) != len(ids) or not ids:
        expected = "0, 1, 2, ... up to device_count, in this order"
        raise wrong(f"{what} has the wrong devices", f"device_id {ids[:4]} of {layer.get('device_count')}", expected)
    for row in rows:
        check_ids(row, what)
    return rows
