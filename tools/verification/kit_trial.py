"""The kit as participants get it: out of the bundle's zip, in a folder elsewhere, with an environment of its own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from commands.archive import unpack

from .gallery import printed_score, stated_scores

BUNDLE = Path("dist") / "competition.zip"
TEMPLATE = "policy.py"


def check_kit(folder: Path) -> tuple[str, list[str]]:
    """Unpack the kit of a built bundle and `make run` there: the score, and what is wrong.

    Raises OSError, and Problem where a zip is broken.
    """
    if not (folder / BUNDLE).is_file():
        return "", [f"there is no {BUNDLE}. Next: make bundle"]
    files = unpack(unpack((folder / BUNDLE).read_bytes())["starting_kit.zip"])
    stated = stated_scores(folder)[TEMPLATE]
    with TemporaryDirectory(prefix="kit-") as elsewhere:
        for name, content in files.items():
            path = Path(elsewhere) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        got = printed_score(["make", "run"], Path(elsewhere))
    wrong = [] if got == stated else [f"the kit's template scores {got}, the repository's {stated}"]
    return f"composite_score: {got}, {len(files)} files", wrong
