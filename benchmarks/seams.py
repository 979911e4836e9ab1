"""Do tiles show, and what do other tilings do: python benchmarks/seams.py RESULTS IMAGE.

Runs a trained network over an image of a results folder by four tilings and audits the borders of
each: the exact one; steps of the network's own output, whose poolings meet the image at other
pixels from tile to tile; tiles that know nothing of each other.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from unetflow.networks.model_file import load_model
from unetflow.networks.network import Network
from unetflow.predict.forward import as_batch, ready, tile_logits
from unetflow.predict.whole_image import predict_array
from unetflow.report.seam_audit import audit_seams
from unetflow.store.pixels import normalised
from unetflow.store.shards import read_array
from unetflow.tiles.grid import tile_grid
from unetflow.tiles.mirror import read_mirrored


def tiled(network: Network, image_CYX: np.ndarray, step_px: int, *, lonely: bool) -> np.ndarray:
    """Foreground (K, Y, X) by steps of a whole output; `lonely` tiles mirror their own borders."""
    halo_px = network.geometry.before_px[0]
    read_px = step_px + 2 * halo_px
    foreground = None
    for tile in tile_grid(image_CYX.shape[1:], step_px, halo_px, read_px):
        height, width = (part.stop - part.start for part in tile.write)
        seen, region = image_CYX, tile.read
        if lonely:
            seen = image_CYX[(slice(None), *tile.write)]
            region = (slice(-halo_px, read_px - halo_px),) * 2
        probabilities = tile_logits(network, as_batch(read_mirrored(seen, region))).softmax(1)[0]
        if foreground is None:
            foreground = np.empty((len(probabilities) - 1, *image_CYX.shape[1:]), np.float32)
        foreground[(slice(None), *tile.write)] = probabilities[1:, :height, :width].numpy()
    assert foreground is not None
    return foreground


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path)
    parser.add_argument("image")
    parser.add_argument("--model", default="unet/fold0", metavar="EXPERIMENT/FOLD")
    parser.add_argument("--most-px", type=int, default=4096)
    parser.add_argument("--write-px", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network, description = load_model(options.results / f"models/{options.model}/model.safetensors")
    inferring = ready(network, device="cpu", precision="fp32")
    pixels = read_array(options.results / f"images/{options.image}.ome.zarr", "0")
    part = slice(options.most_px)
    image = normalised(np.asarray(pixels[:, part, part]), description["intensity"])
    period_px = network.geometry.step_px[0]
    # A valid network of this depth returns outputs of 4 px more than a multiple of its period.
    output_px = options.write_px * 3 // 4 + 4  # 388 of 512
    exact = predict_array(network, image, write_px=options.write_px)[1:]
    own = tiled(inferring, image, output_px, lonely=False)
    rows = [
        ("exact", exact, options.write_px),
        ("exact, audited at the steps below", exact, output_px),
        ("steps of the network's output", own, output_px),
        ("tiles on their own", tiled(inferring, image, output_px, lonely=True), output_px),
    ]
    print("| tiling | step [px] | ratio at borders | elsewhere | labels unlike the exact |")
    print("| --- | --- | --- | --- | --- |")
    for name, foreground, step_px in rows:
        seams = audit_seams(foreground, step_px, period_px, most_blocks=10**6)
        if seams is None:
            raise SystemExit(f"{options.image}: one tile, no borders. Give a larger image.")
        other = float(((foreground > 0.5) != (exact > 0.5)).mean())
        low, high = seams.chance
        print(f"| {name} | {step_px} | {seams.ratio:.3f} | {low:.3f} to {high:.3f} | {other:.3%} |")


if __name__ == "__main__":
    main()
