"""Text that comes from outside, in a form that every database can hold."""

from __future__ import annotations


def storable(text: str) -> str:
    r"""Give a text without what some database refuses; that is shown as a backslash and its number instead.

    Half a surrogate, as in a file name that is no UTF-8 (``\udcff``), has no place in UTF-8, and a NUL (``\x00``) none
    in a text of PostgreSQL's.
    """
    if text.isprintable():
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
