"""The run folder: what is written comes back, what is damaged is refused by name, nothing is lost or executed."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from elman.errors import InputError
from elman.runfolder import FORMAT, RunFolder

CONFIG = {"task": "toy", "options": {"size": 3, "글": "값"}, "data": {"files": ["a.txt"]}}
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs Linux's device that is always full")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "run")
    run.write_config(CONFIG)
    run.write_tensors("model.safetensors", {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"step": 4})
    return run


def _files(run: RunFolder) -> dict[str, bytes]:
    return {str(p.relative_to(run.path)): p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


# --- creating and opening


def test_config_comes_back_with_format_and_versions(run: RunFolder) -> None:
    config = RunFolder.open(run.path).read_config()
    assert {key: config[key] for key in CONFIG} == CONFIG
    assert config["format"] == FORMAT == 1
    assert config["versions"]["numpy"] == np.__version__
    assert {"python", "elman", "safetensors", "torch"} <= set(config["versions"])
    assert "값" in (run.path / "config.json").read_text("utf-8")


def test_an_existing_run_is_kept(run: RunFolder) -> None:
    before = _files(run)
    with pytest.raises(InputError, match="use --resume to continue it or --overwrite"):
        RunFolder.create(run.path)
    assert _files(run) == before


def test_overwrite_removes_the_run_and_nothing_else(run: RunFolder) -> None:
    run.append_metrics({"step": 1})
    run.write_bytes("checkpoint/last.safetensors", b"x")
    run.write_bytes("report.html", b"x")
    (run.path / "my notes.txt").write_text("keep")
    RunFolder.create(run.path, overwrite=True)
    assert _files(run) == {"my notes.txt": b"keep"}


def test_overwrite_follows_no_link(run: RunFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("keep")
    (run.path / "tensorboard").symlink_to(elsewhere)
    RunFolder.create(run.path, overwrite=True)
    assert list(run.path.iterdir()) == []
    assert (elsewhere / "file").read_text() == "keep"


@pytest.mark.parametrize(
    "config", [None, "{}", '{"format": 1}', '{"name": "package", "version": 1}', "not JSON"]
)
def test_overwrite_refuses_what_is_not_a_run(tmp_path: Path, config: str | None) -> None:
    (tmp_path / "report.html").write_text("mine")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match="is not a run of elman"):
        RunFolder.create(tmp_path, overwrite=True)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_create_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="is a file, expected a folder"):
        RunFolder.create(tmp_path / "run", overwrite=True)
    with pytest.raises(InputError, match="cannot create it"):
        RunFolder.create(tmp_path / "run" / "below")


def test_create_in_an_empty_folder(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path).path == tmp_path


def test_open_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run folder"):
        RunFolder.open(tmp_path / "run")
    with pytest.raises(InputError, match=r"not a run of elman, it has no config\.json"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b'{"format": 1', "not JSON"),
        (b"\xff\xfe{}", "not JSON in UTF-8"),
        (b'{"format": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "holds list, expected a JSON object"),
        (b"{}", "format is None"),
        (b'{"format": "1"}', "format is '1'"),
        (b'{"format": true}', "format is True"),
        (b'{"format": 2, "task": "toy"}', "format 2, this elman reads up to 1; install a newer elman"),
        (b'{"format": 1, "task": 7}', "'task' is 7, expected a str"),
        (b'{"format": 1, "task": "toy", "options": []}', r"'options' is \[\], expected a dict"),
    ],
)
def test_damaged_config(run: RunFolder, text: bytes, message: str) -> None:
    (run.path / "config.json").write_bytes(text)
    with pytest.raises(InputError, match=message) as error:
        RunFolder.open(run.path)
    assert str(run.path / "config.json") in str(error.value)


def test_huge_config_is_not_read(run: RunFolder) -> None:
    with open(run.path / "config.json", "ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="1099511627776 bytes, expected at most"):
        RunFolder.open(run.path)


# --- tensors


@pytest.mark.parametrize(
    "array",
    [
        np.float32(2.5) * np.ones(()),
        np.zeros((0, 3)),
        np.arange(12).reshape(3, 4).T,
        np.arange(12, dtype=np.int16)[::2],
        np.array([True, False]),
        np.arange(4, dtype=">f4"),
        np.arange(3, dtype=np.uint64),
    ],
)
def test_arrays_come_back(run: RunFolder, array: np.ndarray) -> None:
    run.write_tensors("some.safetensors", {"한글": array}, {"글": [1, None, 0.1]})
    again = run.read_tensors("some.safetensors")["한글"]
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype.newbyteorder("=")
    assert again.shape == array.shape
    assert run.read_metadata("some.safetensors") == {"글": [1, None, 0.1]}


def test_the_safetensors_library_reads_it(run: RunFolder) -> None:
    np.testing.assert_array_equal(
        safetensors.numpy.load_file(run.path / "model.safetensors")["a"], [[0, 1, 2], [3, 4, 5]]
    )


@pytest.mark.parametrize(
    ("shapes", "dtypes", "message"),
    [
        ({"a": (3, 2)}, {}, r"tensor 'a' is \(2, 3\), expected \(3, 2\)"),
        ({"a": (2, 3), "b": (1,)}, {}, "tensor 'b' is missing"),
        ({}, {}, "holds an unknown tensor 'a'"),
        ({"a": (2, 3)}, {"a": "float64"}, "tensor 'a' is float32, expected float64"),
    ],
)
def test_other_tensors_than_expected(run: RunFolder, shapes: Any, dtypes: Any, message: str) -> None:
    run.read_tensors("model.safetensors", {"a": [2, 3]}, {"a": "float32"})
    with pytest.raises(InputError, match=message) as error:
        run.read_tensors("model.safetensors", shapes, dtypes)
    assert "model.safetensors" in str(error.value)


def _header(text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + data


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "0 bytes and no safetensors header"),
    "truncated data": (lambda raw: raw[:-1], "damaged"),
    "truncated header": (lambda raw: raw[:40], "damaged"),
    "surplus": (lambda raw: raw + b"x", "damaged"),
    "changed shape": (lambda raw: raw.replace(b"[2,3]", b"[2,4]"), "damaged"),
    "changed header": (lambda raw: raw.replace(b'"dtype"', b'"dtipe"'), "damaged"),
    "endless header": (lambda _: struct.pack("<Q", 1 << 62) + b"{}", "no safetensors header"),
    "not UTF-8": (lambda _: _header(b"\xff" * 8), "damaged"),
    "pickle": (lambda _: pickle.dumps({"a": np.zeros(3)}), "a Python pickle"),
    "zip": (lambda _: b"PK\x03\x04" + bytes(100), "a Python pickle"),
    "foreign dtype": (
        lambda _: _header(b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}', b"12"),
        "tensor of dtype BF16, expected one of",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_tensors(run: RunFolder, damage: str) -> None:
    change, message = DAMAGES[damage]
    path = run.path / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        run.read_tensors("model.safetensors", {"a": (2, 3)})
    assert str(path) in str(error.value)


def test_a_pickle_is_not_executed(run: RunFolder, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "exploded"),)

    (run.path / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="never read here"):
        run.read_tensors("model.safetensors")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_an_input_error_or_harmless(run: RunFolder, seed: int) -> None:
    generator = np.random.default_rng(seed)
    path = run.path / "model.safetensors"
    raw = bytearray(path.read_bytes())
    for position in generator.integers(0, len(raw) - 24, 3):  # headers, not the numbers themselves
        raw[position] = generator.integers(256)
    path.write_bytes(bytes(raw))
    with contextlib.suppress(InputError):
        found = run.read_tensors("model.safetensors", {"a": (2, 3)}, {"a": "float32"})
        assert found["a"].shape == (2, 3)


def test_missing_tensors(run: RunFolder) -> None:
    with pytest.raises(InputError, match=r"last\.safetensors: missing"):
        run.read_tensors("checkpoint/last.safetensors")


def test_metadata_of_others(run: RunFolder) -> None:
    safetensors.numpy.save_file({"a": np.zeros(1)}, run.path / "model.safetensors")
    with pytest.raises(InputError, match="not JSON"):
        run.read_metadata("model.safetensors")


# --- metrics


def test_metrics(run: RunFolder) -> None:
    assert run.metrics() == []
    assert run.metrics_size() == 0
    run.append_metrics({"step": 1, "loss": 0.1, "표본": "ㅎ\n"})
    size = run.metrics_size()
    run.append_metrics({"step": 2, "loss": float("nan"), "perplexity": float("inf")})
    assert [
        json.loads(line) for line in (run.path / "metrics.jsonl").read_text("utf-8").splitlines()
    ] == run.metrics()
    assert run.metrics()[1] == {"step": 2, "loss": None, "perplexity": None}
    run.truncate_metrics(size)
    assert run.metrics() == [{"step": 1, "loss": 0.1, "표본": "ㅎ\n"}]
    run.truncate_metrics(size)
    with pytest.raises(InputError, match="damaged"):
        run.truncate_metrics(size + 1)


def test_a_last_line_cut_short_is_left_out(run: RunFolder) -> None:
    (run.path / "metrics.jsonl").write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert [record["step"] for record in run.metrics()] == [1, 2]


@pytest.mark.parametrize("line", [b"{", b"7", b"\xff"])
def test_a_damaged_line_is_named(run: RunFolder, line: bytes) -> None:
    (run.path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: damaged"):
        run.metrics()


# --- failing disks


@needs_full
def test_full_disk_keeps_the_old_file(run: RunFolder) -> None:
    before = _files(run)
    for name in ("config.json", "model.safetensors"):
        (run.path / f".{name}.tmp").symlink_to(FULL)
    with pytest.raises(
        InputError, match=r"config\.json: the disk is full; what was there before is unharmed"
    ):
        run.write_config({**CONFIG, "task": "other"})
    with pytest.raises(InputError, match=r"model\.safetensors: the disk is full"):
        run.write_tensors("model.safetensors", {"a": np.ones(100_000)}, {})
    assert _files(run) == before


def test_a_line_is_added_whole_or_not_at_all(run: RunFolder) -> None:
    """A limit on the size of files lets the first bytes of the line through, as a disk that fills up does."""
    run.append_metrics({"step": 1})
    size = run.metrics_size()
    program = f"""
import resource
from elman.runfolder import RunFolder
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 5}, resource.RLIM_INFINITY))
RunFolder({str(run.path)!r}).append_metrics({{"step": 2}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "metrics.jsonl: the disk is full" in done.stderr
    assert run.metrics_size() == size


def test_a_crash_while_writing_keeps_the_old_file(run: RunFolder) -> None:
    """The process is killed by the system in the middle of the temporary file."""
    before = _files(run)
    program = f"""
import resource, signal
import numpy as np
from elman.runfolder import RunFolder
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
RunFolder({str(run.path)!r}).write_tensors("model.safetensors", {{"a": np.ones(100_000)}}, {{}})
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGXFSZ
    left = _files(run)
    assert len(left.pop(".model.safetensors.tmp")) == 50_000
    assert left == before
    run.write_tensors("model.safetensors", {"a": np.ones(3)}, {})
    assert set(_files(run)) == set(before)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(run: RunFolder) -> None:
    run.path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write it: Permission denied"):
        run.write_config(CONFIG)


def test_needs_no_torch() -> None:
    program = "import elman.runfolder, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
