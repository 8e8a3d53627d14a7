"""The closed form over ep and factor, as a table."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from .presets import MoeModel, decode_ns, layer_time, prefill_ns

if TYPE_CHECKING:
    import pandas as pd


def closed_form(
    model: MoeModel, devices: list[int], factor: float | Fraction, hot: int, tokens: int, batch: int
) -> pd.DataFrame:
    """A row for each ep and each of the factors 1, `factor` and the most. Raises ValueError.

    prefill_us, decode_us: a layer's experts for `tokens` and for one token of each of `batch`; prefill_ms: the experts'
    part of the time to first token; added_ms: what factor 1 has not; decode_ms: their part of a token's time.
    """
    import pandas as pd

    factors = sorted({model.imbalance(1, value, hot).factor for value in (1, factor, -1)})
    rows = []
    for ep in devices:
        least = prefill_ns(model, model.imbalance(ep, 1, hot), tokens)
        for value in factors:
            imbalance = model.imbalance(ep, value, hot)
            time, step = (layer_time(model, imbalance, number) for number in (tokens, batch))
            prefill = prefill_ns(model, imbalance, tokens)
            row = {"ep": ep, "factor": float(value), "skew": float(imbalance.skew), "compute_us": time.compute / 1e3}
            row |= {"exchange_us": (time.dispatch + time.combine) / 1e3, "prefill_us": time.total / 1e3}
            row |= {"prefill_ms": prefill / 1e6, "added_ms": (prefill - least) / 1e6, "decode_us": step.total / 1e3}
            rows.append(row | {"decode_ms": decode_ns(model, imbalance, batch, 1) / 1e6})
    return pd.DataFrame(rows)
