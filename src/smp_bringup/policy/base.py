"""What every deployed policy and every engine is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smp_bringup.errors import ModelError, one_line
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.denoise import EMBEDDING, sample
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.select import Selection
from smp_bringup.types import ActionChunk, FloatArray, GateReport, Observation
from smp_bringup.words.phrasebook import Phrasebook


class AbstractEngine(ABC):
    """Runs the networks of one checkpoint, one sample at a time."""

    name: str
    """What computes, on which device, in which precision: as the log and /diagnostics say it."""
    weight_bytes: int = 4
    """Size of one weight of the denoisers as it is read."""

    def take_stall_s(self) -> float:
        """Return how long was waited for experts that were not in memory since this was asked last [s]."""
        return 0.0

    @abstractmethod
    def encode(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, FloatArray]:
        """Return what the policy derives from an observation once, by name; see `policy_inputs`."""

    def input_length(self, name: str) -> int:
        """Return the last dimension of the encoder's input `name`; 0 where it has none, or the input is not there."""
        return 0

    @abstractmethod
    def denoise(
        self, expert: int, feature: FloatArray, x: FloatArray, mask: FloatArray, embedding: FloatArray
    ) -> FloatArray:
        """Return one expert's prediction.

        Args:
            expert: its index.
            feature: (F,) from `encode`.
            x: noisy sample of all experts (T, K) or of the whole action (T, J).
            mask: (K,) weight of each expert, zero where it is off.
            embedding: of the diffusion step.
        """

    def predict(self, task: Denoising, x: FloatArray, embedding: FloatArray) -> FloatArray:
        """Return what the denoisers of a task say together of a noisy sample (T, N), at a step's embedding."""
        seen = x if task.whole is not None else x * task.mask
        feature = task.coded["feature"]

        def call(expert: int) -> FloatArray:
            return self.denoise(expert, feature, seen, task.mask, embedding)

        said = dict(zip(task.denoisers, self.each(call, task.denoisers), strict=True))
        return task.joined(said, (len(x), len(task.mask)))

    def each(self, call: Callable[[int], FloatArray], experts: Sequence[int]) -> Iterable[FloatArray]:
        """Return what a call gives for each of the experts, in their order; here one after the other."""
        return map(call, experts)

    def sample(
        self,
        task: Denoising,
        noise: FloatArray,
        config: PolicyConfig,
        rng: np.random.Generator,
        known: FloatArray | None = None,
    ) -> FloatArray:
        """Return the denoised sample (T, N) of a task; arguments as of `denoise.sample`.

        Here the sampler runs step by step in NumPy: what every engine is held to.
        """
        return sample(lambda x, embedding: self.predict(task, x, embedding), noise, config, rng, known)

    def warm_up(self, config: PolicyConfig, coded: Mapping[str, FloatArray], columns: int) -> dict[str, FloatArray]:
        """Run once all that a policy with these settings may ask for, so that no later call is a first one.

        Args:
            config: of the policy.
            coded: of any observation.
            columns: N of the samples (T, N) that are denoised.

        Returns:
            What every denoiser predicts, by its name.
        """
        blank, mask, rng = np.zeros((config.horizon, columns)), np.ones(config.experts), np.random.default_rng(0)
        said = {}
        for i in range(config.denoisers):
            if config.splits:
                said[f"denoiser_{i}"] = self.denoise(i, coded["feature"], blank, mask, np.zeros(EMBEDDING))
                continue
            for settings in (config.fewer_steps(), config):
                said[f"denoiser_{i}"] = self.sample(Denoising(coded, mask, whole=i), blank, settings, rng)
        return said


