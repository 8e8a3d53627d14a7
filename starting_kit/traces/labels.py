"""Labels: another id for each expert of a hidden trace, drawn for each layer, so that stored tables fit no more.

`labels[layer, expert]` is the id, in the relabelled trace, of the expert that was `expert` in the original.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np

from placement.errors import OrganizerError


def draw_labels(key: bytes, name: str, shape: Sequence[int], seed: int, groups: int = 1) -> np.ndarray:
    """Labels of a trace, int64 [layer, expert]: a random permutation for each layer.

    key: 32 bytes, without which the seed tells nothing; name: `<model>/<dataset>` of the relabelled trace; shape:
    iterations, layers, experts; groups: so many equal runs of neighbours stay together, each at another place and with
    its experts in another order. The same arguments give the same labels, with every release of numpy.
    Raises OrganizerError where the groups do not divide the experts.
    """
    _, layers, experts = shape
    if groups < 1 or experts % groups:
        raise OrganizerError(
            "the groups do not divide the experts",
            got=f"{experts} experts, {groups} groups",
            expected="groups of equally many experts",
            next_step="take the groups that the grid states for this model",
            where=f"trace {name}",
        )

    def drawn(kind: str, count: int) -> np.ndarray:
        # By HMAC rather than by numpy's generator: nobody without the key can try seeds, however small they are.
        places = ((layer, number) for layer in range(layers) for number in range(count))
        texts = (f"labels\n{name}\n{seed}\n{kind},{layer},{number}" for layer, number in places)
        digests = b"".join(hmac.digest(key, text.encode("ascii"), "sha256")[:8] for text in texts)
        return np.frombuffer(digests, ">u8").reshape(layers, count)

    size = experts // groups
    places = np.argsort(drawn("expert", experts).reshape(layers, groups, size), axis=2, kind="stable")
    group_places = np.argsort(drawn("group", groups), axis=1, kind="stable")
    return (group_places[:, :, None] * size + places).reshape(layers, experts)


def relabelled(hotness: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The hotness [iteration, layer, expert] with each expert under its label; the same dtype."""
    return np.take_along_axis(hotness, np.argsort(labels, axis=1)[None], axis=2)
