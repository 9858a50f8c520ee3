"""Markdown, as far as the documentation's tests need it: fenced blocks and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What follows the fence.
        content: Its lines.
        line: Number of its first line in the page.
        is_run: Whether the page does not say that it is not run.
    """

    language: str
    content: str
    line: int
    is_run: bool


def documented() -> list[Path]:
    """Every page for users."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """A page as a test calls it."""
    return str(page.relative_to(REPOSITORY))


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(
            found["language"],
            found["content"],
            text[: found.start("content")].count("\n") + 1,
            "<!-- not run:" not in text[: found.start()].rstrip().rpartition("\n")[2],
        )
        for found in _FENCE.finditer(text)
    ]


def links_of(page: Path) -> list[str]:
    """The targets of a page's links, outside its fenced blocks."""
    return [found["target"] for found in _LINK.finditer(_FENCE.sub("", page.read_text()))]


def anchors_of(page: Path) -> set[str]:
    """The names of a page's headings, as links use them."""
    titles = [found["title"] for found in _HEADING.finditer(_FENCE.sub("", page.read_text()))]
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
