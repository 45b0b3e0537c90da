"""What a bundle costs to serve, as ``bench`` answers."""

from typing import Literal

from candidate.document import Document, Part
from candidate.documents.decision import Estimate
from candidate.documents.evidence import BundleRef


class Start(Part):
    """How long it takes until a bundle answers; each measured once."""

    process_ms: float
    """From the start of a process to its first answer, imports and the session included."""
    session_ms: float
    """Loading the graph alone."""
    first_call_ms: float
    after_idle_ms: float | None = None
    """One call after ``idle_seconds`` of nothing."""
    idle_seconds: float | None = None


class Memory(Part):
    """Resident memory of a process that serves one bundle alone; 0 where the system does not say."""

    before_bytes: int
    """The same process, its runtime imported, before the graph was loaded."""
    peak_bytes: int
    steady_bytes: int
    """After timing."""
    threads: int


class OpenLoop(Part):
    """Calls that arrive by themselves; latency counts from the intended start."""

    rate: float
    """Arrivals a second."""
    latency: dict[str, Estimate]


class Batch(Part):
    """Throughput of one batch size."""

    rows: int
    rows_per_second: float


class Cost(Part):
    """What requests cost at the prices given."""

    cpu_seconds: Estimate
    """Processor time of one request."""
    per_thousand: Estimate
    """1000 * (cpu_seconds * vcpu_hour / 3600 / utilisation + GiB * mean latency in s * gib_hour / 3600)."""
    vcpu_hour: float
    gib_hour: float
    utilisation: float


class Operator(Part):
    """What one kind of operator takes, in a run of its own with the runtime's profiler on."""

    name: str
    """As ONNX has it, for example ``TreeEnsembleClassifier``."""
    per_call: float
    """How often it runs in a call of one row."""
    microseconds: float
    """Its own time in a call; the profiler's cost is in it."""
    share: float
    """Of all operators' time."""


class BenchResult(Part):
    """What one bundle costs to serve."""

    bundle: BundleRef
    size_bytes: int
    model_size_bytes: int
    latency: dict[str, Estimate]
    """Single stream: one call in flight."""
    start: Start
    memory: Memory
    involuntary_switches: int
    """Times that the system took the process off its core while it was timed."""
    open_loop: OpenLoop | None = None
    offline: tuple[Batch, ...] = ()
    cost: Cost | None = None
    operators: tuple[Operator, ...] = ()
    """The slowest ten kinds, where they were asked for."""


class Benchmark(Document):
    """Latency, memory and size of one bundle, or of two measured in interleaved rounds."""

    kind: Literal["candidate.benchmark"] = "candidate.benchmark"
    version: Literal[2] = 2
    results: tuple[BenchResult, ...]
    latency_p99_ratio: Estimate | None
    """First bundle over second; null for one bundle."""
    rounds: int
    calls: int
    threads: int
    alpha: float
    """One-sided error rate of each bound at the look at which timing stopped."""
    stopped: Literal["rounds", "precise", "budget"]
    """Why timing ended: so many rounds were asked for, the answer is precise, or the time is spent."""
    open: tuple[str, ...]
    """Why the figures decide nothing; empty if they may."""
    environment: dict[str, str]
