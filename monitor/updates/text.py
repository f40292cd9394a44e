"""Text from strangers, made safe to show: HTML to text, and any text to one line.

`plain` reads HTML; `one_line` leaves nothing that could forge a line or drive a terminal.
"""

from __future__ import annotations

import unicodedata
from html import unescape
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
    cut = text[:LONGEST_HTML]
    # After the last tag's end nothing can be a tag; fed to the parser, 6,000 beginnings of one would take it 2 s.
    end = cut.rfind(">") + 1
    reader = _TextOfHTML()
    reader.feed(cut[:end])
    reader.close()
    return "".join(reader.parts) + unescape(cut[end:]) + ("…" if cut != text else "")


def one_line(text: str, longest: int) -> str:
    """Return `text` as one line of at most `longest` characters, white space folded, `…` where it was cut.

    Line breaks of every kind become spaces; control characters, escapes, bidirectional overrides, zero-width
    characters and lone surrogates (Unicode's categories C, which `isprintable` refuses) go.
    """
    if len(text) <= longest and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()  # most are so
    line = text[: 4 * longest]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in line)
    if not line.isascii():
        line = _without_piled_marks(line)
    line = " ".join(line.split())
    if len(line) <= longest and len(text) <= 4 * longest:
        return line
    return line[: longest - 1] + "…" if line else line


def _without_piled_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MOST_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)


class _TextOfHTML(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def set_cdata_mode(self, *_: object, **__: object) -> None:
        """Do not swallow the rest of `a page with a <script> tag fails to load`; nothing is run here."""

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag not in INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag not in INLINE:
            self.parts.append(" ")
