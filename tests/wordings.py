"""A small policy that is told in words, with embeddings that no language model made."""

from dataclasses import replace

import numpy as np
import torch

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.build import build_network
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained
from smp_bringup.words.encoder import SIZE
from smp_bringup.words.phrasebook import Phrasebook

LEFT, RIGHT = (f"pick up the cube with the {side} hand and pass it on" for side in ("left", "right"))
PHRASES = {LEFT: ("left hand first",), RIGHT: ("right hand first", "begin on the right")}


def book(phrases=PHRASES):
    """Return the book of `phrases`, each wording embedded in a direction of its own."""
    count = sum(1 + len(others) for others in phrases.values())
    embeddings = np.random.default_rng(5).normal(size=(count, SIZE)).astype(np.float32)
    return Phrasebook(phrases, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))


def told_checkpoint(like, robot, folder):
    """Write a checkpoint with random weights, like the settings `like` but told in words; return its network."""
    torch.manual_seed(3)
    network = build_network(replace(like, words=True), robot.dof)
    network.encoder.words.fit(torch.from_numpy(book().embeddings))
    normalizer = Normalizer(np.array(robot.joint_array("home")), np.full(robot.dof, 0.2))
    save_checkpoint(Trained(network, normalizer, {"steps": 0.0}, phrasebook=book()), robot, folder, "# random\n")
    return network
