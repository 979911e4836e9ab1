# What became of each image, and the end of the run, which fails where an image did.


rule outcome:
    input:
        integrity="<results>/integrity.csv",
        segmented="<results>/segmented.csv",
        scores="<results>/evaluation/metrics.csv",
        calibrations=run_paths("calibration/{experiment}/fold{fold}.json"),
        unlike=unlike("outcome"),
    output:
        table=ensure("<results>/outcome.tsv", non_empty=True),
        jobs="<results>/outcome.jobs.tsv",
    log:
        "<logs>/outcome.log",
    benchmark:
        "<benchmarks>/outcome.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        **made_by(
            "outcome",
            images=makers_of_images,
            on_failed=SETTINGS.config["prepare"]["on_failed_training_image"],
            code=code("outcome"),
        ),
    script:
        "../../scripts/outcome.py"


# Where images failed it does at the end of each run, here and without another attempt.


rule verdict:
    input:
        outcome="<results>/outcome.tsv",
        report="<results>/report/index.html",
        receipts=segmented_receipts,
        exports=exports,
        unlike=unlike("verdict"),
    output:
        verdict=ensure("<results>/verdict.txt", non_empty=True),
    log:
        "<logs>/verdict.log",
    benchmark:
        "<benchmarks>/verdict.tsv"
    conda:
        "../../envs/unetflow.yaml"
    localrule: True
    retries: 0
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        **made_by("verdict", code=code("verdict")),
    script:
        "../../scripts/verdict.py"
