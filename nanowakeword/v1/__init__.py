"""Messages and stubs of the protocol, generated from ``protos/nanowakeword/v1`` by ``python protos/generate.py``.

Needs the extra ``remote``. Programs use `nanowakeword.remote`; this package is for those who speak the protocol
themselves.
"""
