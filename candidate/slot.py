"""Read what a deploy slot serves: ``with candidate.slot.open("/srv/late-flights") as release: ...``.

``open`` here is of slots, as ``gzip.open`` is of compressed files.
"""

from candidate.flows.slots import Slot
from candidate.flows.slots import slot_mark_good as mark_good
from candidate.flows.slots import slot_open as open  # noqa: A004 - as in gzip: always said with its module
from candidate.flows.slots import slot_start as start
from candidate.flows.slots import slot_status as status
from candidate.flows.slots import slot_sync as sync

__all__ = ["Slot", "mark_good", "open", "start", "status", "sync"]
