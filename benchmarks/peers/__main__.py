"""Compiles the locks of the peers: all of them, or those that are named."""

from __future__ import annotations

import argparse

from benchmarks.peers import FOLDER, compile_lock

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--lock", nargs="*", required=True, metavar="NAME")
    for peer in parser.parse_args().lock or sorted(path.stem for path in FOLDER.glob("*.in")):
        compile_lock(peer)
