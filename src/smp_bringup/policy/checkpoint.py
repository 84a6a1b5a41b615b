"""A checkpoint is a folder: ONNX models, weights, settings, normaliser, robot fingerprint, metrics, manifest."""

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from operator import attrgetter
from pathlib import Path
from typing import Any

from smp_bringup import config
from smp_bringup.errors import ConfigError, ModelError, UnknownNameError, one_line
from smp_bringup.manifest import MANIFEST, open_checked, read_checked
from smp_bringup.observation.actions import action_code
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.observation.senses import Senses
from smp_bringup.paths import HOSTED, share
from smp_bringup.policy import POLICIES, policy_config
from smp_bringup.policy.base import DeployedPolicy
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.policy.engines import PRECISIONS, Model, Stored, open_engine, require_device
from smp_bringup.policy.onnx_check import check_model
from smp_bringup.policy.trial import LIMIT_S, try_out, within
from smp_bringup.robot import Robot
from smp_bringup.words.phrasebook import Phrasebook

CONFIG, NORMALIZER, ROBOT, METRICS, CARD = (
    "config.yaml",
    "normalizer.json",
    "robot.json",
    "metrics.json",
    "README.md",
)
PRECISION = "precision"
"""Figure in METRICS: int8 where the experts' weights were rounded."""
ENCODER = "encoder.onnx"
WEIGHTS = "weights.safetensors"


def is_hosted(model: Path) -> bool:
    """Return whether a model is a policy of LeRobot, see `lerobot.policy`."""
    return str(model).startswith(HOSTED)


def called(folder: Path) -> str:
    """Return by what name `find_model` finds a checkpoint: a shipped one by its own, on every machine."""
    return folder.name if folder.parent == share("models") else str(folder)


def find_model(name: str) -> Path:
    """Return the folder of a shipped model, or `name` itself when it is a folder, or lerobot: and a path.

    Raises:
        UnknownNameError: it is neither.
    """
    if is_hosted(Path(name)):
        return Path(name)
    if Path(name).is_dir():
        return Path(name)
    known = sorted(p.parent.name for p in share("models").glob(f"*/{MANIFEST}"))
    if name not in known:
        raise UnknownNameError("model", name, known)
    return share("models", name)


def find_eyes(name: str) -> Path:
    """Return what `smp train --eyes` names: a file of weights, or what `find_model` returns."""
    return Path(name) if Path(name).is_file() else find_model(name)


def read_config(files: Mapping[str, bytes], changes: Sequence[str] = ()) -> PolicyConfig:
    """Return the policy settings of a checkpoint's files, with `changes` made to them.

    Args:
        files: of the checkpoint.
        changes: "name=value", of the names in `PolicyConfig.DEPLOYED` of the policy's kind.
    """
    if CONFIG not in files:
        raise ModelError(f"the checkpoint lacks {CONFIG}")
    settings = config.parse_yaml(files[CONFIG], CONFIG)
    known, places = policy_config(settings, CONFIG).DEPLOYED, []
    for change in changes:
        name, sign, value = change.partition("=")
        if name.strip() not in known:
            raise UnknownNameError("setting of a trained policy", name.strip(), known)
        places.append(f"{known[name.strip()]}{sign}{value}")
    return policy_config(config.changed(settings, places), CONFIG)


def deployed_settings(policy: PolicyConfig) -> tuple[str, ...]:
    """Return the changes ("key=value") that make any checkpoint of this network run as `policy` says."""
    return tuple(f"{name}={attrgetter(place)(policy)}" for name, place in policy.DEPLOYED.items())


def trained_settings(policy: PolicyConfig) -> dict[str, Any]:
    """Return the policy's settings without those that deployment may change: what its weights depend on."""
    settings: dict[str, Any] = config.plain(policy)
    for place in policy.DEPLOYED.values():
        *sections, key = place.split(".")
        reduce(dict.__getitem__, sections, settings).pop(key)
    return settings


def trained_tasks(folder: Path) -> list[str]:
    """Return the tasks that a checkpoint was trained to do; none where it does not say."""
    if is_hosted(folder):
        return []
    tasks = read_metrics(read_checked(folder)).get("tasks", [])
    if not isinstance(tasks, list):
        raise ModelError(f"{METRICS} of '{folder}': tasks must be a list, got {config.kind_of(tasks)}")
    return [str(name) for name in tasks]


