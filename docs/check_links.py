"""Checks the links of the documents, and what the code cites of them; run by `make lint`.

    docs/check_links.py               links, anchors, and named files of every Markdown page;
                                      pages that Python files name
    docs/check_links.py --citations   also: a cited heading exists, and no Python file cites a
                                      page that is not part of this repository

A problem is one line: the file, the line, and what is wrong. The exit status is 1 if there is one.
Links to other sites are not followed.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# A link to one of these may come before the page.
PLANNED = ("docs/architecture.md",)
_SKIPPED = {".git", ".venv", "build", "node_modules", ".pytest_cache"}

_FENCE = re.compile(r"^\s*(```|~~~)")
_CODE = re.compile(r"`(?:[^`\n]|\n(?!\n))*`")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
# A file that a page names in code style, by its path from the root.
_FILE = re.compile(r"`((?:docs|firmware|host_tests|tools)/[\w./-]*\.\w+)(?:::\w+)?`")
_PAGE = re.compile(r"\bdocs/[\w/-]+\.(?:md|svg|png)\b")
# A citation: the page, a comma, and one of its headings, which may go on in the next line.
_CITED = re.compile(r"\b(docs/[\w/-]+\.md),\s+(?:#\s*)?[\"'“]?([A-Z$][^\"”\n]*)(?=(\n[^\"”\n]*)?)")
_OUTSIDE = re.compile(r"\bspec (?:iothub-\w+|sdk-\w+)|\bsdk-expectations\b|\.\./shared\b")


def files(root, ending):
    """The files below `root` with this ending, without what is built or installed."""
    found = (path.relative_to(root) for path in root.rglob("*" + ending))
    return sorted(path for path in found if not _SKIPPED & set(path.parts))


def prose(text):
    """The lines of a page, those of its code blocks emptied."""
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
            yield ""
        else:
            yield "" if fenced else line


def slug(heading):
    """A heading's anchor, as GitHub makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def headings(text):
    """The texts of a page's headings, in order."""
    matches = (_HEADING.match(line) for line in prose(text))
    return [match[2].replace("`", "") for match in matches if match]


def anchors(text):
    """The anchors of a page; a heading that comes again has a number behind it."""
    found = {}
    for heading in headings(text):
        name = slug(heading)
        found[name] = found.get(name, -1) + 1
        if found[name]:
            found[f"{name}-{found[name]}"] = 0
    return set(found)


def links(root):
    """Yield a line for each link of a Markdown page that leads nowhere."""
    for page in files(root, ".md"):
        text = "\n".join(prose((root / page).read_text()))
        for match in _FILE.finditer(text):
            # Tests are named without the folder that all of them are in.
            if not any((root / folder / match[1]).exists() for folder in ("", "host_tests")):
                yield f"{page}:{line_of(text, match)}: there is no file {match[1]}"
        text = _CODE.sub(lambda code: re.sub(r"[^\n]", "x", code[0]), text)
        for match in [*_LINK.finditer(text), *_DEFINITION.finditer(text)]:
            problem = followed(root, page, match[1])
            if problem:
                yield f"{page}:{line_of(text, match)}: {match[1]}: {problem}"


def followed(root, page, target):
    """What is wrong with one link of a page, or None."""
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    file = (root / page.parent / path).resolve() if path else root / page
    if not file.exists():
        planned = [(root / name).resolve() for name in PLANNED]
        return None if file in planned else "there is no such file"
    if anchor and (file.suffix != ".md" or anchor not in anchors(file.read_text())):
        return "there is no such heading"
    return None


def pages(root):
    """Yield a line for each page that a Python file names and that is not there."""
    for file in files(root, ".py"):
        for number, line in enumerate((root / file).read_text().splitlines(), 1):
            for name in _PAGE.findall(line):
                if not (root / name).exists() and name not in PLANNED:
                    yield f"{file}:{number}: there is no page {name}"


def citations(root):
    """Yield a line for each citation in a Python file of another place, or of no heading."""
    for file in files(root, ".py"):
        if file == Path(__file__).relative_to(ROOT):
            continue
        text = (root / file).read_text()
        for match in _OUTSIDE.finditer(text):
            yield f"{file}:{line_of(text, match)}: cites {match[0]!r}, which is not here"
        for match in _CITED.finditer(text):
            page = root / match[1]
            known = headings(page.read_text()) if page.exists() else ()
            cited = re.sub(r"\n\s*(?:# )?", " ", match[2] + (match[3] or "")).lower()
            if page.exists() and not cited.startswith(tuple(map(str.lower, known))):
                yield f"{file}:{line_of(text, match)}: {match[1]} has no heading {match[2]!r:.60}"


def line_of(text, match):
    """The number of the line where a match begins."""
    return text.count("\n", 0, match.start()) + 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="another folder to check")
    parser.add_argument("--citations", action="store_true", help="also check what the code cites")
    args = parser.parse_args()
    problems = [*links(args.root), *pages(args.root)]
    if args.citations:
        problems += citations(args.root)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
