"""Models and a chip for the imbalance model, and the time of a layer's experts on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from .closed_form import LATENCY, WORST, Block, ExpertImbalance, bisection_bandwidth, torus_dims


@dataclass(frozen=True)
class MoeModel:
    """What of a model the time of its experts depends on.

    d_model, d_ff: width of a token and of a routed expert; layers: those with experts; devices_per_token: how many a
    token is sent to at most, limited by the model's routing (DeepSeek's limited groups) or else by its active experts.
    Weights and tokens have a byte per number (FP8).
    """

    name: str
    experts: int
    active_experts: int
    d_model: int
    d_ff: int
    layers: int
    devices_per_token: int

    def imbalance(self, devices: int, factor: float | Fraction = WORST, hot: int = 1) -> ExpertImbalance:
        """The model's experts over so many devices. Raises ValueError, see ExpertImbalance."""
        return ExpertImbalance(self.experts, self.active_experts, devices, factor, hot)

    def exchange_bytes(self, tokens: int) -> int:
        """Bytes of all tokens in dispatch, and in combine: tokens, devices per token, width."""
        return tokens * self.devices_per_token * self.d_model

    @property
    def expert_bytes(self) -> int:
        """Gate, up and down matrices of an expert."""
        return 3 * self.d_model * self.d_ff

    @property
    def token_flops(self) -> int:
        """Operations of an expert for a token: a product and a sum for each weight."""
        return 2 * self.expert_bytes


@dataclass(frozen=True)
class Chip:
    """A device. flops: per ns; memory, link: GB/s, that is bytes per ns; latency: ns of one message.

    The default has the size of a TPU v5p (459 Tflop/s, 2765 GB/s), with links of 200 GB/s and NeuSim's latency. Raises
    ValueError for a device without speed.
    """

    flops: float | Fraction = 459_000
    memory: float | Fraction = 2765
    link: float | Fraction = 200
    latency: float | Fraction = LATENCY

    def __post_init__(self) -> None:
        if not (self.flops > 0 and self.memory > 0 and self.link > 0 and self.latency >= 0):
            raise ValueError(f"a chip cannot be {self}; expected flops, memory and link above 0, latency from 0")

    def bandwidth(self, devices: int) -> Fraction:
        """Bandwidth of the torus nearest to a cube for all-to-all, GB/s."""
        return bisection_bandwidth(self.link, torus_dims(devices))

    def expert_ns(self, model: MoeModel, block: Block) -> Fraction:
        """A block's time: of each expert's operations or of reading its weights, whichever is longer."""
        operations = block.tokens * model.token_flops / Fraction(self.flops)
        return block.experts * max(operations, model.expert_bytes / Fraction(self.memory))


class LayerTime(NamedTuple):
    """Time of a layer's experts in ns: what the worst device computes, and the exchange of tokens before and after."""

    compute: int
    dispatch: int
    combine: int

    @property
    def total(self) -> int:
        """All three, one after the other."""
        return sum(self)


MODELS = {
    model.name: model
    for model in (
        MoeModel("deepseek-v2", 160, 6, 5120, 1536, layers=59, devices_per_token=3),
        MoeModel("deepseek-v3", 256, 8, 7168, 2048, layers=58, devices_per_token=4),
        MoeModel("deepseek-r1", 256, 8, 7168, 2048, layers=58, devices_per_token=4),
        MoeModel("qwen3-235b", 128, 8, 4096, 1536, layers=94, devices_per_token=8),
    )
}
CHIP = Chip()


def layer_time(model: MoeModel, imbalance: ExpertImbalance, tokens: int, chip: Chip = CHIP) -> LayerTime:
    """Time of one layer's routed experts for tokens that are dispatched together.

    tokens: of all devices: in prefill batch * prompt, in decode the batch. Attention and shared experts are the same
    whatever the imbalance, and left out. Raises ValueError when the imbalance is of another model, or tokens below 1.
    """
    numbers = (imbalance.experts, imbalance.active_experts)
    if numbers != (model.experts, model.active_experts):
        raise ValueError(
            f"the imbalance is of {numbers[0]} experts, {numbers[1]} active; expected {model.experts} and "
            f"{model.active_experts}, those of {model.name}"
        )
    compute = math.ceil(sum(chip.expert_ns(model, block) for block in imbalance.compute_blocks(tokens)))
    exchange = imbalance.all_to_all_ns(model.exchange_bytes(tokens), chip.bandwidth(imbalance.groups), chip.latency)
    return LayerTime(compute, exchange, exchange)


def prefill_ns(model: MoeModel, imbalance: ExpertImbalance, tokens: int, chip: Chip = CHIP) -> int:
    """The experts' part of the time to first token: a layer's time with all prompt tokens, times the layers."""
    return model.layers * layer_time(model, imbalance, tokens, chip).total


def decode_ns(model: MoeModel, imbalance: ExpertImbalance, tokens: int, length: int, chip: Chip = CHIP) -> int:
    """The experts' part of decoding `length` tokens for each of a batch of so many: as many steps, in all layers."""
    return model.layers * length * layer_time(model, imbalance, tokens, chip).total
