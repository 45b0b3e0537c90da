"""Where the rows are counted: in this process, in a pool of processes, or on a Dask cluster.

The State is the same wherever its rows were counted, so that the engine is no part of the evidence.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from candidate.adapters import dataset
from candidate.errors import CandidateError, InputError, UnavailableError
from candidate.flows.counting import Counted, Part, Scored, Task, count_part

EngineName = Literal["serial", "pool", "dask"]
PARTS_PER_WORKER = 4
"""So many parts for each worker, so that none waits long for the last."""


def parse_engine(engine: str) -> tuple[EngineName, str]:
    """Return an engine's name, and what follows its colon: workers of a pool, or a scheduler's address.

    Raises:
        InputError: no such engine.
    """
    name, _, detail = engine.partition(":")
    for known in get_args(EngineName):
        wrong = (known == "serial" and detail) or (known == "pool" and detail and not 0 < _number(detail) <= MOST)
        if name == known and not wrong:
            return known, detail
    raise InputError(
        f"no engine {engine!r}",
        where="--engine",
        hint="give serial, pool, pool:WORKERS, dask, or dask:ADDRESS of a scheduler such as tcp://host:8786",
    )


MOST = 512
"""More processes than this are a slip of the finger."""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def parts_of(data: Path, workers: int) -> list[Part]:
    """Return the row groups of a Parquet file in about ``PARTS_PER_WORKER`` parts for each worker.

    Raises:
        InputError: not a Parquet file, which alone can be read in parts.
    """
    sizes = dataset.row_groups(data)
    each = max(1, -(-len(sizes) // (workers * PARTS_PER_WORKER)))
    return [
        Part(tuple(range(first, min(first + each, len(sizes)))), sum(sizes[:first]))
        for first in range(0, len(sizes), each)
    ]


def run(engine: str, task: Task, models: Scored) -> Iterator[tuple[Counted, float]]:
    """Count all parts with other processes, yielding each with the share of parts done, as they come.

    Args:
        engine: ``pool``, ``pool:WORKERS``, ``dask`` or ``dask:ADDRESS``.
        task: which measurement.
        models: what to score with.

    Raises:
        InputError: data that does not fit, or is not Parquet.
        UnavailableError: Dask is not installed, its scheduler does not answer, or a worker died.
    """
    name, detail = parse_engine(engine)
    if name == "pool":
        workers = _number(detail) or len(os.sched_getaffinity(0))
        yield from _pool(parts_of(task.data, workers), task, models, workers)
    else:
        yield from _dask(detail, task, models)


def _pool(parts: Sequence[Part], task: Task, models: Scored, workers: int) -> Iterator[tuple[Counted, float]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: ONNX Runtime and Arrow have threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(parts))), mp_context=context) as pool:
        futures = [pool.submit(count_part, task, models, part) for part in parts]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                found = future.result()
                if found is not None:
                    yield found, done / len(parts)
        except BrokenProcessPool as error:
            hint = "it may have run out of memory: take fewer workers, or --engine serial"
            raise UnavailableError("a worker of the pool died", hint=hint) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _client(address: str) -> Any:
    """Return a client of a Dask cluster: the one at the address, or a local one made for this run."""
    try:
        import distributed as untyped
    except ImportError as error:
        raise UnavailableError("Dask is not installed", hint="pip install 'candidate[dask]'") from error
    distributed: Any = untyped
    try:
        if address:
            return distributed.Client(address, timeout=10)
        return distributed.Client(
            n_workers=len(os.sched_getaffinity(0)), threads_per_worker=1, processes=True, dashboard_address=None
        )
    except (OSError, ValueError, TimeoutError) as error:
        raise UnavailableError(
            f"no Dask scheduler answers: {str(error)[:200]}", where=address or "local cluster"
        ) from error


def _dask(address: str, task: Task, models: Scored) -> Iterator[tuple[Counted, float]]:
    client = _client(address)
    try:
        import distributed as untyped

        distributed: Any = untyped
        workers = max(1, sum(client.nthreads().values()))
        parts = parts_of(task.data, workers)
        shared = client.scatter(models, broadcast=True)  # graphs may be large: once for each worker
        futures = [client.submit(count_part, task, shared, part, pure=False) for part in parts]
        for done, future in enumerate(distributed.as_completed(futures), start=1):
            try:
                found = future.result()
            except CandidateError:
                raise
            except Exception as error:
                raise UnavailableError(f"a worker failed: {str(error)[:200]}", where=address or "dask") from error
            future.release()
            if found is not None:
                yield found, done / len(parts)
    finally:
        client.close()
        if client.cluster is not None and not address:
            client.cluster.close()
