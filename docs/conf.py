"""The site: `make docs` makes it of the pages as they lie in the repository, without a network.

The root of the repository is the source, so that a link leads to the same page here and on GitHub.
"""

import re

import mmccd

project = "mmccd"
author = "The mmccd developers"
copyright = f"2026, {author}. Apache-2.0. Research use only, not a medical device"
version = release = mmccd.__version__

extensions = [
    "myst_parser",
    "sphinx_external_toc",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
include_patterns = [
    "docs/**",
    "benchmarks/**",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "src/mmccd/model/weights/MODEL_CARD.md",
    "tests/fixtures/README.md",
    "tests/golden/README.md",
]
# docs/README.md is the list of pages for readers on GitHub; the pages `index` show its tables.
exclude_patterns = [".*", "**/_build", "docs/README.md", "benchmarks/builtin_card.md"]
external_toc_path = "docs/_toc.yml"
suppress_warnings = ["myst.header"]  # pages of one-line sections begin below the second level
nitpicky = True

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autosummary_generate = False
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has them
default_role = "literal"  # docstrings are written for `help`: a backtick is code
# Addresses of types of others, in files: nothing is downloaded.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "docs/inventories/python.txt"),
    "numpy": ("https://numpy.org/doc/stable/reference", "docs/inventories/numpy.txt"),
    "nibabel": ("https://nipy.org/nibabel/reference", "docs/inventories/nibabel.txt"),
    "pandas": ("https://pandas.pydata.org/docs/reference/api", "docs/inventories/pandas.txt"),
    "torch": ("https://docs.pytorch.org/docs/stable", "docs/inventories/torch.txt"),
}

copybutton_selector = "div.highlight-sh pre, div.highlight-python pre, div.highlight-yaml pre"

LOGO = "_static/logo.svg"
html_theme = "pydata_sphinx_theme"
html_title = "mmccd"
html_static_path = ["_static"]
html_favicon = LOGO
html_context = {"default_mode": "auto"}
html_css_files = ["site.css"]
html_js_files = ["from_disk.js"]
html_search_scorer = "docs/_static/search_order.js"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {
        "text": f"mmccd {version}",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "alt_text": "",
    },
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "show_nav_level": 1,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def as_in_the_source(app, what, name, obj, options, signature, returned):
    """``NDArray[float32]``, where Python made more of it; and a default that is made anew is no name."""
    array = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(\w+)\]\]")
    found = [text and array.sub(r"~numpy.typing.NDArray[~numpy.\1]", text) for text in (signature, returned)]
    return [text and text.replace("<factory>", "...") for text in found]


def with_its_colon(app, what, name, obj, options, lines):
    """What stands before a colon in the first line of a property is no type, as Napoleon takes it for."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]


def where_it_is_told(app, env, node, contnode):
    """The one documented object of the name: modules are where things lie, `mmccd` is where users find them."""
    python = env.domains.python_domain
    name = node.get("reftarget", "").rpartition(".")[2]
    found = [known for known in python.objects if known.rpartition(".")[2] == name]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)


def setup(app):
    """Connect them; Napoleon listens at 500."""
    app.connect("autodoc-process-signature", as_in_the_source)
    app.connect("autodoc-process-docstring", with_its_colon, priority=400)
    app.connect("missing-reference", where_it_is_told, priority=400)
