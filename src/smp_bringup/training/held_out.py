"""What a policy that is being trained would do in demonstrations that it is not trained on."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy import POLICIES
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.replay.gripper_events import gripper_events, match_events
from smp_bringup.robot import Robot
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.told import Told
from smp_bringup.types import FloatArray, Observation, nanoseconds

_EPISODES = 8
"""Held-out demonstrations that are looked at, of as many tasks as there are."""


@dataclass(frozen=True)
class Look:
    """One look at held-out demonstrations."""

    joint_error: FloatArray
    """(T,) root mean square over the arms' joints [rad] at each step of the chunks."""
    gripper_delays_s: FloatArray
    """(E,) of each opening or closing that the policy shares with the operator [s], positive where it is late."""
    gripper_missed: int
    """Openings and closings of the operator that the policy has not, and the other way round."""
    gate: FloatArray
    """(N, K) over the chunks; K is 0 for a policy without a gate."""
    time_s: FloatArray
    """(N,) of each chunk in the first demonstration [s]."""
    chunks: FloatArray
    """(N, T, J) [rad], grippers [m]."""
    shown: FloatArray
    """(N, T, J) what the operator did."""

    @property
    def error(self) -> float:
        """Root mean square over the arms' joints and the whole chunk [rad]."""
        return float(np.sqrt(np.mean(self.joint_error**2)))


class HeldOut:
    """The instants of some held-out demonstrations at which a robot would ask for a chunk."""

    def __init__(
        self, data: Dataset, robot: Robot, normalizer: Normalizer, episodes: np.ndarray, told: Told | None = None
    ) -> None:
        """Take the first of the episodes (E,); `told` is what is said in them, for a policy with words."""
        self._data, self._robot, self._normalizer, self._told = data, robot, normalizer, told
        self._episodes = [(int(data.starts[e]), int(data.starts[e + 1])) for e in episodes[:_EPISODES]]

    def look(self, network: AbstractNetwork) -> Look:
        """Run a network over the demonstrations; it is as it was afterwards."""
        robot, config = self._robot, network.config
        engine = TorchEngine(network, next(network.parameters()).device.type)
        policy = POLICIES[config.kind].deploy(config, engine, self._normalizer, robot.action_period_s)
        windows = self._data.windows(config.observation_steps)
        runs = [self._instants(first, end, windows, config.replan_s) for first, end in self._episodes]
        answers = [[policy.infer(self._observation(windows[f]), int(f)) for f in frames] for frames in runs]
        chunks = [np.array([chunk.position for chunk, _ in told]) for told in answers]
        shown = [np.asarray(self._data.action[frames], dtype=np.float64) for frames in runs]
        error = (np.concatenate(chunks) - np.concatenate(shown))[..., robot.turning]
        count = max(1, round(config.replan_s / robot.action_period_s))
        delays, missed = self._grippers(runs, [part[:, :count] for part in chunks], [part[:, :count] for part in shown])
        gate = np.array([report.weight for told in answers for _, report in told])
        stamps = self._data.stamps[runs[0]]
        return Look(
            np.sqrt(np.mean(error**2, axis=(0, 2))) if error.size else np.zeros(config.horizon),
            delays,
            missed,
            gate if gate.shape[1] > 1 else gate[:, :0],
            (stamps - stamps[0]) / 1e9,
            chunks[0],
            shown[0],
        )

    def _instants(self, first: int, end: int, windows: np.ndarray, replan_s: float) -> np.ndarray:
        """Return the frames of an episode at which a chunk is due."""
        due, frames = -1, []
        for frame in range(first, end):
            if (windows[frame] >= 0).all() and self._data.stamps[frame] >= due:
                frames.append(frame)
                due = int(self._data.stamps[frame]) + nanoseconds(replan_s)
        return np.array(frames)

    def _observation(self, window: np.ndarray) -> Observation:
        data = self._data
        state = np.asarray(data.state[window], dtype=np.float64)
        return Observation(
            int(data.stamps[window[-1]]),
            {name: np.asarray(images[window]) for name, images in data.images.items()},
            state,
            np.zeros_like(state),
            data.objects[window] if data.objects.shape[1] else None,
            {name: values[window] for name, values in data.vectors.items()},
            None if self._told is None else self._told.own(window[-1:])[0].astype(np.float64),
        )

    def _grippers(
        self, runs: list[np.ndarray], ours: list[np.ndarray], theirs: list[np.ndarray]
    ) -> tuple[FloatArray, int]:
        """Return delays [s] of what the policy opens and closes, and how much is on one side alone."""
        delays: list[float] = []
        alone = 0
        steps = np.arange(ours[0].shape[1]) * nanoseconds(self._robot.action_period_s)
        for frames, mine, told in zip(runs, ours, theirs, strict=True):
            stamps = (self._data.stamps[frames][:, None] + steps).ravel()
            for i, joint in enumerate(self._robot.joints):
                if joint.gripper:
                    wanted, done = (gripper_events(stamps, part[..., i].ravel(), joint) for part in (told, mine))
                    matched, missed, spurious = match_events(wanted, done)
                    delays, alone = delays + matched, alone + missed + spurious
        return np.array(delays), alone
