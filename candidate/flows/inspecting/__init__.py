"""Open a bundle: every byte and every claim it makes of itself checked, but not who made it."""

from candidate.flows.inspecting.bundle import Blobs, Bundle, golden_feeds, golden_outputs
from candidate.flows.inspecting.content import inspect
from candidate.flows.inspecting.outline import Outline, outline_of
from candidate.flows.inspecting.replaying import Replayer, replay

__all__ = [
    "Blobs",
    "Bundle",
    "Outline",
    "Replayer",
    "golden_feeds",
    "golden_outputs",
    "inspect",
    "outline_of",
    "replay",
]
