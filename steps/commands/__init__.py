"""What people run in a checkout, ``python -m steps NAME``: one command, one file, one row in ``steps/__main__.py``."""
