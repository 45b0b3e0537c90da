"""``python -m candidate``."""

from candidate.cli import main

main()
