"""Makes a picture of a terminal from a recording: `.venv/bin/python docs/images/render.py TITLE < recording.txt > picture.svg`. Needs `rich`, which the development environment has.

Colours of the recording are kept; a recording without any gets some. The pictures in the README:

    make demo 2>&1 | .venv/bin/python docs/images/render.py 'make demo' > docs/images/demo.svg
    docs/images/record_status.py makes docs/images/status.svg, of a cluster of the lab
"""

import io
import re
import sys

from rich.console import Console
from rich.text import Text

console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True)
for line in sys.stdin.read().splitlines():
    if "\x1b[" in line:
        text = Text.from_ansi(line)
        text.truncate(118, overflow="ellipsis")
        console.print(text, highlight=False, soft_wrap=True)
        continue
    text = Text(line[:118])
    text.highlight_regex(r"^\$ .*", "bold cyan")
    text.highlight_regex(r"^\[ *[0-9.]+ s\]", "dim")
    text.highlight_regex(r"Ready=True|\bReady\b|\bTrue\b|Reconciled", "green")
    text.highlight_regex(r"Ready=False", "yellow")
    console.print(text, highlight=False, soft_wrap=True)
picture = console.export_svg(title=sys.argv[1] if len(sys.argv) > 1 else "swarm-operator")
# The reader's own monospace font serves; a picture in a README shall fetch nothing.
sys.stdout.write(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))
