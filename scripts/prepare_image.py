"""The pixels of one image as OME-Zarr."""

from unetflow.jobs.logs import job_log
from unetflow.prepare import prepare_image

with job_log(snakemake.log[0]):
    prepare_image(
        path=snakemake.input.source + snakemake.params.inside,
        fingerprint=snakemake.params.fingerprint,
        store=snakemake.params.store,
        receipt=snakemake.output.receipt,
        plane=snakemake.params.plane,
        time=snakemake.params.time,
        axes=snakemake.params.axes,
        level=snakemake.params.level,
        mpp=snakemake.params.mpp,
        want_mpp=snakemake.params.want_mpp,
        channels=snakemake.params.channels,
        tissue=snakemake.params.tissue,
        max_unreadable=snakemake.params.max_unreadable,
        threads=snakemake.threads,
        code=snakemake.params.code,
    )
