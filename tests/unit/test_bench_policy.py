"""`smp bench policy`: the instrument runs on every size of machine, and its ratios are of what it names."""

import json
import sys
from itertools import islice

import numpy as np
import pytest

from smp_bringup.bench.speed import (
    Contender,
    Measured,
    as_large,
    build,
    contenders,
    linearity,
    parameters_read,
    ratios,
)
from smp_bringup.cli import main as cli
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.training.config import load_run


def test_the_smallest_size_runs_on_the_engine_of_the_gpu_without_one(tmp_path, monkeypatch, capsys):
    result, drawn = tmp_path / "bench.json", tmp_path / "bench.png"
    words = ["smp", "bench", "policy", "--size", "tiny", "--device", "cpu_torch", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(result), "--picture", str(drawn)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    told = json.loads(result.read_text())
    rows = told["rows"]
    assert [f"{kind} {n}/8" for kind in ("smp", "sparse") for n in (1, 2, 4, 8)] == list(rows)[:8]
    assert rows["smp 4/8"]["active"] == rows["sparse 4/8"]["active"] == 4
    assert rows["sparse 8/8"]["against"]["dense"] == rows["dp total"]["against"]["diffusion_total"] == 1
    assert all("PyTorch" in row["engine"] and row["floor_ms"] > 0 for row in rows.values())
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def row(name, active, ms, experts=8):
    return Measured(Contender(name, None), "engine", 5, experts, active, tuple([ms] * 10), {}, 0.5)


def test_ratios_and_the_cost_of_an_expert_by_hand():
    rows = [row(f"smp {n}/8", n, 1 + 0.5 * n) for n in (1, 2, 4, 8)] + [row("dp active", 1, 4.0, experts=1)]
    against = ratios(rows)
    assert against["smp 2/8"] == {"dense": 0.4, "diffusion_active": 0.5}
    assert against["dp active"] == {"diffusion_active": 1.0}
    rounded = [row(f"smp.int8 {n}/8", n, 0.5 + 0.2 * n) for n in (1, 2, 4)]
    assert linearity(rows + rounded) == {
        "smp": {"ms_per_expert": 0.5, "ms_without": 1.0, "r2": 1.0},
        "smp.int8": {"ms_per_expert": 0.2, "ms_without": 0.5, "r2": 1.0},
    }


def test_rounded_mixtures_stand_beside_the_exact_ones_with_steps_of_their_own(tmp_path, robot):
    rows = list(islice(contenders("small", tmp_path, robot, steps=4, int8=2), 2))
    assert [row.name for row in rows] == ["smp 1/8", "smp.int8 1/8"]
    policies = [load_policy(row.folder, robot, changes=row.changes) for row in rows]
    assert [policy.config.denoise_steps for policy in policies] == [4, 2]
    assert [policy.engine.name.split()[-1] for policy in policies] == ["fp32", "int8"]


@pytest.mark.parametrize("name", ["smp", "sparse", "diffusion"])
def test_what_is_read_is_counted(name, robot):
    network = build(load_run(name, robot).policy, robot)
    deployed, each = network.parameter_counts()
    once, every = parameters_read(network, network.config.experts)
    assert once + every == pytest.approx(deployed, rel=0.01)
    if network.config.experts > 1:
        assert parameters_read(network, 2)[1] - parameters_read(network, 1)[1] == each


def test_a_diffusion_policy_is_as_large_as_is_asked(robot):
    like = load_run("sparse", robot).policy
    config = as_large(1_000_000, like, robot)
    assert config.encoder == like.encoder
    assert parameters_read(build(config, robot), 1)[1] == pytest.approx(1_000_000, rel=0.05)
    assert np.isclose(config.denoise_steps, like.denoise_steps)
