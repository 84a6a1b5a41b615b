"""Outputs that cannot be written: one line and exit code 2 before the work, and nothing that was computed is lost."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from smp_bringup.bench.episodes import Episode, EpisodeFile
from smp_bringup.cli import main as cli
from smp_bringup.cli.show import write_json
from smp_bringup.errors import OutputError
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.output import try_file, try_folder, try_new_folder, write_text

VERBS = [
    "eval --policy smp_state --episodes 1 --json {}",
    "eval --policy smp_state --episodes 1 --out {}",
    "replay nowhere --json {}",
    "replay nowhere --report {}",
    "train --bags nowhere --out {}",
    "record --lockstep --task lift_tray --out {}",
    "record --task lift_tray --out {}",
    "demo --json {}",
    "demo --out {}",
    "chaos --json {}",
    "chaos --out {}",
    "bench graph --json {}",
    "bench graph --log {}",
    "bench recording --json {}",
    "bench recording --out {}",
    "bench sync --json {}",
    "bench seams --json {}",
    "bench study main --bags nowhere --json {}",
    "bench study main --bags nowhere --out {}",
    "bench phases --policy smp_state --json {}",
    "calibrate latency nowhere --out {}",
    "calibrate wiggle {}",
    "bag check nowhere --json {}",
    "bag repair nowhere --out {}/x",
    "bag to-lerobot nowhere --out {}/x",
    "bag from-lerobot nowhere --out {}/x",
    "bag import nowhere --mapping example --out {}/x",
]
"""Every verb that writes, with each of its outputs; where the bags are nowhere, the output is looked at first."""


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_cannot_be_is_one_line_before_the_work(verb, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("mine")
    place = str(tmp_path / "file" / "below")
    monkeypatch.setattr(sys, "argv", ["smp", *verb.format(place).split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2, said
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("error: cannot write to '"), said.err
    assert "a file stands where a folder is needed: make room there, or name another place" in said.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_device_a_folder_and_a_name_too_long_are_no_files(tmp_path):
    for path, why in (
        ("/dev/full", "No space left on device"),
        (str(tmp_path), "Is a directory"),
        (str(tmp_path / ("x" * 300) / "y"), "File name too long"),
        (str(tmp_path / "a\0b"), "null byte"),
        (str(tmp_path / ("x" * 300)), "File name too long"),
        (str(tmp_path / ("x" * 250)), "File name too long"),
        ("/proc/x/y", "No such file or directory"),
    ):
        with pytest.raises(OutputError, match=why):
            try_file(Path(path))
    try_file(tmp_path / "new" / "x.json")
    try_file(Path("/dev/null"))
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(OutputError, match="No such file or directory"):
        try_folder(Path("/proc/x"))


def test_a_result_that_cannot_be_written_is_printed(capsys):
    with pytest.raises(OutputError, match="cannot write to '/dev/full': No space left on device"):
        write_json(Path("/dev/full"), {"success": 1})
    assert json.loads(capsys.readouterr().out) == {"success": 1}


def test_a_file_is_written_whole_or_stays_what_it_was(tmp_path):
    path = tmp_path / "deep" / "x.json"
    write_text(path, "first")
    (tmp_path / "deep" / "x.json.partial").mkdir()  # where the new one would be written
    with pytest.raises(OutputError):
        write_text(path, "second")
    assert path.read_text() == "first"


_EPISODE = Episode("lift_tray", 0, 1, True, 1.0, "", 0, 0, 1.0, 1, 1.0, 1.0, 0, 0.0, (1.0,), {})


def test_episodes_that_the_disk_does_not_take_are_still_counted(tmp_path):
    file = EpisodeFile(tmp_path, "x", {}, resume=False)
    file.path.unlink()
    file.path.symlink_to("/dev/full")
    file.append(_EPISODE)
    file.append(replace(_EPISODE, episode=1))
    assert len(file.done) == 2
    assert "lacks the last episodes: No space left on device" in str(file.lost)


@pytest.mark.parametrize("words", [["version"], ["eval", "--help"], ["--help"]])
def test_a_standard_output_that_is_full_is_one_line(words):
    command = [sys.executable, "-m", "smp_bringup.cli.main", *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


def test_a_reader_that_goes_is_no_error():
    command = [sys.executable, "-m", "smp_bringup.cli.main", "version"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode != 0


def test_a_link_that_leads_nowhere_is_told_before_the_work(tmp_path):
    nowhere, circle, good = tmp_path / "nowhere", tmp_path / "circle", tmp_path / "good"
    nowhere.symlink_to("/proc/nope/x")
    circle.symlink_to(circle)
    good.symlink_to(tmp_path / "other" / "file")
    for path in (nowhere, circle):
        with pytest.raises(OutputError, match="cannot write to"):
            try_file(path)
        with pytest.raises(OutputError, match="leads nowhere"):
            try_new_folder(path)
    try_file(good)
    write_text(good, "x")
    assert (tmp_path / "other" / "file").read_text() == "x"


@pytest.mark.parametrize(
    "words", ["bag repair {bag} --out", "bag to-lerobot {bag} --out", "bag from-lerobot {bag} --out"]
    + ["bag import {bag} --mapping example --out"]
)  # fmt: skip
@pytest.mark.parametrize("name", ["x" * 250, "link"])
def test_a_new_folder_that_cannot_be_is_told_before_the_work(words, name, tmp_path, monkeypatch, capsys):
    (tmp_path / "link").symlink_to("/proc/nope/x")
    bag = Path(__file__).parents[1] / "replay" / "bags" / "two_seconds"
    monkeypatch.setattr(sys, "argv", ["smp", *words.format(bag=bag).split(), str(tmp_path / name)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith("error: cannot write to")
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_a_name_that_is_no_utf8_is_refused_where_tables_and_videos_need_one(tmp_path):
    odd = tmp_path / os.fsdecode(b"set\xff")
    bag = Path(__file__).parents[1] / "replay" / "bags" / "two_seconds"
    with pytest.raises(OutputError, match=r"set\\udcff': its name is not UTF-8"):
        export([bag], odd)
    odd.mkdir()
    with pytest.raises(OutputError, match="its name is not UTF-8"):
        import_dataset(odd, tmp_path / "out")
