"""Rules for the top of competition.yaml: texts, image, switches, terms and pages."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from bundling.image import image_size
from bundling.pages import DATA
from bundling.reader import Bundle, Fault
from bundling.rules_form import WHERE, shown

SWITCHES = (
    "registration_auto_approve",
    "enable_detailed_results",
    "show_detailed_results_in_submission_panel",
    "show_detailed_results_in_leaderboard",
    "auto_run_submissions",
    "can_participants_make_submissions_public",
    "make_programs_available",
    "make_input_data_available",
    "forum_enabled",
)
FACT_SHEET = {"key", "type", "title", "selection", "is_required", "is_on_leaderboard"}
SMALLEST_IMAGE, WIDEST = 100, 1.25
# What DOMPurify and the editor drop is dropped in silence; pages do without any tag.
TAG = re.compile(r"<[A-Za-z/!][^>\n]*>?")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
# The platform takes what stands between two of them in a line for LaTeX, in code, too (codalab/codabench issue 1273).
FORMULA = re.compile(r"\$[^$\n]*\$")


def texts(bundle: Bundle) -> Iterator[Fault]:
    """Texts that have a length, and choices."""
    top = bundle.competition
    yield from text(top, WHERE, "title", 256)
    yield from text(top, WHERE, "docker_image", 128)
    for key in ("description", "reward"):
        if key in top and not isinstance(top[key], str):
            yield Fault(WHERE, f"{key} is no text", shown(top[key]), "text", "correct it")
    kind = top.get("competition_type", "competition")
    if kind not in ("competition", "benchmark"):
        yield Fault(WHERE, "competition_type is unknown", shown(kind), "competition or benchmark", "correct it")
    email = top.get("contact_email")
    if "contact_email" in top and not (isinstance(email, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email)):
        yield Fault(WHERE, "contact_email is no address", shown(email), "name@host", "correct or remove it")


def text(entry: dict[str, Any], where: str, key: str, longest: int) -> Iterator[Fault]:
    """A text that must be there and must not be long."""
    value = entry.get(key)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= len(value) <= longest:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        yield Fault(where, f"{key} is missing or too long", got, f"text of 1 to {longest} characters", "correct it")


def old_image(bundle: Bundle) -> Iterator[Fault]:
    """The platform's own images before Python 3.12 cannot run the programs."""
    image = bundle.competition.get("docker_image")
    if isinstance(image, str) and re.fullmatch(r"codalab/codalab-legacy(:py3\d|:gpu|:latest)?", image):
        expected = "an image with Python 3.10 or newer, such as codalab/codalab-legacy:py312"
        yield Fault(WHERE, "docker_image is too old for the programs", shown(image), expected, "name another")


def queue(bundle: Bundle) -> Iterator[Fault]:
    """A queue is named by its id."""
    value = bundle.competition.get("queue")
    if "queue" not in bundle.competition:
        return
    try:
        uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        yield Fault(WHERE, "queue is no id", shown(value), "the id that the platform shows for it", "correct it")


def left_open(bundle: Bundle) -> Iterator[Fault]:
    """What a competition may lack until it is published: a queue of its own, and an address."""
    needing = [phase.name for phase in bundle.phases if phase.hidden or phase.grid.get("sandbox") == "required"]
    if needing and "queue" not in bundle.competition:
        expected = f"queue: the Vhost of your own, whose workers have traces and sandbox of {', '.join(needing)}"
        next_step = "make one (ORGANIZERS.md, section 5), write it in, and build again"
        yield Fault(WHERE, "names no queue", "no key queue, so the default queue", expected, next_step)
    if needing and "contact_email" not in bundle.competition:
        expected = "contact_email: where a participant can write what does not belong in the forum"
        yield Fault(WHERE, "has no contact_email", "nothing", expected, "write it in, and build again")


def switches(bundle: Bundle) -> Iterator[Fault]:
    """Switches are booleans; two must be off, one on."""
    top = bundle.competition
    for key in SWITCHES:
        if key in top and not isinstance(top[key], bool):
            yield Fault(WHERE, f"{key} is no switch", shown(top[key]), "true or false, without quotes", "correct it")
    for key in ("make_programs_available", "make_input_data_available"):
        if top.get(key, False) is not False:
            expected = "false: the ingestion program holds the phase's keys"
            yield Fault(WHERE, f"{key} gives the organizers' files away", shown(top[key]), expected, "correct it")
    if top.get("enable_detailed_results") is not True:
        got = shown(top.get("enable_detailed_results"))
        expected = "true: without it nobody sees the page that tells why"
        yield Fault(WHERE, "enable_detailed_results is off", got, expected, "correct it")


