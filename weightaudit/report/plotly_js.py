"""Which plotly.js the pages draw with: an official bundle that lies in the package, byte for byte as npm has it.

The whole plotly.js is three times as large, for maps, 3-D and much else that no page draws. To take another version:
`npm pack plotly.js-cartesian-dist-min@VERSION`, put its `plotly-cartesian.min.js` and `LICENSE` into `assets/plotly`,
look whether LICENSES-OF-PARTS.txt there still names all that plotly.js depends on, and put `VERSION` and `SHA256` here.
A test holds the file to them, and every kind of trace that a page draws to the file.
"""

from __future__ import annotations

NPM_PACKAGE = "plotly.js-cartesian-dist-min"
VERSION = "4.1.1"
SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
"""Of the file, in hexadecimal digits."""
FILE = "plotly/plotly-cartesian.min.js"
"""Within the package's assets; its licences lie beside it."""
