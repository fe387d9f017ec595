"""`python -m backpropd`: the program itself, with these arguments."""

from __future__ import annotations

import os
import sys

from ._program import ProgramError, find, not_started


def main() -> None:
    """Replaces this process by the program."""
    try:
        program = find()
        try:
            os.execv(program, [program, *sys.argv[1:]])
        except OSError as error:
            raise not_started(program, error) from error
    except ProgramError as error:
        sys.exit(f"backpropd: {error}")


if __name__ == "__main__":
    main()
