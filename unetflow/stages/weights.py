"""Rule weights: the separation term of the weight map of one image, into its store."""

import math
from pathlib import Path
from typing import TypedDict

import numpy as np

from unetflow.engine.each import for_each
from unetflow.labels.dataset import Kind
from unetflow.labels.encoding import separate_touching
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import TruthReceipt
from unetflow.provenance.shard_lists import Stored, unchanged, write_shard_list
from unetflow.store.layout import spatial_axes
from unetflow.store.names import IGNORE, TRUTH, of_labels
from unetflow.store.ome import steps_of
from unetflow.store.shards import Index, Layout, open_array, read_array
from unetflow.tiles.regions import with_halo
from unetflow.weights.separation import reach_px, separation_term


class Weighting(TypedDict):
    """How much weight separates objects that touch, and how far it reaches."""

    w0: float
    sigma_px: float


def write_weights(
    *,
    truth: str | Path,
    truth_receipt: str | Path,
    store: str | Path,
    receipt: str | Path,
    kind: Kind,
    weighting: Weighting,
    threads: int,
    code: str,
) -> None:
    """Rule weights: the separation term of one image, shard by shard, 0 on ignored pixels.

    Distances in a volume are in pixels of a plane. Truth of kind "classes" has no objects to
    separate: its term is 0 everywhere.
    """
    record = RunRecord(receipt)
    labels = read_array(truth, of_labels(TRUTH))
    steps = steps_of(truth, labels.ndim)
    ignore = read_array(truth, of_labels(IGNORE))
    term = open_array(
        Path(store).parent,
        Path(store).name,
        Layout(labels.shape, "float32", spatial_axes(labels.ndim)),
        decided_by={
            "truth": read_receipt(truth_receipt, TruthReceipt)["digest"],
            "parameters": {"kind": kind, **weighting} | ({"steps": steps} if steps else {}),
            "code": code,
        },
    )
    w0, sigma_px = 0.0 if kind == "classes" else weighting["w0"], weighting["sigma_px"]
    reach = reach_px(w0, sigma_px)
    # one more for separating what touches
    halo_px = [math.ceil(reach / step) + 1 for step in steps or [1.0 for _ in labels.shape]]

    def make(index: Index) -> None:
        region = term.region(index)
        wide, inner = with_halo(region, halo_px, labels.shape)
        separated = separate_touching(np.asarray(labels[wide]))
        block = separation_term(separated, w0=w0, sigma_px=sigma_px, spacing=steps, inner=inner)
        term.write(index, np.where(np.asarray(ignore[region]) != 0, np.float32(0), block))

    with unchanged(Stored(truth, truth_receipt, [of_labels(TRUTH), of_labels(IGNORE)])):
        for_each(make, term.missing(), threads=threads, what="weights")
    content = {"shape": labels.shape, "digest": term.content_digest()}
    write_receipt(receipt, {**content, "shards": write_shard_list(receipt, store, [""])})
    record.write()
