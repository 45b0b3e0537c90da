"""Prove that a graph is the model that was trained: on real rows, and say how far it is off."""

from candidate.flows.proving.given import given_graph
from candidate.flows.proving.ladder import prove
from candidate.flows.proving.rows import PARITY_ROWS, columns_of, golden_rows
from candidate.flows.proving.signing import Proven

__all__ = ["PARITY_ROWS", "Proven", "columns_of", "given_graph", "golden_rows", "prove"]
