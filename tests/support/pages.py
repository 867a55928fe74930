"""The commands on a page of the documentation, taken from its Markdown and run in one shell, as a reader would.

A fence's first word is its language, what follows is for the tests and not shown:

    sh, python          run, one after the other; variables last to the end of the page, in Python of the block
    … as: NAME          with NAME's access token in $TOKEN
    … refused           its last command may fail: it shows a refusal
    … needs: COMMAND    run where COMMAND is on the PATH
    … server            what goes on until Ctrl-C, in a terminal of its own; only where a test starts it
    … no-run: REASON    cannot run in a test
    … shown             (another language) what the block before it prints; … stands for anything, blanks for none

Other languages show something that nobody runs. Invariant: nothing that looks like commands is passed over in silence.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
RUN = ("sh", "python")
UNTOLD = ("", "bash", "console", "shell", "shell-session", "zsh", "pycon", "py")
"""Languages of which nobody could tell whether they are to be run."""
MARK = "\036"
GAP = "…"
PAGE_S = 600.0

PRELUDE = r"""
set -e -o pipefail
# What is refused ends the page; a stream, which its reader ends by Ctrl-C, is watched for a moment.
curl() {
    local watched=() code=0
    [[ " $* " == *" -sN "* ]] && watched=(--max-time 2)
    command curl --fail-with-body "${watched[@]}" "$@" || code=$?
    [[ ${#watched[@]} -gt 0 && ( $code == 28 || $code == 23 ) ]] || return $code
}
[[ ! -f $MONGOSH_JS ]] || mongosh() { node "$MONGOSH_JS" "$@"; }
token_of() {
    command curl -sf "$ADDRESS/api/auth/login/" -H 'Content-Type: application/json' \
        -d "{\"username\": \"$1\", \"password\": \"$2\"}" | sed 's/.*"access":"\([^"]*\)".*/\1/'
}
"""


class Block(NamedTuple):
    """A fenced block: where it begins, its language, what the tests are told, and its text."""

    line: int
    language: str
    told: str
    text: str

    def told_of(self, word: str) -> str | None:
        """Return what is said behind ``word:``, None where it is not there."""
        found = re.search(rf"(?:^|\s){re.escape(word)}:\s*(.+)$", self.told)
        return found[1] if found else None

    @property
    def is_run(self) -> bool:
        """Say whether it is to be run at all."""
        return self.language in RUN and self.told_of("no-run") is None and "server" not in self.told.split()

    @property
    def is_output(self) -> bool:
        """Say whether it shows what the block before it prints."""
        return "shown" in self.told.split()


class Ran(NamedTuple):
    """How a page ended: the exit code, and what each block wrote to standard output, by its line."""

    code: int
    written: dict[int, str]
    errors: str


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page, those within other directives too."""
    found = []
    for each in FENCE.finditer(page):
        line = page.count("\n", 0, each.start()) + 1
        language, _, told = each["info"].strip().partition(" ")
        if each["fence"].startswith(":"):
            inner = blocks_of(each["text"])
            found += [block._replace(line=block.line + line) for block in inner]
        else:
            found.append(Block(line, language, told.strip(), each["text"]))
    return found


def script_of(blocks: Sequence[Block], passwords: Mapping[str, str]) -> str:
    """Return one bash script of all blocks that are run, with a mark before each."""
    parts = [PRELUDE]
    for block in blocks:
        if not block.is_run:
            continue
        text = block.text
        if block.language == "python":
            text = f".venv/bin/python - <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n"
        if "refused" in block.told.split():
            text = f"set +e\n{text}set -e\n"
        if name := block.told_of("as"):
            text = f"OWN=$TOKEN TOKEN=$(token_of {name} '{passwords[name]}')\n{text}TOKEN=$OWN\n"
        if command := block.told_of("needs"):
            text = f"if command -v {command} > /dev/null; then\n{text}fi\n"
        parts.append(f"printf '{MARK}{block.line}{MARK}'\n{text}")
    return "".join(parts)


def run_page(script: str, folder: Path, environment: Mapping[str, str]) -> Ran:
    """Run a script in a folder that looks like a checkout beside a running server; PAGE_S at the most."""
    reader = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=dict(environment), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        written, errors = reader.communicate(timeout=PAGE_S)
    except subprocess.TimeoutExpired:
        os.killpg(reader.pid, signal.SIGKILL)
        written, errors = reader.communicate()
    pieces = written.split(MARK)[1:]
    return Ran(reader.returncode, dict(zip(map(int, pieces[::2]), pieces[1::2], strict=True)), errors)


def is_shown(expected: str, written: str) -> bool:
    """Say whether the output holds what a page shows of it, in that order, whatever the blanks."""
    bare = re.sub(r"\s", "", written)
    at = 0
    for piece in re.sub(r"\s", "", expected).split(GAP):
        at = bare.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
