"""An HTML page, read into a tree; it must be well-formed."""

import base64
from html.parser import HTMLParser
from xml.etree.ElementTree import TreeBuilder

_WITHOUT_END = {"meta", "img"}


class Page(HTMLParser):
    """Of a page: ``root`` (an ``Element``), ``pictures``, ``tables``, ``text``."""

    def __init__(self, html):
        super().__init__()
        self._builder = TreeBuilder()
        self._open = []
        self.feed(html)
        self.close()
        assert not self._open, f"{self._open} do not end"
        self.root = self._builder.close()

    def handle_starttag(self, tag, attributes):
        self._builder.start(tag, dict(attributes))
        if tag in _WITHOUT_END:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open, f"{tag} ends and did not begin"
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data):
        self._builder.data(data)

    def texts(self, tag):
        """The text within each of the elements of a kind."""
        return [text(element) for element in self.root.iter(tag)]

    def pictures(self):
        """[(heading above, caption, PNG)]"""
        found, heading = [], None
        for element in self.root.iter():
            if element.tag == "h2":
                heading = text(element)
            elif element.tag == "figure":
                (image,) = element.iter("img")
                (caption,) = element.iter("figcaption")
                assert image.get("alt") == text(caption)
                found.append((heading, text(caption), _png(image)))
        return found

    def tables(self):
        """Rows of cells of each table: [[["a", "b"], ["1", "2"]], ...]"""
        return [[[*map(text, row)] for row in table] for table in self.root.iter("table")]


def text(element):
    """The text within, in one line."""
    return " ".join("".join(element.itertext()).split())


def _png(image):
    return base64.b64decode(image.get("src").removeprefix("data:image/png;base64,"), validate=True)
