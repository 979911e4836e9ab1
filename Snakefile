# unetflow: whole-slide segmentation with U-Net, from raw images to a report.
# Every case is one complete config file; config/config.yaml, the embedded demo, is the default.
from snakemake.utils import min_version

min_version("9.14")


include: "workflow/rules/place.smk"


if not workflow.configfiles:

    configfile: f"{workflow.current_basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/experiments.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/aggregates.smk"
include: "workflow/rules/report_files.smk"


pathvars:
    results=RESULTS,
    logs=f"{RESULTS}/logs",
    benchmarks=f"{RESULTS}/benchmarks",


include: "workflow/rules/prepare.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/refine.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/outcome.smk"


rule all:
    default_target: True
    input:
        "<results>/report/index.html",
        "<results>/segmented.csv",
        segmented_receipts,
        exports,
        "<results>/outcome.tsv",
        "<results>/verdict.txt",
