"""The conversion of operations and jobs to hours, and the speed of this machine."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from semantic_tokens.plan.costs import ON_GPU, Cost

#: The consecutive steps of a model.
_CHAIN = ("align", "group_kmeans", "pretrain", "fine_tune")


@dataclass(frozen=True)
class Throughput:
    """The assumed speed of a study.

    Attributes:
        rate: operations per second of large matrix products, on a GPU or on the CPU threads of
            one job.
        origin: the source of the rate.
        utilisation: the fraction of it that trainings reach.
        seconds_per_job: the start-up time of a job.
        at_once: the number of parallel jobs.
        gpus_per_job: the number of GPUs of a training job; 0 for CPUs.
        price_per_gpu_hour: the price of a GPU-hour in the user's currency, or None.
    """

    rate: float
    origin: str
    utilisation: float = 0.4
    seconds_per_job: float = 0.0
    at_once: int = 1
    gpus_per_job: int = 0
    price_per_gpu_hour: float | None = None

    @property
    def unit(self) -> str:
        """The unit of hours."""
        return "GPU-hours" if self.gpus_per_job else "core-hours"

    @property
    def devices_per_job(self) -> int:
        """The number of GPUs of a training job; 1 for CPUs."""
        return max(1, self.gpus_per_job)

    def of_rule(self, rule: str, cost: Cost) -> float | None:
        """The hours of one kind of job, over all its GPUs; None if it uses no GPU and the study has
        GPUs."""
        if self.gpus_per_job and rule not in ON_GPU:
            return None
        starts = cost.jobs * self.seconds_per_job * self.devices_per_job
        return (cost.operations / (self.rate * self.utilisation) + starts) / 3600

    def hours(self, costs: Mapping[str, Cost]) -> float:
        """The hours of all jobs, one after another on one GPU or core."""
        return sum(self.of_rule(rule, cost) or 0.0 for rule, cost in costs.items())

    def wall_hours(self, costs: Mapping[str, Cost]) -> float:
        """The total time with ``at_once`` parallel jobs. It is at least the sum of the largest jobs
        of a model's consecutive steps."""
        devices = self.devices_per_job
        chain = sum(
            costs[rule].largest / (self.rate * self.utilisation * devices) + self.seconds_per_job
            for rule in _CHAIN
            if rule in costs
        )
        return max(self.hours(costs) / (self.at_once * devices), chain / 3600)

    def price(self, hours: float) -> float | None:
        """The price of these hours, or None."""
        return None if self.price_per_gpu_hour is None else hours * self.price_per_gpu_hour


def measured_rate(seconds: float = 2.0) -> tuple[float, str]:
    """Operations per second of large matrix products on this machine, and the name of the device.

    On a CPU it is measured by CPU time, which excludes other work.
    """
    cuda = torch.cuda.is_available()
    threads = torch.get_num_threads()
    device = torch.device("cuda" if cuda else "cpu")
    kind = torch.bfloat16 if cuda else torch.float32
    size = 8192 if cuda else 1024
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize()

    for _ in range(3):
        left @ right
    wait()

    def clock() -> float:
        return time.perf_counter() if cuda else time.process_time() / threads

    start, products = clock(), 0
    while clock() - start < seconds:
        left @ right
        wait()
        products += 1
    rate = products * 2 * size**3 / (clock() - start)
    cpu = f"{threads} CPU thread{'s' if threads > 1 else ''}"
    name = torch.cuda.get_device_name() if cuda else cpu
    return rate, f"{name}, {str(kind).removeprefix('torch.')}"


def seconds_to_start() -> float:
    """The CPU seconds of this process so far, including the imports of a training.

    Call it at the start of a separate process. CPU time excludes other work of the machine, and the
    first reading of libraries from disk.
    """
    import accelerate  # noqa: F401
    from transformers import BertModel  # noqa: F401 (imported when it is named)

    import semantic_tokens.tasks.run  # noqa: F401

    return time.process_time()
