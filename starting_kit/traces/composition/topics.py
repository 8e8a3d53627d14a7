"""What requests are about: their labels, grouped to topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from placement.errors import OrganizerError
from placement.traces.yaml_file import read_yaml

REST = "rest"


class Topics(NamedTuple):
    """names: of the topics; of_request: int64 [request] -> topic."""

    names: tuple[str, ...]
    of_request: np.ndarray


def label_topics(labels: Sequence[str]) -> Topics:
    """Each label is a topic."""
    names, of_request = np.unique(labels, return_inverse=True)
    return Topics(tuple(map(str, names)), of_request)


def grouped_topics(labels: Sequence[str], words: Mapping[str, Sequence[str]]) -> Topics:
    """Topics by words: a label belongs to the first topic one of whose words it contains, else to `rest`.

    Upper and lower case are alike. Raises OrganizerError for a topic that no label belongs to.
    """
    found = [
        next((topic for topic, some in words.items() if any(word.lower() in label.lower() for word in some)), REST)
        for label in labels
    ]
    if missing := sorted(set(words) - set(found)):
        if all(label.isdecimal() for label in labels):
            got, expected = f"numbers, such as {labels[0]}", "what each request is about"
            next_step = "import the recording again, or leave the topics out"
            raise OrganizerError("the requests have no labels", got, expected, next_step, "topics")
        got = f"{missing[0]}: {', '.join(words[missing[0]])}"
        expected = f"a word of one of the labels, such as {labels[0]}"
        raise OrganizerError("a topic has no request", got, expected, "correct the words", "topics")
    names = tuple(name for name in dict.fromkeys([*words, REST]) if name in found)
    return Topics(names, np.array([names.index(name) for name in found]))


def read_words(path: Path) -> dict[str, list[str]]:
    """A YAML file of topics, each with the words of its labels. Raises OrganizerError."""
    content = read_yaml(path, "topics")
    right = isinstance(content, dict) and content
    for name, words in content.items() if right else ():
        texts = [name, *words] if isinstance(words, list) and words else [None]
        right = right and all(isinstance(text, str) and text for text in texts)
    if not right:
        got, expected = " ".join(str(content).split())[:200], "for each topic a list of words"
        raise OrganizerError("the topics have another form", got, expected, f"correct {path}", "topics")
    return content
