"""Text from outside, made safe to show and to keep: HTML to text, any text to one line or to a number of bytes.

`plain` reads HTML; `one_line` removes what could forge a line or drive a terminal; `cut_bytes` bounds what is kept.
None of them raises for any text, and each takes time in proportion to its length.
"""

from __future__ import annotations

import re
import traceback
import unicodedata
from html import unescape

# Elements that stand inside a word or a sentence; every other tag becomes a space.
INLINE = frozenset("a abbr b code del em font i ins mark s small span strong sub sup tt u var wbr".split())
MOST_COMBINING_MARKS = 4  # on one letter; no language has more, and they would climb over the lines above
# A longer run of characters that may be marks: a mark is no letter, and the first one is U+0300.
_MAY_BE_PILED = re.compile(rf"[^\w\0-\u02ff]{{{MOST_COMBINING_MARKS + 1},}}")

# These read no character twice: in a text that ends in `-->` every comment is closed, in one that ends in `>` every
# tag, and other text fails within its first characters. `<!-->` and `<!--->` are whole comments.
_COMMENT = re.compile(r"<!--(?:-?>|.*?-->)", re.DOTALL)
# A `>` in a quoted value ends no tag. An address in angle brackets is text, and so is an unclosed comment.
_TAG = re.compile(
    r"""<(?:
        /?(?!https?:)([a-zA-Z][^\s/>]*+)(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')|=)*
        |(?:/(?![a-zA-Z])|\?|!(?!--))[^>]*+
    )>""",
    re.VERBOSE,
)
# No character has so long a number, and int() refuses the longest ones:
# https://docs.python.org/3/library/stdtypes.html#integer-string-conversion-length-limitation
_LONG_NUMBER = re.compile(r"&#[0-9]{20,};?")


def plain(text: str) -> str:
    """Return the text of an HTML fragment; a text without tags and entities is returned as it is.

    Tokens are those of https://html.spec.whatwg.org/multipage/parsing.html, but no word is lost: the contents of
    `<script>` and CDATA stay, and an unclosed tag is text. `html.parser` raises on `<![x`, takes seconds for a text
    of `<!--`, and differs between the releases of one Python version.
    """
    if "<" in text:
        if "<![CDATA[" in text:
            text = text.replace("<![CDATA[", "").replace("]]>", "")
        before, close, after = text.rpartition("-->")
        before, close, after = (_COMMENT.sub("", before + close) + after).rpartition(">")
        text = _TAG.sub(_gap, before + close) + after
    return unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


def _gap(tag: re.Match[str]) -> str:
    name = tag[1]
    return "" if name is None or name.lower() in INLINE else " "


def one_line(text: str, longest: int) -> str:
    """Return `text` as one line of at most `longest` characters, with white space folded and `…` at a cut.

    Line breaks of every kind become spaces. Control characters, escapes, bidirectional overrides, zero-width
    characters and lone surrogates (Unicode's categories C, which `isprintable` refuses) are removed.
    """
    if len(text) <= longest and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()  # the common case
    line = " ".join(text[: 4 * longest].split())
    if not line.isprintable():
        line = " ".join("".join(filter(str.isprintable, line)).split())
    if not line.isascii():
        line = _MAY_BE_PILED.sub(_without_piled_marks, line)
    if len(line) <= longest and len(text) <= 4 * longest:
        return line
    return line[: longest - 1] + "…" if line else line


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 page`, `2 pages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def lines_of(text: str, longest: int) -> list[str]:
    """Return the lines of a text, HTML or not, each as `one_line`, without the empty ones."""
    return [line for line in (one_line(line, longest) for line in plain(text).splitlines()) if line]


def _without_piled_marks(run: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MOST_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)


_unstorable = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, UTF-8 lone surrogates


def storable(text: str) -> str:
    """Return a text that every store takes: NUL and lone surrogates become U+FFFD."""
    return _unstorable.sub("\ufffd", text)


def cut_bytes(text: str, most: int) -> str:
    """Return `text`, or as much of its beginning as fits into `most` (3 or more) bytes of UTF-8 with `…` at the end."""
    if len(text) * 4 <= most:
        return text  # the common case
    encoded = text[:most].encode("utf-8", "surrogatepass")
    if len(text) <= most and len(encoded) <= most:
        return text
    return encoded[: most - len("…".encode())].decode("utf-8", "ignore") + "…"


def excerpt(body: bytes) -> str:
    """Return the beginning of a body for the log, escaped: it can neither forge a line nor drive a terminal."""
    return body[:500].decode(errors="replace").encode("unicode_escape").decode("ascii")


def describe_error(error: BaseException) -> str:
    """Return one line for the log that says what failed and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = excerpt(str(error).encode(errors="backslashreplace"))
    return f"{type(error).__name__} at {place.filename}:{place.lineno}: {said}"
