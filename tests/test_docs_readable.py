"""What can be counted of plain English: whom a page is for, and how long its sentences are."""

from __future__ import annotations

import re

import pytest

from test_docs_tree import DOCUMENTS, HISTORY, prose, text_of

LONGEST = 40
READERS = "participant organizer engineer researcher developer reviewer reader everyone anyone people"
FOR_WHOM = re.compile(rf"\b[Ff]or\b.*\b(?:{'|'.join(READERS.split())})s?\b")
CHECKED = sorted({*DOCUMENTS} - {HISTORY})
# A room's page says what comes in and goes out.
PAGES = [document for document in CHECKED if "\nIn: " not in text_of(document)]
# Sentences end here. A colon does not end one: what stands behind has to be read with it.
END = re.compile(r"(?<=[.!?])[*)\"]*\s+(?=\S)")


def sentences(text: str) -> list[str]:
    """The sentences of a document, without tables, headings and code; words in backticks count as one each."""
    text = re.sub(r"^(?:\||#|\[[^\]]+\]:).*$", "", prose(text), flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "x", text))
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text)
    joined = [re.sub(r"^(?:[-*]|\d+\.) ", "", " ".join(paragraph.split())) for paragraph in paragraphs]
    return [sentence for paragraph in joined for sentence in END.split(paragraph) if sentence]


def test_sentences_end_at_full_stops_and_with_paragraphs_and_items() -> None:
    text = (
        "# No. Heading\n\nOne `a. b c` [two](x.md).  Three\nfour!\n\n- **Five.** Six: seven\n- Eight\n\n| no. | no |\n"
    )
    text += "```sh\nno. code\n```\n1. Nine\n"
    assert sentences(text) == ["One x two.", "Three four!", "**Five.", "Six: seven", "Eight", "Nine"]


@pytest.mark.parametrize("document", PAGES)
def test_the_first_sentence_of_a_page_says_whom_the_page_is_for(document: str) -> None:
    assert FOR_WHOM.search(sentences(text_of(document))[0]), sentences(text_of(document))[0]


@pytest.mark.parametrize("document", CHECKED)
def test_no_sentence_is_too_long_to_be_read_once(document: str) -> None:
    counted = {sentence: len(sentence.split()) for sentence in sentences(text_of(document))}
    assert {sentence: words for sentence, words in counted.items() if words > LONGEST} == {}


def test_the_readme_is_short() -> None:
    text = re.sub(r"^\|.*$", "", prose(text_of("README.md")), flags=re.MULTILINE)
    assert len(text.split()) < 900
