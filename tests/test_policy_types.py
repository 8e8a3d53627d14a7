"""The types that a policy may be annotated with: those of what it is really given."""

from __future__ import annotations

from typing import get_type_hints

from placement.isolation.interface import PolicyCase
from placement.policy_types import Case
from submissions import run_policy, write_policy

ANNOTATED = """
    import numpy as np
    from placement.policy_types import Answer, Case, Policy as Interface

    class Policy:
        def __init__(self, case: Case) -> None:
            self.layers = case.layers

        def rebalance(self, hotness: np.ndarray, deployment: np.ndarray, iteration: int) -> Answer:
            return range(self.layers), deployment
"""


def test_the_type_of_a_case_has_what_a_policy_is_given() -> None:
    properties = {name: value.fget for name, value in vars(Case).items() if type(value) is property}
    typed = {name: get_type_hints(getter)["return"] for name, getter in properties.items()}
    assert typed == get_type_hints(PolicyCase)


def test_an_annotated_policy_is_accepted(tmp_path) -> None:
    row = run_policy(write_policy(tmp_path, ANNOTATED)).row
    assert (row["status"], row["transmit_amount"]) == ("ok", 0) and row["redeployed_layers"] > 0
