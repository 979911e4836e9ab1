"""Draw the demo's images, its slide and the truth of each."""

from unetflow.demo.files import write_demo
from unetflow.jobs.logs import job_log
from unetflow.jobs.makings import recorded

with job_log(snakemake.log[0]), recorded(snakemake.params.making, snakemake.input):
    write_demo(
        image_paths=snakemake.output.images,
        truth_paths=snakemake.output.truths,
        slide_path=snakemake.output.slide[0],
        slide_truth_path=snakemake.output.slide_truth[0],
        seed=snakemake.params.seed,
        image_px=snakemake.params.image_px,
        slide_px=snakemake.params.slide_px,
    )
