"""`lerobot-export-smp`: from a checkpoint of lerobot-train to a model folder that smp_bringup runs."""

import argparse
import sys
from pathlib import Path

from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class

from lerobot_policy_smp.mixture import MixturePolicy
from lerobot_policy_smp.settings import MixtureConfig
from smp_bringup.errors import EXIT_CODE, ModelError, SmpError, one_line
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained

_CARD = """# {kind} policy, trained by LeRobot

| | |
|---|---|
| run | `{run}`{changes} |
| inputs | cameras {cameras}; joint positions; nothing else |
| tasks | {tasks} |
| parameters | {parameters:.3f} M deployed |

Exported by lerobot-export-smp from a checkpoint of lerobot-train.
"""


def load(checkpoint: Path) -> MixturePolicy:
    """Return the policy in the folder pretrained_model of a checkpoint; raises ModelError where it is not ours."""
    if not (checkpoint / "config.json").is_file():
        raise ModelError(f"'{checkpoint}' has no config.json: name the folder pretrained_model of a checkpoint")
    config = PreTrainedConfig.from_pretrained(checkpoint)
    if not isinstance(config, MixtureConfig):
        raise ModelError(
            f"'{checkpoint}' is a policy of type {config.type}: run it as it is, model: lerobot:{checkpoint}"
        )
    config.device = "cpu"
    policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
    assert isinstance(policy, MixturePolicy)
    return policy


def export(checkpoint: Path, out: Path) -> None:
    """Write the model folder `out`, whole or not at all."""
    policy = load(checkpoint)
    config = policy.config
    network = policy.averaged
    trained = Trained(network, policy.normalizer, {}, tuple(config.tasks))
    card = _CARD.format(
        kind=config.type,
        run=config.run,
        changes="".join(f", `{one_line(change)}`" for change in config.changes),
        cameras=", ".join(config.settings.policy.cameras),
        tasks=", ".join(config.tasks) or "not told",
        parameters=network.parameter_counts()[0] / 1e6,
    )
    save_checkpoint(trained, config.body, out, card)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Write a model folder of smp_bringup from a checkpoint of LeRobot.")
    parser.add_argument("checkpoint", type=Path, help="folder pretrained_model")
    parser.add_argument("--out", type=Path, required=True, help="new model folder")
    arguments = parser.parse_args()
    try:
        export(arguments.checkpoint, arguments.out)
    except SmpError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(EXIT_CODE) from None
    print(f"wrote {arguments.out}; next: smp eval --policy {arguments.out}")


if __name__ == "__main__":
    main()
