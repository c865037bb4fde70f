"""The documents as a site: `sphinx-build -W docs build/site`. MyST reads the same Markdown that is read in the repository."""

project = "pacs-gateway"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "pacs-gateway"
myst_enable_extensions = ["deflist"]
myst_fence_as_directive = []
myst_heading_anchors = 3
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]
