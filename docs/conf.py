"""Sphinx's settings for the documentation's site; docs/build.sh uses them."""

project = "Wavesmith"
author = copyright = "Wavesmith contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"
# What is a page: the top's and docs' Markdown, each role's README, and what antsibull-docs wrote.
include_patterns = [
    "index.md",
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "benchmarks/README.md",
    "molecule/README.md",
    "roles/*/README.md",
    "plugins-and-roles/**",
]
exclude_patterns = ["docs/index.md"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "Wavesmith"
# Pages need no script from elsewhere, so a diagram (mermaid) stays the text that it is.
suppress_warnings = ["misc.highlighting_failure"]
