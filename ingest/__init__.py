"""From a file to index-ready chunks: walk, detect, parse in a sandbox, clean, chunk, filter.

Knows no users, no database and no network. Importing this package is cheap: heavy parsing
libraries are imported only inside the sandbox process that needs them.
"""