class AbstractPolicy(ABC):
    """Maps observations to action chunks; `engine` does the arithmetic."""

    config: PolicyConfig
    inpaints: bool = True
    """Whether `infer` takes committed actions."""

    phrasebook: Phrasebook = Phrasebook()
    """What it can be told."""

    told: str = ""
    """What it is told as long as nobody says anything."""

    @property
    def runs_in(self) -> str:
        """What computes it, in words."""
        return "Python"

    def words_of(self, sentence: str) -> FloatArray | None:
        """Return the words of an observation (384,) where a sentence says what to do; None for a policy without words.

        Raises:
            ConfigError: the policy does not know the sentence, see `Phrasebook.understood`.
        """
        return self.phrasebook.understood(sentence).astype(np.float64) if self.config.words else None

    @abstractmethod
    def infer(
        self, observation: Observation, seed: int, prefix: FloatArray | None = None
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk for an observation, and what the gate did; equal seeds give equal chunks.

        Args:
            observation: newest set last.
            seed: of the initial noise.
            prefix: actions (d, J) [rad], grippers [m], that are committed for the first d steps of the chunk.
        """

    def warm_up(self, observation: Observation) -> None:
        """Run once all that may be asked for, so that no later chunk is a first one; here a chunk of an observation."""
        self.infer(observation, 0)


class DeployedPolicy(AbstractPolicy):
    """What the policies of checkpoints share: settings, an engine, and the normaliser of their actions."""

    def __init__(self, config: PolicyConfig, engine: AbstractEngine, normalizer: Normalizer, period_s: float) -> None:
        """Join the parts; actions of a chunk are `period_s` apart."""
        self.config, self.engine, self._normalizer, self._period_s = config, engine, normalizer, period_s

    @property
    def runs_in(self) -> str:
        """The engine's name."""
        return self.engine.name

    def warm_up(self, observation: Observation) -> None:
        """See `AbstractPolicy`: every expert, and the fewer steps of a missed deadline.

        Raises:
            ModelError: an expert is unsafe, cannot be run, or gives what is not finite.
        """
        super().warm_up(observation)
        columns = self.config.columns(len(self._normalizer.center))
        for name, value in self.engine.warm_up(self.config, self.encode(observation), columns).items():
            require_finite(name, value)
        self.engine.take_stall_s()

    def encode(self, observation: Observation, prefix: FloatArray | None = None) -> Mapping[str, FloatArray]:
        """Return what is derived from an observation once, by name.

        "feature" (F,); of a mixture "gate" (K,); of SMP "basis" (J, K), and by its form: "scale" (K,) of the
        coefficients (paper), or the mean head's action "reference" (T, J) and its own coefficients "offset" (T, K)
        (motion).
        """
        inputs = policy_inputs(observation, self.config, self._normalizer, prefix)
        if "objects" in inputs and (size := self.engine.input_length("objects")):
            inputs["objects"] = known_objects(inputs["objects"], size)
        return self.engine.encode(inputs)

    def denoise_action(
        self, task: Denoising, observation: Observation, prefix: FloatArray | None, seed: int
    ) -> FloatArray:
        """Return the normalised actions (T, J) of a task, continuing the committed ones (d, J) if any."""
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(self.config.horizon, len(self._normalizer.center))) * self.config.noise
        return self.engine.sample(task, noise, self.config, rng, self.inpainted(observation, prefix))

    def inpainted(self, observation: Observation, prefix: FloatArray | None) -> FloatArray | None:
        """Return the committed actions (d, J), normalised, that the sampler must be held to.

        None where nothing is committed, or where the encoder sees what is.
        """
        if prefix is None or self.config.prefix_steps:
            return None
        return self._normalizer.normalise_action(prefix[: self.config.horizon], observation.position[-1])

    def answer(
        self,
        observation: Observation,
        action: FloatArray,
        gate: FloatArray,
        chosen: Selection,
        calls: NDArray[np.int64],
        watch: "Stopwatch",
        prefix: FloatArray | None = None,
    ) -> tuple[ActionChunk, GateReport]:
        """Return the chunk of normalised actions (T, J) and the report of the gate (K,); ends the stage "decode".

        What the stage "denoise" waited for experts that were not in memory becomes a stage of its own.

        Args:
            observation: that is answered.
            action: (T, J).
            gate: (K,) weight of each expert.
            chosen: the experts that were run.
            calls: (K,) of each expert's denoiser.
            watch: of this inference.
            prefix: committed actions (d, J) [rad], grippers [m], if any.
        """
        held = None if self.config.prefix_steps else prefix
        position = self._normalizer.denormalise_action(action, observation.position[-1], held)
        watch.lap("decode")
        if stall_s := self.engine.take_stall_s():
            watch.stage_ms["denoise"] -= stall_s * 1e3
            watch.stage_ms[STALL] = stall_s * 1e3
        report = GateReport(observation.stamp_ns, gate, chosen.share, chosen.active, chosen.kept, calls, watch.stage_ms)
        return ActionChunk(observation.stamp_ns, self._period_s, position), report


