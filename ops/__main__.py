"""The console script ``tessera``, and ``python -m ops``: signals first, then all the rest."""

from __future__ import annotations

from ops.early import end_quietly


def main() -> None:
    """Read the command line, and do what it says."""
    end_quietly()
    from ops.cli import main

    main(prog_name="tessera")


if __name__ == "__main__":
    main()
