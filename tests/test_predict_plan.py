"""What a machine chose for an image, and when another goes on with it."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import predict

from unetflow.networks import geometry_of
from unetflow.predict.plan import Plan, can_have
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import record_of
from unetflow.tiles.tiling import Tiling


@pytest.mark.slow
@pytest.mark.parametrize("finished", [True, False])
def test_another_precision_begins_the_array_anew(
    job: dict[str, Any], caplog: pytest.LogCaptureFixture, finished: bool
) -> None:
    caplog.set_level(logging.INFO)
    predict(**job)
    if not finished:
        (job["store"] / "foreground" / "c" / "0" / "0" / "0").unlink()
    predict(**job | {"precision": "bf16"})
    assert "starting anew, because of another parameters" in caplog.text
    assert read_receipt(job["receipt"])["precision"] == "bf16"


def test_another_processor_is_said(
    job: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(**job)
    (job["store"] / "foreground" / "c" / "0" / "1" / "1").unlink()
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "another")
    predict(**job)
    assert re.search(r"was begun with processor \w+ and goes on with another", caplog.text)
    record = read_receipt(record_of(Path(job["receipt"])))
    assert record["ended_on"]["processor"] == "another" != record["processor"]


def test_what_another_machine_began_is_continued_where_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unetflow.predict.plan.cores", lambda: 2)
    now = Plan("cpu", "fp32", 512, 1, "AVX2", "2.9", threads=1)

    def fits(plan: Plan) -> bool:
        return plan.write_px in (256, 1024)

    assert can_have(replace(now, threads=2, write_px=256), now, fits)
    assert can_have(replace(now, write_px=1024), now, fits)
    assert can_have(replace(now, processor="AVX512", pytorch="2.10"), now, fits)
    for other in (
        replace(now, device="cuda"),
        replace(now, precision="bf16"),
        replace(now, threads=3),
        replace(now, write_px=2048),
    ):
        assert not can_have(other, now, fits)


@pytest.mark.parametrize("blended_px", [None, 64])
def test_a_plan_is_stored_as_arrays_have_always_had_it(blended_px: int | None) -> None:
    plan = Plan("cpu", "bf16", 256, 8, "AVX512", "2.13.0", threads=2, blended_px=blended_px)
    begin = ["device", "precision", "memory_format", "write_px", "average", "processor", "PyTorch"]
    assert list(plan.stored) == [*begin, *(["blended_px"] if blended_px else []), "threads"]
    assert plan.stored["average"] == 8
    assert Plan.read(json.loads(json.dumps(plan.stored))) == plan
    assert len(plan.inference.orientations) == 8


@pytest.mark.parametrize("shape", [(100, 60, 64), (3, 60, 50), (300, 20, 20), (7, 300, 300)])
def test_tiles_of_a_small_volume_are_those_that_were_planned(shape: tuple[int, ...]) -> None:
    geometry = geometry_of("unet3d", flat=2)
    assert geometry.step_px == (2, 8, 8)
    planned = Tiling.square(geometry, 128).for_image(shape)
    plan = Plan("cpu", "fp32", planned.side_px, 1, "AVX2", "2.9", threads=1)
    assert plan.tiling(geometry, shape) == planned
