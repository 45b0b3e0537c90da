"""A log of what was served, read as record batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from candidate.adapters import dataset
from candidate.documents.manifest import Tensor
from candidate.errors import InputError
from candidate.flows.serving.served import KIND

WHO, FEATURES, PREDICTION, SCORE = "bundle", "features", "prediction", "score"


@dataclass(frozen=True)
class Log:
    """A file of what was served: our own log, or a table with a column for each feature.

    Attributes:
        path: of the file.
        features: of the bundle.
        ours: whether it is a log that ``--log`` wrote.
        row_id: column that names a row; ``id`` in our own.
    """

    path: Path
    features: tuple[Tensor, ...]
    ours: bool
    row_id: str | None
    others: tuple[str, ...] = field(default=())
    """Of a table: which of our own columns it has beside the features."""

    @classmethod
    def at(cls, path: Path, features: tuple[Tensor, ...], row_id: str | None) -> "Log":
        """Look at a file."""
        known = dataset.columns_of_file(path)
        if path.suffix in {".jsonl", ".ndjson"} and {"kind", FEATURES} <= known.keys():
            return cls(path, features, ours=True, row_id="id")
        others = tuple(name for name in (WHO, PREDICTION, SCORE) if name in known)
        return cls(path, features, ours=False, row_id=row_id, others=others)

    def batches(self) -> Iterator[Any]:
        """Yield record batches with each feature, and of id, bundle, prediction and score what there is."""
        if not self.ours:
            names = [*(tensor.name for tensor in self.features), *self.others]
            names += [self.row_id] if self.row_id is not None and self.row_id not in names else []
            yield from dataset.batches(self.path, names)
            return
        yield from served(self.path, self.features)


def served(path: Path, features: tuple[Tensor, ...]) -> Iterator[Any]:
    """Yield the rows of our own log; types are the features', for a log's first lines may say too little."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.json as pj

    kinds = {tensor.name: "string" if tensor.dtype == "string" else tensor.dtype for tensor in features}
    asked = pa.struct([pa.field(name, pa.type_for_alias(kind)) for name, kind in kinds.items()])
    schema = pa.schema([pa.field("kind", pa.string()), pa.field(WHO, pa.string()), pa.field(FEATURES, asked)])
    options = pj.ParseOptions(explicit_schema=schema)
    try:
        opened = ds.dataset(path, format=ds.JsonFileFormat(parse_options=options))
        for batch in opened.to_batches(batch_readahead=2, fragment_readahead=1):
            if batch.num_rows:
                if batch.column("kind").unique().to_pylist() != [KIND]:
                    raise InputError("a line is none of a log of what was served", where=path.name)
                rest = {
                    name: batch.column(name) for name in ("id", WHO, PREDICTION, SCORE) if name in batch.schema.names
                }
                inner = batch.column(FEATURES)
                yield pa.record_batch({**{name: inner.field(name) for name in kinds}, **rest})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise InputError(f"cannot be read as a log: {str(error).splitlines()[0]}", where=path.name) from error


def answered_by(digest: str, batches: Iterator[Any]) -> Iterator[Any]:
    """Yield the rows that this bundle answered, or that nobody says who did."""
    import pyarrow.compute as pc

    for batch in batches:
        if WHO in batch.schema.names:
            yield batch.filter(pc.fill_null(pc.equal(batch.column(WHO), digest), fill_value=True))
        else:
            yield batch
