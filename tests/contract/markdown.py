"""What the tests of the documents have to know of Markdown."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "client/*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def text_of(name: str) -> str:
    """Text of a document, by its path from the root."""
    return (ROOT / name).read_text()


def sections(text: str) -> dict[str, str]:
    """Second-level heading -> what stands under it; the empty heading is what stands before the first."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return [body for name, body in _FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """Text without its fenced blocks."""
    return _FENCE.sub("", text)


def rows(text: str) -> list[tuple[str, ...]]:
    """Rows of every table, without the headings; a cell without its backticks, `\\|` as a bar."""
    lines = [line for line in prose(text).splitlines() if line.startswith("|")]
    cells = [tuple(cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]) for line in lines]
    rules = [i for i, row in enumerate(cells) if set("".join(row)) <= set("-: ")]
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]


def bare(cell: str) -> str:
    """Cell that is one piece of code, without its backticks."""
    return cell.strip("`")


def links(text: str) -> list[str]:
    """Targets of the links to our own files and headings."""
    return [target for target in _LINK.findall(prose(text)) if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
