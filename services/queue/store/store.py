"""What the scheduler keeps of the streams and in them, made together."""

from __future__ import annotations

from services.queue.context import Context
from services.queue.store.cleaner import Cleaner
from services.queue.store.floor import Floor
from services.queue.store.journal import Journal
from services.queue.store.reading import Reading
from services.queue.store.records import Records


class Store:
    """One scheduler's."""

    def __init__(self, context: Context) -> None:
        self.floor = Floor()
        self.journal = Journal()
        self.records = Records(context, self.journal)
        self.reading = Reading(context)
        self.cleaner = Cleaner(context, self.floor, self.journal)
