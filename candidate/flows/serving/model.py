"""A verified bundle that answers: the schema enforced, the graph that was proven, nothing else."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from candidate.errors import InputError
from candidate.flows.inspecting.bundle import Bundle
from candidate.flows.serving.answers import Columns, Predictions, answers, joined, plain
from candidate.flows.serving.fields import Fields
from candidate.flows.serving.rows import is_record, told_apart
from candidate.flows.serving.served import ServingLog
from candidate.flows.verifying import load as load_bundle

if TYPE_CHECKING:
    from candidate.adapters.runtime import Session
    from candidate.documents.trust import TrustPolicy

S = TypeVar("S")
T = TypeVar("T")

Feed = Callable[[], Columns]
"""Makes the tensors of some rows, and refuses what does not fit."""

BATCH_ROWS = 16_384
"""Rows that the graph takes at once: more leave the processor's cache, fewer cost calls."""
READ_ROWS = 2 * BATCH_ROWS
"""Rows that are checked and made tensors of at once."""
MOST_AT_ONCE = 2
"""Batches that are worked at side by side: each holds its rows and their tensors in memory: two stay below 400 MB."""


class Model(Bundle):
    """A bundle to serve from. It may be used by several threads at once."""

    @classmethod
    def of(cls, bundle: Bundle, *, threads: int = 1, log: ServingLog | None = None) -> "Model":
        """Return the model of an open bundle.

        Args:
            bundle: whose blobs stay open as long as the model is used.
            threads: of the runtime within an operator.
            log: where what is served is written down.
        """
        model = cls(**{field.name: getattr(bundle, field.name) for field in fields(Bundle)})
        vars(model).update(_threads=threads, _log=log, _loading=threading.Lock())
        return model

    def __enter__(self) -> Self:
        """Return the model itself."""
        return self

    @cached_property
    def serving_fields(self) -> Fields:
        """The input schema, ready to be enforced."""
        return Fields.of(self.signature, self.input_schema)

    @property
    def graph(self) -> "Session":
        """The graph, loaded when it is first asked for."""
        own = vars(self)
        with own["_loading"]:
            if "_session" not in own:
                own["_session"] = self.session(threads=own["_threads"])
        session: Session = own["_session"]
        return session

    @overload
    def predict(self, rows: Mapping[str, Any], *, ids: Any = None) -> Any: ...

    @overload
    def predict(self, rows: Any, *, ids: Any = None) -> Predictions: ...

    def predict(self, rows: Any, *, ids: Any = None) -> dict[str, Any] | Predictions:
        """Answer rows, each by the names of its fields.

        Args:
            rows: one record as a dict; or a list of them, lines of JSON, a pandas or polars frame, an
                Arrow table or batch, a dict of columns, a NumPy array with names or with the features in
                their order. Records have exactly the features; columns of a table beyond them are not
                looked at.
            ids: names of the rows, a sequence, for the log of what is served.

        Returns:
            For one record a dict: ``prediction``, and ``score`` or ``scores`` where the model has them.
            Else all of them; see ``Predictions``.

        Raises:
            InputError: a value does not fit the input schema; names row and field of each, up to 20.
            IntegrityError: the graph fails.
        """
        if is_record(rows):
            return self._one(rows, ids)
        found = told_apart(rows, self.signature.features)
        feeds = self._record_feeds(found) if isinstance(found, list) else self._table_feeds(found)
        result = Predictions(joined(list(side_by_side(feeds, lambda feed: self.answered(feed())))))
        if self._served is not None:
            asked = found if isinstance(found, list) else found.select(list(self.signature.features)).to_pylist()
            self._served.write(self.digest, asked, list(result), ids)
        return result

    def answered(self, feeds: Columns) -> Columns:
        """Return the answers to rows that were checked, run in parts that suit the processor's cache.

        Args:
            feeds: tensors by name, each of shape (rows, 1).

        Raises:
            IntegrityError: the graph fails.
        """
        rows, run = len(next(iter(feeds.values()))), self.graph.run
        if rows <= BATCH_ROWS:
            return answers(self.signature, run(feeds))
        parts = (
            {name: values[start : start + BATCH_ROWS] for name, values in feeds.items()}
            for start in range(0, rows, BATCH_ROWS)
        )
        return joined([answers(self.signature, run(part)) for part in parts])

    @property
    def _served(self) -> ServingLog | None:
        log: ServingLog | None = vars(self).get("_log")
        return log

    def _one(self, record: Mapping[str, Any], ids: Any) -> dict[str, Any]:
        found = answers(self.signature, self.graph.run(self.serving_fields.record(record, where="record")))
        answer = {name: plain(column[0]) for name, column in found.items()}
        if self._served is not None:
            self._served.write(self.digest, [record], [answer], ids)
        return answer

    def _record_feeds(self, records: Sequence[Mapping[str, Any]]) -> Iterator[Feed]:
        for start in range(0, max(len(records), 1), READ_ROWS):
            part = records[start : start + READ_ROWS]
            yield partial(self.serving_fields.records, part, first_row=start, where="rows")

    def _table_feeds(self, table: Any) -> Iterator[Feed]:
        names = list(self.signature.features)
        absent = [name for name in names if name not in table.column_names]
        if absent:
            raise InputError(
                f"no column {', '.join(map(repr, absent))}",
                where="rows",
                hint=f"it has: {', '.join(table.column_names)}",
            )
        start = 0
        chosen = table.select(names)
        parts = chosen.to_batches(max_chunksize=READ_ROWS) or [chosen.combine_chunks()]
        for batch in parts:
            yield partial(self.serving_fields.batch, batch, first_row=start, where="rows")
            start += batch.num_rows


def processors() -> int:
    """Return how many batches this process may well work at side by side."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, MOST_AT_ONCE)


def side_by_side(items: Iterator[S], work: Callable[[S], T]) -> Iterator[T]:
    """Yield what is made of each item, in their order, several at a time: the runtime and Arrow leave room for it.

    One item alone is worked at in the caller's thread. Of several failures the first in order is raised.

    Args:
        items: taken one by one in the caller's thread, never more than one beyond those in work.
        work: called in several threads at once.
    """
    first = next(items, None)
    if first is None:
        return
    second = next(items, None)
    if second is None:
        yield work(first)
        return
    workers = processors()
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[T]] = deque(pool.submit(work, item) for item in (first, second))
        try:
            for item in items:
                while len(waiting) > workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def load(
    path: Path | str,
    *,
    trust: "TrustPolicy | None" = None,
    public_key: str | None = None,
    decision: bytes | None = None,
    replay: bool = True,
    now: datetime | None = None,
    channel: str | None = None,
    threads: int = 1,
    log: ServingLog | None = None,
) -> Model:
    """Verify a bundle and return it ready to serve; close it, or use it as a context manager.

    Args:
        path: of the bundle file.
        trust: who may build and decide; or else ``public_key``.
        public_key: PEM of the only builder to trust.
        decision: bytes of a signed decision that must say go about this bundle.
        replay: whether to run the golden inputs on this host.
        now: the time to judge validity at, aware; by default this moment.
        channel: where it is to be used, ``MODEL/ENVIRONMENT``.
        threads: of the runtime within an operator.
        log: where what is served is written down.

    Raises:
        CandidateError: as of ``verify``.
    """
    bundle = load_bundle(
        path, trust=trust, public_key=public_key, decision=decision, replay=replay, now=now, channel=channel
    )
    return Model.of(bundle, threads=threads, log=log)
