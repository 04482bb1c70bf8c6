"""Settings of the documentation: `make docs` builds it into build/docs. `pages` writes those pages that the registries fill."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "condense"
author = "condense contributors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "pages"]
exclude_patterns = ["pages", "experiments", "generated/parts"]
html_theme = "furo"
html_title = "condense"
html_static_path = ["static"]
html_css_files = ["tables.css"]
nb_execution_mode = "off"  # the tests run the notebooks
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
default_role = "literal"  # what stands in single backticks in a docstring
highlight_language = "none"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the text of an argument says what it takes
suppress_warnings = ["mystnb.unknown_mime_type"]
