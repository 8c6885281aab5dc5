"""Seconds and memory, measured the same way on any device."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch


@dataclass
class Times:
    """Seconds of one stage: the first call (cold), and later ones (warm). ``cpu`` is the process's own time."""

    cold: float = 0.0
    cold_cpu: float = 0.0
    warm: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """The median of the warm calls, or the cold one where there are no others."""
        return median(self.warm) if self.warm else self.cold

    @property
    def cpu_middle(self) -> float:
        """The same of the process's own time."""
        return median(self.cpu) if self.cpu else self.cold_cpu

    def row(self, clips: int) -> dict[str, float | int]:
        """Return what goes into the report, in seconds for each clip."""
        warm = self.warm or [self.cold]
        return {
            "cold_s": self.cold / clips,
            "median_s": self.middle / clips,
            "least_s": min(warm) / clips,
            "most_s": max(warm) / clips,
            "cpu_median_s": self.cpu_middle / clips,
            "calls": len(self.warm),
        }


class Clock:
    """Times calls, one after the other, on one device; ``tell`` hears the name of each before it begins."""

    def __init__(self, device: torch.device, tell: Callable[[str], None] | None = None) -> None:
        self.device, self.tell = device, tell
        self.times: dict[str, Times] = {}

    def __call__(self, name: str, work: Callable[[], object]) -> object:
        """Run some work under a name: the first time it is cold, then warm."""
        if self.tell is not None:
            self.tell(name)
        wait(self.device)
        cpu, started = time.process_time(), time.perf_counter()
        result = work()
        wait(self.device)
        took, spent = time.perf_counter() - started, time.process_time() - cpu
        if name in self.times:
            self.times[name].warm.append(took)
            self.times[name].cpu.append(spent)
        else:
            self.times[name] = Times(took, spent)
        return result


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_of(work: Callable[[], object], device: torch.device, times: int) -> float:
    """Return the least seconds of some calls, after one that does not count."""
    work()
    found = []
    for _ in range(times):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - started)
    return min(found)


def peak_bytes(device: torch.device) -> int:
    """Return the most memory in use so far: of the GPU, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak(device: torch.device) -> None:
    """Forget how much memory a GPU needed so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
