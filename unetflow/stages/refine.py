"""Rule refine: a stored foreground, smoothed, beside it."""

from pathlib import Path

from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import ForegroundReceipt, ImageReceipt, RefinedReceipt
from unetflow.provenance.shard_lists import Stored, unchanged, write_shard_list
from unetflow.refine.refined_store import Compared, refine_store
from unetflow.refine.refinement import Refinement
from unetflow.store.foreground_levels import write_foreground_levels
from unetflow.store.names import FOREGROUND, TISSUE
from unetflow.store.ome import pixel_size
from unetflow.store.shards import read_array
from unetflow.store.tissue_mask import read_tissue


def refine_image(
    *,
    image: str | Path,
    image_receipt: str | Path,
    store: str | Path,
    foreground_receipt: str | Path,
    receipt: str | Path,
    how: Refinement,
    threads: int,
    code: str,
) -> None:
    """Rule refine: array `refined` beside the foreground of one image, shard by shard.

    A run that was killed goes on with the shards that are missing. Only a CRF reads the image,
    whose channels are brought to mean 0 and deviation 1 over all its pixels.
    """
    record = RunRecord(receipt)
    prepared = read_receipt(image_receipt, ImageReceipt)
    predicted = read_receipt(foreground_receipt, ForegroundReceipt)
    pixels, tissue = prepared["pixels"], prepared["tissue"]
    compared = (
        Compared(read_array(image, "0"), pixels["mean"], pixels["deviation"]) if how.crf else None
    )
    of_image = [*(["0"] if compared else []), *([TISSUE] if tissue else [])]
    with unchanged(
        Stored(image, image_receipt, of_image), Stored(store, foreground_receipt, [FOREGROUND])
    ):
        refined = refine_store(
            store,
            how,
            image=compared,
            tissue=read_tissue(image, tissue),
            threads=threads,
            decided_by={
                "foreground": predicted["digest"],
                "image": prepared["levels"][0]["digest"] if compared else None,
                "tissue": tissue and tissue["digest"],
                "code": code,
            },
        )
    digest = refined.content_digest()
    levels = write_foreground_levels(store, refined, digest, threads, size=pixel_size(store))
    content: RefinedReceipt = {
        "shape": list(refined.array.shape),
        "dtype": str(refined.array.dtype),
        "digest": digest,
        "shards": write_shard_list(receipt, store, levels),
    }
    write_receipt(receipt, content)
    record.write(threads=threads)
