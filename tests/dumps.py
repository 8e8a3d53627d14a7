"""The same few passes as dumps of every engine: `write` makes the files of a form, and says how they are converted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import torch_files

# As many passes as `statistics` needs, each of four tokens; two layers, two of eight experts for a token.
PASSES, LAYERS, EXPERTS, TOKENS = 128, (3, 4), 8, 4
_draw = np.random.default_rng(23)
IDS = _draw.permuted(np.tile(np.arange(EXPERTS), (PASSES, len(LAYERS), TOKENS, 1)), axis=3)[..., :2]
# [pass, layer, expert]
COUNTS = np.array([[np.bincount(ids.ravel(), minlength=EXPERTS) for ids in layers] for layers in IDS])
HALVES = np.split(COUNTS, 2, axis=2)


def write(form: str, folder: Path) -> list[str]:
    """Write a form's dump into a new folder; returns the options of `convert` beside --from and the folder."""
    folder.mkdir(parents=True)
    return WRITERS[form](folder)


def safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """A file of safetensors."""
    header, data = {}, b""
    for name, values in tensors.items():
        dtype = {"int64": "I64", "int32": "I32", "float32": "F32", "uint16": "BF16"}[values.dtype.name]
        offsets = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": offsets}
        data += values.tobytes()
    text = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def lines(path: Path, objects: list[dict[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(f"{json.dumps(fields)}\n" for fields in objects), encoding="utf-8")
    return path


def traced(ids: np.ndarray = IDS, rank: int = 0) -> list[dict[str, Any]]:
    """Lines of Megatron-LM's RouterTracer."""
    return [
        {"step": step, "stage": "pre_dispatch", "block": "decoder", "layer": layer, "rank": rank, "num_tokens": 4}
        | {"topk": 2, "top_indices": ids[step, place].tolist()}
        for step in range(len(ids))
        for place, layer in enumerate(LAYERS)
    ]


def _trtllm(folder: Path) -> list[str]:
    (folder / "meta_info.json").write_text(json.dumps({"num_experts": EXPERTS, "num_experts_per_token": 2}))
    for rank, share in enumerate((COUNTS // 3, COUNTS - COUNTS // 3)):
        keys = {f"{50 + step}_{layer}": (step, place) for step in range(PASSES) for place, layer in enumerate(LAYERS)}
        safetensors(folder / f"rank{rank}.safetensors", {key: share[at] for key, at in keys.items()})
        safetensors(folder / f"rank{rank}_raw.safetensors", {"50_3": np.zeros((4, 2), np.int32)})
    return []


def _ascend(folder: Path) -> list[str]:
    for step, counts in enumerate(COUNTS):
        np.save(folder / f"moe_load_{100 * step}.npy", counts.reshape(len(LAYERS), 2, -1))
    return ["--experts", str(EXPERTS)]


def _mindie(folder: Path) -> list[str]:
    config = {"num_moe_layers": len(LAYERS), "collection_Interval": 8, "num_of_experts": EXPERTS}
    (folder / "model_gen_config.json").write_text(json.dumps(config | {"num_of_selected_experts": [2]}))
    for rank, half in enumerate(HALVES):
        for name in (f"decode_{rank}.csv", f"decode_{rank}_bak.csv"):
            np.savetxt(folder / name, half.reshape(-1, half.shape[2]), "%d", ",")
        (folder / f"decode_topk_{rank}.csv").write_text('"[[1, 2]]"\n')
    return []


def _omni(folder: Path) -> list[str]:
    for rank, half in enumerate(HALVES):
        for step, counts in enumerate(half):
            text = "".join("".join(f"{count}\t" for count in row) + "\n" for row in counts)
            (folder / f"activation_counts_recordstep_{step}_rank_{rank}.txt").write_text(text)
    return ["--experts", str(EXPERTS)]


def _megatron(folder: Path) -> list[str]:
    for rank, half in enumerate(HALVES):
        records = [
            # Two microbatches an iteration.
            {"iter": 10 * (step // 2), "block": "decoder", "layer": layer, "tpe": half[step : step + 2, place].tolist()}
            for step in range(0, PASSES, 2)
            for place, layer in enumerate(LAYERS)
        ]
        mtp = {"iter": 0, "block": "mtp", "mtp_idx": 0, "layer": 1, "tpe": [[5, 5, 5, 5]]}
        lines(folder / f"rank{rank}.jsonl", [*records, mtp])
    return ["--experts", str(EXPERTS)]


def _atom(folder: Path) -> list[str]:
    COUNTS.astype("<u2").tofile(folder / "moe_counts.uint16.bin")
    size = COUNTS[0].size * 2
    places = [
        {"offset_bytes": size * step, "shape": list(COUNTS[0].shape), "dtype": "uint16"} for step in range(PASSES)
    ]
    layers = [{"key": f"model.layers.{layer}.mlp.experts", "num_experts": EXPERTS} for layer in LAYERS]
    records = [{"record_type": "atom_moe_route_forward", "moe_counts": place | {"layers": layers}} for place in places]
    lines(folder / "moe_routes.jsonl", [*records, {"record_type": "dropped", "moe_counts": None}])
    (folder / "moe_routes.json").write_text("{}")
    return []


def _steps(folder: Path) -> list[str]:
    passes = [{"0": None} | {str(LAYERS[place]): ids.tolist() for place, ids in enumerate(step)} for step in IDS]
    (folder / "passes.json").write_text(json.dumps(passes))
    return ["--experts", str(EXPERTS)]


def _csv(folder: Path) -> list[str]:
    rows = [(step, LAYERS[place], expert, count) for (step, place, expert), count in np.ndenumerate(COUNTS) if count]
    text = "iteration,layer,expert,count\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    (folder / "counts.csv").write_text(text)
    return ["--experts", str(EXPERTS)]


def _sglang(folder: Path) -> list[str]:
    counts = np.insert(COUNTS, 0, 0, axis=1)
    torch_files.save(folder / "expert_distribution_recorder_1.5.pt", {"rank": 0, "logical_count": counts})
    return ["--as-is"]


def _vllm(folder: Path) -> list[str]:
    np.savez(folder / "request_0.npz", routed_experts=IDS[:, :, 0], prompt_len=1)
    return ["--experts", str(EXPERTS), "--in-flight", "1"]


def _adrs(folder: Path) -> list[str]:
    history = {"load_history": [{"logical_expert_load": step.tolist()} for step in COUNTS]}
    (folder / "expert-load.json").write_text(json.dumps(history))
    return []


def _npy(folder: Path) -> list[str]:
    np.save(folder / "counts.npy", COUNTS)
    return []


def _vllm_load(folder: Path) -> list[str]:
    # Two redundant slots hold experts 0 and 1 of every layer again, and half of their load.
    mapping = [[*range(EXPERTS), 0, 1]] * len(LAYERS)
    redundant = COUNTS[:, :, :2] // 2
    slots = np.concatenate([COUNTS, redundant], axis=2)
    slots[:, :, :2] -= redundant
    snapshots = [
        {"step": 100 * step, "window_expert_load": load.tolist(), "latest_expert_load": load.tolist()}
        | {"physical_to_logical_map": mapping}
        for step, load in enumerate(slots)
    ]
    head = {"num_moe_layers": len(LAYERS), "num_logical_experts": EXPERTS, "window_size": 100}
    (folder / "M_expert_load.json").write_text(json.dumps(head | {"snapshots": snapshots}))
    return []


WRITERS: dict[str, Callable[[Path], list[str]]] = {
    "sglang": _sglang,
    "vllm": _vllm,
    "trtllm": _trtllm,
    "vllm-ascend": _ascend,
    "mindie": _mindie,
    "omni": _omni,
    "megatron": _megatron,
    "atom": _atom,
    "steps": _steps,
    "csv": _csv,
    "adrs": _adrs,
    "npy": _npy,
    "vllm-load": _vllm_load,
}