def read_metrics(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the figures of a checkpoint's files: of training, and of its last evaluation."""
    return _json(files, METRICS)


def read_precision(files: Mapping[str, bytes]) -> str:
    """Return the precision of the ONNX models of a checkpoint's files, one of PRECISIONS."""
    precision = read_metrics(files).get(PRECISION, PRECISIONS[0])
    if precision not in PRECISIONS:
        raise ModelError(f"{METRICS}: precision must be one of {', '.join(PRECISIONS)}, got {one_line(precision)}")
    return str(precision)


def read_normalizer(files: Mapping[str, bytes], policy: PolicyConfig, robot: Robot) -> Normalizer:
    """Return the normaliser of a checkpoint's files for a robot, which has what the policy sees."""
    data, lengths = _json(files, NORMALIZER), {name: robot.vector(name).length for name in policy.vectors}
    senses = Senses.from_dict(data, lengths, policy.depth)
    return Normalizer.from_dict(data, robot.dof, senses, action_code(policy.actions, robot))


def config_yaml(policy: PolicyConfig) -> str:
    """Return policy settings as the YAML that `read_config` reads."""
    return config.dump(policy)


def load_policy(
    folder: Path, robot: Robot, device: str = "cpu", changes: Sequence[str] = (), experts_mb: float = 0.0
) -> DeployedPolicy:
    """Return the deployed policy of a checkpoint, with `changes` made to its settings; see `read_config`.

    It has made one chunk. An expert that was not needed for that one is read from the folder, judged and opened when it
    is first run, or by `trial.warm_up`; and again where it had to make room for others, see `open_engine`.

    Raises:
        ModelError: the checkpoint is incomplete, altered, unsafe, made for another robot, or cannot be run.
        InstallError: the device is not there.
        ConfigError: `experts_mb` makes no sense here.
    """
    require_device(device)
    files = open_checked(folder)
    policy = read_config(files, changes)
    _check_robot(files, policy, robot)
    normalizer, precision = read_normalizer(files, policy, robot), read_precision(files)
    phrasebook = Phrasebook.from_files(files) if policy.words else Phrasebook()
    models = [ENCODER, *(f"denoiser_{i}.onnx" for i in range(policy.denoisers))]
    for name in models:
        if name not in files:
            raise ModelError(f"'{folder}' lacks {name}")

    judged: set[str] = set()

    def read(name: str) -> bytes:
        content = files[name]
        if name not in judged:  # once: it has the same hash whenever it is read again
            check_model(content, name, robot, policy)
            judged.add(name)
        return content

    def opened() -> DeployedPolicy:
        denoisers = [
            Model(files.size[name], partial(read, name), i >= policy.experts, precision)
            for i, name in enumerate(models[1:])
        ]
        weights = partial(files.__getitem__, WEIGHTS) if WEIGHTS in files else None
        stored = Stored(read(ENCODER), denoisers, weights, precision)
        engine = open_engine(stored, policy, robot.dof, device, experts_mb)
        deployed: DeployedPolicy = POLICIES[policy.kind].deploy(policy, engine, normalizer, robot.action_period_s)
        deployed.phrasebook = phrasebook
        try_out(deployed, robot)
        return deployed

    return within(LIMIT_S, f"the policy of '{folder}'", opened)


def lacks(policy: PolicyConfig, robot: Robot) -> str:
    """Return what a policy sees and a robot does not have, beside what it has; nothing where all is there."""
    colour, depth = ([c.name for c in robot.cameras if bool(c.depth) is told] for told in (False, True))
    vectors = [vector.name for vector in robot.vectors]
    seen = (
        ("camera", policy.cameras, colour),
        ("depth camera", policy.depth, depth),
        ("vector", policy.vectors, vectors),
    )
    for kind, wanted, known in seen:
        for name in wanted:
            if name not in known:
                return f"{kind} '{one_line(name)}', robot '{robot.name}' has {', '.join(known) or f'no {kind}'}"
    return ""


def require_views(files: Mapping[str, bytes], cameras: tuple[str, ...], robot: Robot) -> None:
    """Raise ModelError where the policy of a checkpoint's files saw other images of these cameras than a robot has."""
    trained, present = _json(files, ROBOT), robot.fingerprint(cameras)
    for key in ("cameras", "depth"):
        saw, has = (views if isinstance(views := d.get(key), dict) else {} for d in (trained, present))
        for name in cameras:
            if (one := saw.get(name)) != (other := has.get(name)):
                found = f"camera '{name}' of robot '{robot.name}': {key} {other}"
                raise ModelError(f"{found}, the model saw {one_line(one)}")


def _check_robot(files: Mapping[str, bytes], policy: PolicyConfig, robot: Robot) -> None:
    """Compare the robot that the policy was trained on with the present one, part by part."""
    if lack := lacks(policy, robot):
        raise ModelError(f"the model sees {lack}")
    trained, present = _json(files, ROBOT), robot.fingerprint(policy.sights, policy.vectors)
    if trained.get("sha256") == present["sha256"]:
        return
    for key in dict.fromkeys((*present, *trained)):
        found, expected = present.get(key), trained.get(key)
        if key != "sha256" and expected != found:
            raise ModelError(f"robot '{robot.name}' has {one_line(key)} {found}, model expects {one_line(expected)}")
    raise ModelError(f"{ROBOT} does not match its own hash")


def _json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        raise ModelError(f"the checkpoint lacks {name}")
    try:
        return config.parse_json(files[name], name)
    except ConfigError as error:
        raise ModelError(f"the checkpoint is broken: {error}") from None