def fact_sheet(bundle: Bundle) -> Iterator[Fault]:
    """A fact sheet's questions have exactly six keys, two of which are texts that look like booleans."""
    if "fact_sheet" not in bundle.competition:
        return
    sheet = bundle.competition["fact_sheet"]
    if not isinstance(sheet, dict):
        yield Fault(WHERE, "fact_sheet is no mapping", shown(sheet), "questions by name", "correct it")
        return
    for name, question in sheet.items():
        where = f"{WHERE}, fact_sheet.{name}"
        if not isinstance(question, dict) or set(question) != FACT_SHEET or question["key"] != name:
            expected = f"exactly {', '.join(sorted(FACT_SHEET))}, key being {name}"
            yield Fault(where, "is not complete", shown(question), expected, "correct it")
            continue
        if question["type"] not in ("checkbox", "text", "select"):
            yield Fault(where, "has an unknown type", shown(question["type"]), "checkbox, text or select", "correct it")
        for key in ("is_required", "is_on_leaderboard"):
            if question[key] not in ("true", "false"):
                yield Fault(where, f"{key} is no text", shown(question[key]), '"true" or "false", quoted', "correct it")


def image(bundle: Bundle) -> Iterator[Fault]:
    """The logo: the platform looks at its content, and makes an icon of 100 pixels' width."""
    name = bundle.competition.get("image")
    data = bundle.files.get(name) if isinstance(name, str) else None
    if data is None:
        yield Fault(WHERE, "image does not exist", shown(name), "a file of the bundle", "correct it")
        return
    size = image_size(data)
    if size is None:
        yield Fault(name, "is no image", "other content", "PNG, JPEG, GIF or WEBP by content", "convert it")
    elif min(size) < SMALLEST_IMAGE or max(size) > WIDEST * min(size):
        expected = f"near square, at least {SMALLEST_IMAGE} pixels each way"
        yield Fault(name, "has a bad size", f"{size[0]} x {size[1]} pixels", expected, "cut or scale it")


def terms(bundle: Bundle) -> Iterator[Fault]:
    """The terms, which participants accept before they join."""
    yield from shown_file(bundle, WHERE, "terms", bundle.competition.get("terms"))


def pages(bundle: Bundle) -> Iterator[Fault]:
    """Pages: in fact required, with titles, readable, and of what the platform's renderer keeps."""
    entries = bundle.entries("pages")
    if not entries:
        yield Fault(WHERE, "has no pages", shown(bundle.competition.get("pages")), "at least one page", "add pages")
    for number, entry in enumerate(entries):
        where = f"{WHERE}, pages[{number}]"
        if not isinstance(entry.get("title"), str) or not entry["title"].strip():
            yield Fault(where, "has no title", shown(entry.get("title")), "text", "correct it")
        yield from shown_file(bundle, where, "file", entry.get("file"))
    names = [*(entry.get("file") for entry in entries), bundle.competition.get("terms")]
    for name in sorted({name for name in names if isinstance(name, str) and name in bundle.files}):
        content = bundle.files[name].decode("utf-8", "replace")
        for code in CODE.findall(content):
            if formula := FORMULA.search(code):
                what, expected = "has code that is shown as a formula", "no two $ in a line of code"
                yield Fault(name, what, shown(formula[0]), expected, "write the code without $")
        yield from markup(name, CODE.sub("", content))


def shown_file(bundle: Bundle, where: str, key: str, name: object) -> Iterator[Fault]:
    """A text file that the platform shows."""
    data = bundle.files.get(name) if isinstance(name, str) else None
    if data is None:
        yield Fault(where, f"{key} does not exist", shown(name), "a file of the bundle", "correct it")
        return
    try:
        if not data.decode("utf-8").strip():
            yield Fault(name, "is empty", f"{len(data)} bytes", "text", "write it")
    except UnicodeDecodeError as error:
        yield Fault(name, "is not UTF-8", f"byte {error.start}: {error.reason}", "UTF-8", "save it as UTF-8")


def markup(name: str, prose: str) -> Iterator[Fault]:
    """A page without its code: no tags, no links to files that are not on the platform."""
    for tag in TAG.findall(prose)[:1]:
        yield Fault(name, "has HTML, which the platform may drop", shown(tag), "Markdown only", "write it in Markdown")
    for inline, reference in LINK.findall(prose):
        target = inline or reference
        if not target.startswith(("https://", "http://", "mailto:", "#", DATA)):
            expected = "a whole address: pages stand alone there"
            yield Fault(name, "links to a file that is not on the platform", target, expected, "correct it")


RULES = (texts, old_image, queue, switches, fact_sheet, image, terms, pages)
