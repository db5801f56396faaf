"""Text in, (id, score) out.

Knows integer ids, group numbers and vectors only: no documents, no users, no network of its own. The encoder is handed
in as a callable; nothing of the rest of the project is imported here.
"""
