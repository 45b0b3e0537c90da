"""The documents that the stages hand each other: frozen, closed, without I/O."""
