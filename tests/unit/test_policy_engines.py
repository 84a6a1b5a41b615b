"""Engines: each gives what the step-by-step sampler gives, runs only what is asked for, and says what it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smp_bringup.policy.base import AbstractEngine
from smp_bringup.policy.build import build_network
from smp_bringup.policy.denoising import Denoising
from smp_bringup.policy.engine_onnx import OnnxEngine
from smp_bringup.policy.export import export
from smp_bringup.policy.trial import blank

WHOLE = ["diffusion", "dibm", "sparse"]
"""Kinds whose denoisers each predict a whole action chunk."""


@pytest.fixture(scope="module")
def engines(robot, small_policies):
    """Per kind: an engine of ONNX Runtime, its settings, and what it makes of an observation."""
    out = {}
    for kind, config in small_policies.items():
        torch.manual_seed(5)
        engine = OnnxEngine(*export(build_network(config, robot.dof), robot))
        images = {f"image_{n}": v for n, v in blank(robot, 1).images.items() if n in config.cameras}
        coded = engine.encode({"state": np.full((1, robot.dof), 0.1, np.float32), **images})
        out[kind] = engine, config, coded
    return out


def both(engine, config, task, known=None, seed=3):
    """Return what an engine samples, and what the step-by-step sampler makes of the same engine."""
    noise = np.random.default_rng(seed).normal(size=(config.horizon, config.columns(14)))
    one = engine.sample(task, noise, config, np.random.default_rng(seed), known)
    two = AbstractEngine.sample(engine, task, noise, config, np.random.default_rng(seed), known)
    return one, two


def mask_of(config, coded):
    return np.asarray(coded["gate"], dtype=float) if config.kind == "sparse" else np.ones(config.experts)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("changes", [{}, {"denoise_steps": 1}, {"denoise_steps": 2}, {"prediction": "eps"}])
@pytest.mark.parametrize("rows", [0, 5])
def test_all_steps_in_one_graph_are_the_steps_one_by_one(kind, changes, rows, engines):
    engine, config, coded = engines[kind]
    config = replace(config, **changes)
    known = np.random.default_rng(1).normal(size=(rows, 14)) * 0.3 if rows else None
    for whole in range(config.denoisers):
        one, two = both(engine, config, Denoising(coded, mask_of(config, coded), whole=whole), known)
        tolerance = 1e-5 if config.prediction == "x0" else 1e-4  # noise is divided by a small share of signal
        np.testing.assert_allclose(one, two, atol=tolerance)
        if known is not None:
            np.testing.assert_array_equal(one[:rows], known)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_sampler_that_draws_noise_draws_what_the_host_draws(kind, engines):
    engine, config, coded = engines[kind]
    task = Denoising(coded, mask_of(config, coded), whole=0)
    one, two = both(engine, replace(config, sampler="ddpm"), task)
    np.testing.assert_array_equal(one, two)


def test_experts_side_by_side_say_what_they_say_one_by_one(engines):
    engine, config, coded = engines["smp"]
    task = Denoising(coded, np.array([1.0, 0.0, 1.0, 1.0]), columns=(0, 2, 3))
    alone = both(engine, config, task)[0]
    engine.run_side_by_side(2)
    np.testing.assert_array_equal(both(engine, config, task)[0], alone)


def test_what_is_not_called_is_not_loaded(robot, small_policies):
    engine = OnnxEngine(*export(build_network(small_policies["smp"], robot.dof), robot))
    coded = {"feature": np.zeros(32, np.float32)}
    engine.predict(Denoising(coded, np.array([0.0, 1, 0, 0]), columns=(1,)), np.zeros((16, 4)), np.zeros(32))
    assert [denoiser.loaded for denoiser in engine._denoisers] == [False, True, False, False]
