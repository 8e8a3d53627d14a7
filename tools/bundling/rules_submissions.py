"""Rules for the numbers of submissions where pages state them: they are those of competition.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bundling.reader import Bundle, Fault, Phase
from bundling.rules_figures import OVERVIEW, TERMS, line_of, text_of
from bundling.rules_form import WHERE

# What the platform takes where competition.yaml says nothing.
PER_DAY, IN_ALL = 5, 100
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NO_LIMIT = "no limit"
# A page's line of a phase, behind its name: the two numbers.
LINES = {TERMS: r" \| (\d+) \| (\d+) \|", OVERVIEW: r" \|[^|]*\| (\d+) a day, (\d+) in all \|"}
# What a submission that was carried over counts as.
SENTENCES = {
    TERMS: r"one of\s+the \w+'s (?P<all>\w+), and\s+as\s+one\s+of\s+its\s+first\s+day's\s+(?P<day>\w+)",
    OVERVIEW: r"one of\s+the (?P<all>\w+), and\s+of\s+the\s+first\s+day's\s+(?P<day>\w+)",
}


def tables(bundle: Bundle) -> Iterator[Fault]:
    """The numbers in the tables of phases, where a page has such lines."""
    for page, form in LINES.items():
        text = text_of(bundle, page)
        for phase in bundle.phases:
            name = phase.entry.get("name")
            for match in re.finditer(rf"^\| {re.escape(str(name))}{form}", text, re.MULTILINE):
                for number, limit in enumerate(numbers(phase), 1):
                    expected = str(limit or NO_LIMIT)
                    if match[number] != expected:
                        line, what = line_of(text, match.start()), f"the submissions of {phase.name}"
                        yield wrong_number(page, line, what, match[number], expected)


def carried_over(bundle: Bundle) -> Iterator[Fault]:
    """The numbers, in words, in the sentences on a submission that is carried over."""
    for phase in bundle.phases:
        if phase.entry.get("auto_migrate_to_this_phase") is not True:
            continue
        day, total = map(in_words, numbers(phase))
        for page, form in SENTENCES.items():
            text = text_of(bundle, page)
            for match in re.finditer(form, text):
                for group, expected in (("day", day), ("all", total)):
                    if match[group] != expected:
                        line, what = line_of(text, match.start(group)), f"the submissions of {phase.name}"
                        yield wrong_number(page, line, what, match[group], expected)


def numbers(phase: Phase) -> tuple[int, int]:
    """Submissions per day, and in all, that a phase takes of each participant."""
    return phase.entry.get("max_submissions_per_day", PER_DAY), phase.entry.get("max_submissions", IN_ALL)


def in_words(number: int) -> str:
    """A number of submissions as a sentence has it."""
    return WORDS[number - 1] if 0 < number <= len(WORDS) else str(number or NO_LIMIT)


def wrong_number(page: str, line: int, what: str, got: str, expected: str) -> Fault:
    """A number of submissions that is not that of competition.yaml."""
    return Fault(f"{page}, line {line}", f"states {what} otherwise than {WHERE}", got, expected, "correct the text")


RULES = (tables, carried_over)
