"""Text from strangers, made safe to show: HTML to text, and any text to one line.

`plain` reads HTML; `one_line` leaves nothing that could forge a line or drive a terminal.
"""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

# Elements that stand inside a word or a sentence; every other tag ends a line, so a space stands for it.
INLINE = frozenset("a abbr b code del em font i ins mark s small span strong sub sup tt u var wbr".split())
# HTML is read up to here: a notice is read in a terminal, and a parser must not be fed a megabyte.
LONGEST_HTML = 20_000
# More marks than this on one letter belong to no language; they only climb over the lines above.
MOST_COMBINING_MARKS = 4


def plain(text: str) -> str:
    """Return the text of an HTML fragment; what holds no tag and no entity comes back as it is."""
    if "<" not in text and "&" not in text:
        return text
    reader = _TextOfHTML()
    reader.feed(text[:LONGEST_HTML])
    reader.close()
    return "".join(reader.parts)


def one_line(text: str, longest: int) -> str:
    """Return `text` as one line of at most `longest` characters, white space folded.

    Line breaks of every kind become spaces; control characters, escapes, bidirectional overrides,
    zero-width characters and lone surrogates (Unicode's categories C, which `isprintable` refuses) go.
    """
    text = text[: 4 * longest]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
    if not text.isascii():
        text = _without_piled_marks(text)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _without_piled_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MOST_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)


class _TextOfHTML(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag not in INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag not in INLINE:
            self.parts.append(" ")
