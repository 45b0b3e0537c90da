"""Documents to text: terminal, Markdown; nothing else."""
