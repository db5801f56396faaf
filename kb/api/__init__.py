"""The HTTP edge: routes, schemas, security and server-sent events around the synchronous core.

Only this package is asynchronous. It knows HTTP and nothing of retrieval or models: every route checks its
body, asks for the caller and the components, calls one use case and shapes the answer.
"""
