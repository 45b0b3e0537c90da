"""Serving: the one way from rows to answers, in a process that serves and from files."""

from candidate.flows.serving.answers import Predictions
from candidate.flows.serving.model import Model, load
from candidate.flows.serving.served import ServingLog

__all__ = ["Model", "Predictions", "ServingLog", "load"]
