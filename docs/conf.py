"""How Sphinx makes the documentation site out of docs/: ``make site`` writes it to build/site.

Pages are Markdown. Invariant: nothing is fetched, neither while it is built nor while it is read, so that it works on a
machine without a way out; and every warning is an error (a link to nowhere, a page that no table of contents names).
"""

from pathlib import Path
from typing import Any

from qsuite import __version__

HERE = Path(__file__).resolve().parent

project = "QSuite"
release = version = __version__
copyright = "the QSuite authors, Apache-2.0"  # noqa: A001  Sphinx' name for it

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_static"]

html_theme = "furo"
html_title = f"QSuite {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Commands are copied without what a shell prints before or after them.
copybutton_exclude = ".linenos, .gp, .go"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True


CONTENTS = """
```{toctree}
:hidden:
:glob:

*
```
"""


def setup(app: Any) -> None:
    """Register what is ours."""
    app.connect("source-read", _with_what_is_here)


def _with_what_is_here(app: Any, name: str, source: list[str]) -> None:
    """Let pages join by lying in a folder.

    Patterns of the start page that add no page are taken out, and the README of a folder, which knows nothing of
    Sphinx, gets the folder's pages as its contents.
    """
    if name == "index":
        lines = source[0].splitlines(keepends=True)
        named = {"index", *map(str.strip, lines)}
        source[0] = "".join(line for line in lines if "*" not in line or _found(line.strip()) - named)
    elif name.endswith("/README"):
        source[0] += CONTENTS


def _found(pattern: str) -> set[str]:
    return {path.relative_to(HERE).with_suffix("").as_posix() for path in HERE.glob(f"{pattern}.md")}
