"""The receipt (what a result was made from, equal on every machine), and beside it the versions that measured."""

from __future__ import annotations

from typing import Any

from .markup import Markup, content, element

# As the ingestion log has it, so that the two can be compared.
RECEIPT = "kit {kit}, simulator {simulator_sha256}, policy {policy_sha256}, grid {grid} {grid_sha256}"
LONGEST = 100


def receipt_lines(results: dict[str, Any]) -> Markup:
    """The lines of receipt and versions; entries that the results lack are left out."""
    receipt, versions = texts(results.get("receipt")), texts(results.get("versions"))
    try:
        receipt_text = RECEIPT.format_map(receipt)
    except KeyError:
        receipt_text = _listed(receipt)
    return content(_line("Receipt: ", receipt_text), _line("Measured with: ", _listed(versions)))


def policy_line(results: dict[str, Any], name: str | None) -> Markup | None:
    """The policy's name, or the policy's hash from the receipt where no name is known."""
    return _line("Policy: ", name or texts(results.get("receipt")).get("policy_sha256", ""))


def texts(entries: Any) -> dict[str, str]:
    """The entries that are short texts."""
    if not isinstance(entries, dict):
        return {}
    return {name: text for name, text in entries.items() if isinstance(text, str) and len(text) <= LONGEST}


def _listed(entries: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in entries.items())


def _line(name: str, text: str) -> Markup | None:
    return element("p", element("span", name, class_="muted"), element("code", text)) if text else None
