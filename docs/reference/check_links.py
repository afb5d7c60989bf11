"""Checks the links of all pages in a folder: ``python docs/reference/check_links.py build/docs``.

A link to a page or an anchor that is not there is printed, and the exit code is 1. Links that
leave the folder's site are not followed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.add(values.get("id"))
        self.links += [values[name] for name in ("href", "src") if values.get(name)]


def broken(pages):
    """Yields (page, link) of every link that leads nowhere."""
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            found = target.is_file()
            if url.fragment and target in pages:
                found = unquote(url.fragment) in pages[target].anchors
            if not found:
                yield path, link


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    failures = [f"{path}: {link} leads nowhere" for path, link in broken(pages)]
    count = sum(len(page.links) for page in pages.values())
    print(*failures, f"{len(pages)} pages, {count} links, {len(failures)} broken", sep="\n")
    sys.exit(1 if failures or not pages else 0)
