"""How long one chunk takes: policies of one size, interleaved, beside the time that reading their weights takes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from smp_bringup.bench.episodes import STAGES
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.base import STALL, DeployedPolicy
from smp_bringup.policy.build import build_network
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.policy.trial import blank, warm_up
from smp_bringup.robot import Robot
from smp_bringup.stats import percentiles
from smp_bringup.training.config import load_run
from smp_bringup.training.save import export_int8, save_checkpoint
from smp_bringup.training.trainer import Trained
from smp_bringup.types import Observation

ACTIVE = (1, 2, 4, 8)
"""So many experts of eight; eight of eight is the dense form of the same policy."""
_TINY = ("policy.denoiser.width=16", "policy.encoder.feature=32", "policy.encoder.channels=[4, 8]")
_SIZES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "tiny": (("smp", _TINY), ("sparse", _TINY)),
    "small": (("smp", ()), ("sparse", ())),
    "paper": (("paper", ("policy.denoise_steps=10",)),),
}
SIZES = tuple(_SIZES)
_COMPARED = ("active", "total")
"""Diffusion policies are as large as what the first mixture of a size runs, and as all of it."""
_SHIPPED_ACTIVE = 2
"""Experts that run as shipped: what the smaller diffusion policy is as large as."""


@dataclass(frozen=True)
class Contender:
    """One row: a checkpoint, and what of it is changed when it is loaded."""

    name: str
    folder: Path
    changes: tuple[str, ...] = ()
    active: int = 0
    """Experts that a chunk runs; 0: as many as the policy chooses."""
    parameters: tuple[int, int] = (0, 0)
    """Read once a chunk, and read at each of its steps; zeros where they are not known."""


@dataclass(frozen=True)
class Measured:
    """What one contender took."""

    contender: Contender
    engine: str
    steps: int
    experts: int
    active: float
    total_ms: tuple[float, ...]
    stage_ms: dict[str, tuple[float, ...]]
    floor_ms: float
    """What reading the same parameters takes in the same run (tenth percentile); 0 where they are not counted."""
    stall_ms: tuple[float, ...] = ()
    """Of the chunks that waited for an expert that was not in memory."""

    @property
    def quick_ms(self) -> float:
        """The tenth percentile of the whole: what nothing else on the machine delayed. Ratios are made of it."""
        return float(np.percentile(self.total_ms, 10))

    def report(self) -> dict[str, Any]:
        """Return the row as plain data."""
        total = {"p10": round(self.quick_ms, 3), **percentiles(self.total_ms)}
        stages = {name: percentiles(values) for name, values in self.stage_ms.items()}
        floor = {"floor_ms": round(self.floor_ms, 3), "of_floor": round(self.floor_ms / self.quick_ms, 3)}
        sizes = {"experts": self.experts, "active": self.active, "steps": self.steps, "engine": self.engine}
        stall = {"stalled": round(len(self.stall_ms) / len(self.total_ms), 3), "stall_ms": percentiles(self.stall_ms)}
        kept = {**(floor if self.floor_ms else {}), **(stall if self.stall_ms else {})}
        return {**sizes, "total_ms": total, "stage_ms": stages, **kept}


def contenders(size: str, folder: Path, robot: Robot, steps: int = 0, int8: int = 0) -> Iterator[Contender]:
    """Write checkpoints of random weights under `folder`, and yield the rows of a size as they are ready.

    Args:
        size: one of SIZES.
        folder: empty.
        robot: that they would drive.
        steps: of the sampler; 0: as the configuration has them.
        int8: steps of a second row of each mixture, with the weights of its experts rounded; 0: no such row.
    """
    more = (f"policy.denoise_steps={steps}",) if steps else ()
    compared: tuple[int, int, PolicyConfig] | None = None
    for name, changes in _SIZES[size]:
        sparse = load_run(name, robot).policy.kind == "sparse"
        for active in ACTIVE:
            if sparse or active == ACTIVE[0]:
                chosen = (f"policy.sparse.active={active}",) if sparse else ()
                config = load_run(name, robot, (*changes, *more, *chosen)).policy
                where, network = folder / f"{name}_{active}", build(config, robot)
                write(network, robot, where)
                if int8:
                    export_int8(where, robot, _rounded(where))
            read = parameters_read(network, active)
            if active == _SHIPPED_ACTIVE and compared is None:
                compared = read[1], network.parameter_counts()[0] - read[0], config
            deploy: tuple[str, ...] = () if sparse else (f"gate.top_k={active}",)
            yield Contender(f"{config.kind} {active}/{config.experts}", where, deploy, active, read)
            if int8:
                deploy += (f"denoise_steps={int8}",)
                yield Contender(f"{config.kind}.int8 {active}/{config.experts}", _rounded(where), deploy, active)
    assert compared is not None
    for label, wanted in zip(_COMPARED, compared[:2], strict=True):
        config = as_large(wanted, compared[2], robot)
        network = build(config, robot)
        write(network, robot, folder / f"diffusion_{label}")
        read = parameters_read(network, 1)
        yield Contender(f"dp {label}", folder / f"diffusion_{label}", (), 1, read)


def _rounded(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}_int8")


def build(config: PolicyConfig, robot: Robot) -> AbstractNetwork:
    """Return a network of random weights."""
    torch.manual_seed(0)
    return build_network(config, robot.dof)


def write(network: AbstractNetwork, robot: Robot, folder: Path) -> None:
    """Write a checkpoint of random weights."""
    normalizer = Normalizer(np.array(robot.joint_array("home")), np.full(robot.dof, 0.2))
    save_checkpoint(Trained(network, normalizer, {"steps": 0.0}), robot, folder, "# random weights\n")


def parameters_read(network: AbstractNetwork, active: int) -> tuple[int, int]:
    """Return how many parameters a chunk reads once, and how many at each step, with so many active experts."""
    deployed, each = network.parameter_counts()
    once = sum(p.numel() for part in _once(network) for p in part.parameters())
    every = deployed - once - each * network.config.experts
    return once, max(0, every) + each * active


def _once(network: AbstractNetwork) -> list[torch.nn.Module]:
    names = ("encoder", "basis", "router", "mean")
    return [part for name in names if isinstance(part := getattr(network, name, None), torch.nn.Module)]


def as_large(wanted: int, like: PolicyConfig, robot: Robot) -> PolicyConfig:
    """Return the diffusion policy whose denoiser has about `wanted` parameters, with the eyes of `like`."""
    encoder, denoiser = like.encoder, like.denoiser
    eyes = (
        f"policy.encoder={{backbone: {encoder.backbone}, shared: {str(encoder.shared).lower()}, "
        f"channels: {list(encoder.channels)}, keypoints: {encoder.keypoints}, feature: {encoder.feature}}}",
        f"policy.observation_steps={like.observation_steps}",
        f"policy.denoise_steps={like.denoise_steps}",
        f"policy.denoiser.kind={denoiser.kind}",
        f"policy.denoiser.depth={denoiser.depth if denoiser.kind == 'unet' else 4}",
    )

    def of(width: int) -> tuple[int, PolicyConfig]:
        config = load_run("diffusion", robot, (*eyes, f"policy.denoiser.width={width}")).policy
        with torch.device("meta"):
            return parameters_read(build_network(config, robot.dof), 1)[1], config

    low, high = 1, 512  # in eights
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if of(8 * middle)[0] < wanted else (low, middle)
    return of(8 * low)[1]


class Floor:
    """Reads as many bytes as a policy does, as often, and does nothing else in one thread than add them up.

    No product of a matrix and a vector reads as quickly.
    """

    def __init__(self, once: int, each: int, steps: int, device: str, width: int) -> None:
        """Hold `once` parameters, and `each` that are read `steps` times, of `width` bytes."""
        kind = {2: torch.bfloat16, 4: torch.float32}[width]
        self._steps, self._device = steps, device
        self._once, self._each = (torch.zeros(max(1, count), dtype=kind, device=device) for count in (once, each))

    @torch.inference_mode()
    def __call__(self) -> float:
        """Return how long it took [ms]."""
        start = perf_counter()
        self._once.sum()
        for _ in range(self._steps):
            self._each.sum()
        if self._device != "cpu":
            torch.cuda.synchronize()
        return (perf_counter() - start) * 1e3


def measure(
    rows: Sequence[Contender],
    robot: Robot,
    device: str,
    rounds: int,
    done: Callable[[int], None],
    experts_mb: float = 0.0,
) -> list[Measured]:
    """Run all contenders in turn, `rounds` times, each on a new observation.

    Args:
        rows: to compare.
        robot: that they drive.
        device: see `load_policy`.
        rounds: at least two.
        done: hears how many rounds are over.
        experts_mb: see `load_policy`.
    """
    torch.set_num_threads(1)
    policies = [load_policy(row.folder, robot, device, row.changes, experts_mb) for row in rows]
    for policy in policies:
        warm_up(policy, robot)
    floors = [_floor(row, policy, device) for row, policy in zip(rows, policies, strict=True)]
    took: list[list[dict[str, float]]] = [[] for _ in rows]
    floor_ms: list[list[float]] = [[] for _ in rows]
    active: list[list[int]] = [[] for _ in rows]
    rng = np.random.default_rng(0)
    for number in range(rounds):
        for i, policy in enumerate(policies):
            observation = _observation(robot, policy, rng)
            start = perf_counter()
            _, gate = policy.infer(observation, number)
            took[i].append({**gate.stage_ms, "total": (perf_counter() - start) * 1e3})
            active[i].append(len(gate.active))
            if (floor := floors[i]) is not None:
                floor_ms[i].append(floor())
        done(number + 1)
    return [
        Measured(
            row,
            policy.engine.name,
            policy.config.denoise_steps if policy.config.denoisers else 0,
            policy.config.experts,
            round(float(np.mean(active[i])), 2),
            tuple(t["total"] for t in took[i]),
            {stage: tuple(t.get(stage, 0.0) for t in took[i]) for stage in STAGES},
            float(np.percentile(floor_ms[i], 10)) if floor_ms[i] else 0.0,
            tuple(t[STALL] for t in took[i] if STALL in t),
        )
        for i, (row, policy) in enumerate(zip(rows, policies, strict=True))
    ]


def _floor(row: Contender, policy: DeployedPolicy, device: str) -> Callable[[], float] | None:
    if not any(row.parameters):
        return None
    where, width = "cuda" if device == "cuda" else "cpu", policy.engine.weight_bytes
    return Floor(*row.parameters, policy.config.denoise_steps, where, width)


def _observation(robot: Robot, policy: DeployedPolicy, rng: np.random.Generator) -> Observation:
    """Return an observation of noise at home."""
    empty = blank(robot, policy.config.observation_steps, policy.engine.input_length("objects"))
    images = {name: rng.integers(0, 256, image.shape).astype(image.dtype) for name, image in empty.images.items()}
    return Observation(1, images, empty.position, empty.velocity, empty.objects, empty.vectors)


def ratios(rows: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Return the time of every row over that of the dense form of its policy, and over both diffusion policies."""
    took = {row.contender.name: row.quick_ms for row in rows}
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        name = row.contender.name
        others = {"dense": f"{name.split()[0]} {row.experts}/{row.experts}"}
        others |= {f"diffusion_{size}": f"dp {size}" for size in _COMPARED}
        found[name] = {label: round(took[name] / took[other], 3) for label, other in others.items() if other in took}
    return found


def linearity(rows: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Return, per policy whose active experts vary, the cost of one more [ms] and how linear it is (R^2)."""
    found: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(row.contender.name.split()[0] for row in rows if row.experts > 1):
        points = [(row.active, row.quick_ms) for row in rows if row.contender.name.split()[0] == kind]
        x, y = np.array(points).T
        if len(set(x)) < 3:
            continue
        slope, level = np.polyfit(x, y, 1)
        left = y - slope * x - level
        found[kind] = {"ms_per_expert": round(float(slope), 4), "ms_without": round(float(level), 4)}
        found[kind]["r2"] = round(1 - float(left @ left / ((y - y.mean()) @ (y - y.mean()))), 4)
    return found