STALL = "stall"
"""The stage of an inference in which it waits for experts that are not in memory."""


def require_finite(name: str, value: np.ndarray) -> None:
    """Raise ModelError where what a network made of a blank observation is not finite."""
    if not np.isfinite(value).all():
        raise ModelError(f"'{one_line(name)}' of a blank observation is not finite: the weights are broken")


VECTORS = "vectors"
"""Name of the vectors among the inputs of an encoder."""


def image_key(camera: str) -> str:
    """Return the name of a camera's images among the inputs of an encoder."""
    return f"image_{camera}"


def points_key(camera: str) -> str:
    """Return the name of what a camera's network made of its images, where an encoder gets that instead of them."""
    return f"points_{camera}"


def policy_inputs(
    observation: Observation, config: PolicyConfig, normalizer: Normalizer, prefix: FloatArray | None = None
) -> dict[str, np.ndarray]:
    """Return what an encoder takes, by name.

    "state" (To, J) normalised, "image_NAME" (To, h, w, 3), of depth (To, h, w, 1) normalised, "vectors" (To, V)
    normalised, "objects" (To, D), "words" (384,), and "prefix" (P, J + 1): the committed actions, normalised, each
    followed by a one; zeros after the last.

    Raises:
        ModelError: a policy of the state track was given no object poses, or one with words was told nothing.
    """
    senses = normalizer.senses
    inputs: dict[str, np.ndarray] = {image_key(name): observation.images[name] for name in config.cameras}
    inputs |= {image_key(name): senses.depth_input(name, observation.images[name]) for name in config.depth}
    inputs["state"] = normalizer.normalise(observation.position).astype(np.float32)
    if config.vectors:
        inputs[VECTORS] = senses.vector_input(observation.vectors)
    if config.track == "state":
        if observation.objects is None:
            raise ModelError("this policy sees object poses (track: state), which only the simulator knows")
        inputs["objects"] = observation.objects.astype(np.float32)
    if config.words:
        if observation.words is None:
            raise ModelError('this policy is told in words what to do, and was told nothing: smp run --task "..."')
        inputs["words"] = observation.words.astype(np.float32)
    if config.prefix_steps:
        told = np.zeros((config.prefix_steps, len(normalizer.center) + 1), np.float32)
        if prefix is not None:
            rows = normalizer.normalise_action(prefix[: config.prefix_steps], observation.position[-1])
            told[: len(rows), :-1], told[: len(rows), -1] = rows, 1.0
        inputs["prefix"] = told
    return inputs


def known_objects(objects: FloatArray, size: int) -> FloatArray:
    """Return the entries (N, size) that a policy was trained with, of states of objects (N, D); zeros where D is less.

    Raises:
        ModelError: an entry beyond them tells of a task that the policy does not know.
    """
    if objects[:, size:].any():
        raise ModelError(
            f"this policy knows the first {size} numbers that tell of objects and task, and number "
            f"{size + int(objects[:, size:].any(axis=0).argmax()) + 1} is told: it was not trained for this task; "
            "run it on those of its model card, or train one on this task"
        )
    return np.pad(objects[:, :size], ((0, 0), (0, max(0, size - objects.shape[1]))))


class Stopwatch:
    """Wall time per stage of one inference [ms]."""

    def __init__(self) -> None:
        self._last = perf_counter()
        self.stage_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End a stage that began where the last one ended."""
        now = perf_counter()
        self.stage_ms[stage] = (now - self._last) * 1e3
        self._last = now
