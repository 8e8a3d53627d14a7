"""Reads a page as a browser would, as far as tests need it, and a text that tries to break one."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "base", "embed", "source", "wbr"}
HOSTILE = """<script>alert("1")</script> & 'two' $title ${headline} $ $$ </td></table> {0} %s &lt;"""


class Page(HTMLParser):
    """Parses a page, failing on wrong nesting; collects tags, attributes, texts, and the cells of its tables."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts, self.tables = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if "th" in self.open or "td" in self.open:
            self.tables[-1][-1][-1] += data
