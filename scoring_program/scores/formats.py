"""The format numbers of the files that this program reads. Other numbers are refused, with the next step."""

from __future__ import annotations

from typing import Any

from .problems import Wrong, shown

# One more whenever this program must read a file otherwise; 1 had no number.
RESULTS_FORMAT, EXPLAIN_FORMAT, REFERENCE_FORMAT = 4, 3, 3
RUN_AGAIN = "run the policy again with kit.py run; on Codabench, upload the policy again"


def check_format(content: dict[str, Any], expected: int, wrong: Wrong, again: str) -> None:
    """Raise `wrong` unless content has the expected format; again: the next step for a file of an older format."""
    number = content.get("format")
    is_integer = isinstance(number, int) and not isinstance(number, bool)
    if is_integer and number == expected:
        return
    newer = is_integer and number > expected
    what = "was written by a newer kit" if newer else "was written by an older kit"
    if "format" in content and not is_integer:
        what = "has no valid format number"
    got = f"format {shown(number)}" if "format" in content else "no format number"
    raise wrong(what, got, f"format {expected}", "use the newer kit" if newer else again)
