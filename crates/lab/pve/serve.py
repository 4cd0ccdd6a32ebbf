"""Runs the program from wherever it lies: `python serve.py guests.json`."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from quorate_pve.__main__ import main  # noqa: E402

main()
