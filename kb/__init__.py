"""The application: who asks, what is stored, when work is done.

It knows users, documents and the database; it hands plain text and numbers to `ingest`, `retrieval` and `llm`, which
know none of them.
"""
