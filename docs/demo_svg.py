"""Makes docs/demo.svg, the picture of the demo in the README, from what the demo prints:

FORCE_COLOR=1 .venv/bin/iothub demo | .venv/bin/python docs/demo_svg.py
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 104  # columns; longer lines are cut
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- Made from the output of the demo: see docs/README.md, About these pages. -->
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def bright(found):
    """An escape sequence without the attribute dim, which is hard to read in a picture."""
    codes = [code for code in found[1].split(";") if code != "2"]
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def main():
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    for line in sys.stdin:
        time, reset, rest = line.rstrip("\n").partition("\x1b[0m")
        text = Text.from_ansi(time + reset + re.sub(r"\x1b\[([\d;]+)m", bright, rest))
        text.truncate(WIDTH, overflow="ellipsis")
        console.print(text)
    svg = console.export_svg(title="make demo", code_format=FORMAT, unique_id="demo")
    Path(__file__).with_name("demo.svg").write_text(svg)


if __name__ == "__main__":
    main()
