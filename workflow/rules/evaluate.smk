# All scores of each test image, those of whole stacks of slices, then tables of all.


rule evaluate:
    input:
        images="<results>/images/{bundle}.json",
        truths="<results>/truth/{bundle}.json",
        foregrounds=f"<results>/{FOREGROUND_OF_BUNDLE}",
        instances="<results>/predictions/{experiment}/fold{fold}/instances/{bundle}.json",
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
        unlike=unlike("evaluate"),
    output:
        table=ensure("<results>/evaluation/{experiment}/fold{fold}/{bundle}.csv", non_empty=True),
    log:
        "<logs>/evaluate/{experiment}/fold{fold}/{bundle}.log",
    benchmark:
        "<benchmarks>/evaluate/{experiment}/fold{fold}/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(4000, per_gpx=500),
        runtime=growing(30, each=2, per_gpx=20),
    params:
        **made_by(
            "evaluate",
            images=of_each(
                image="images/{image}.ome.zarr",
                prediction="predictions/{experiment}/fold{fold}/{image}.ome.zarr",
                instances="predictions/{experiment}/fold{fold}/instances/{receipt}.json",
                table="evaluation/{experiment}/fold{fold}/{receipt}.csv",
                stored=reads(PIXELS, TRUTHS, FOREGROUNDS, INSTANCES),
                facts=image_facts,
            ),
            kind=dataset("truth"),
            classes=dataset("classes"),
            thresholds=SETTINGS.config["evaluate"]["thresholds"],
            regions_px=SETTINGS.config["evaluate"]["regions_px"],
            per_slice=SETTINGS.config["evaluate"]["per_slice"],
            harmless={"regions_px": truths_in_memory, "per_slice": are_slices},
            labelling=LABELLING,
            foreground=FOREGROUND,
            code=code("evaluate"),
            without_effect={"engine": ENGINE},
        ),
    script:
        "../../scripts/evaluate.py"


rule evaluate_stack:
    input:
        images=slices_of("images/{bundle}.json"),
        truths=slices_of("truth/{bundle}.json"),
        foregrounds=slices_of(FOREGROUND_OF_BUNDLE),
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
        unlike=unlike("evaluate_stack"),
    output:
        table=ensure(
            "<results>/evaluation/{experiment}/fold{fold}/stacks/{stack}.csv", non_empty=True
        ),
    log:
        "<logs>/evaluate_stack/{experiment}/fold{fold}/{stack}.log",
    benchmark:
        "<benchmarks>/evaluate_stack/{experiment}/fold{fold}/{stack}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        **made_by(
            "evaluate_stack",
            images=slices_of("images/{image}.ome.zarr"),
            predictions=slices_of("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
            stored=reads_each(slices_of, TRUTHS, FOREGROUNDS),
            facts=stack_facts,
            foreground=FOREGROUND,
            code=code("evaluate_stack"),
        ),
    script:
        "../../scripts/evaluate_stack.py"


rule collect:
    input:
        tables=image_paths("evaluation/{experiment}/fold{fold}/{bundle}.csv", "test"),
        stacks=stack_paths("evaluation/{experiment}/fold{fold}/stacks/{stack}.csv"),
        unlike=unlike("collect"),
    output:
        table=ensure("<results>/evaluation/metrics.csv", non_empty=True),
        stacks=ensure("<results>/evaluation/stacks.csv", non_empty=True),
        summary="<results>/evaluation/summary.csv",
    log:
        "<logs>/collect.log",
    benchmark:
        "<benchmarks>/collect.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        **made_by(
            "collect",
            tables=image_paths("evaluation/{experiment}/fold{fold}/{bundle}.csv", "test"),
            stacks=stack_paths("evaluation/{experiment}/fold{fold}/stacks/{stack}.csv"),
            code=code("collect"),
        ),
    script:
        "../../scripts/collect.py"
