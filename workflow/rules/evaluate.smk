# All scores of each test image, those of whole stacks of slices, then tables of all.


rule evaluate:
    input:
        image="<results>/images/{image}.json",
        truth="<results>/truth/{image}.json",
        foreground="<results>/predictions/{experiment}/fold{fold}/foreground/{image}.json",
        instances="<results>/predictions/{experiment}/fold{fold}/instances/{image}.json",
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
    output:
        table=ensure("<results>/evaluation/{experiment}/fold{fold}/{image}.csv", non_empty=True),
    log:
        "<logs>/evaluate/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/evaluate/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(4000, per_gpx=500),
        runtime=growing(30, per_gpx=20),
    params:
        image=under_results("images/{image}.ome.zarr"),
        prediction=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        kind=dataset("truth"),
        classes=dataset("classes"),
        thresholds=SETTINGS.config["evaluate"]["thresholds"],
        regions_px=SETTINGS.config["evaluate"]["regions_px"],
        labelling=LABELLING,
        facts=image_facts,
        code=code("evaluate"),
    script:
        "../../scripts/evaluate.py"


rule evaluate_stack:
    input:
        images=slices_of("images/{image}.json"),
        truths=slices_of("truth/{image}.json"),
        foregrounds=slices_of("predictions/{experiment}/fold{fold}/foreground/{image}.json"),
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
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
        images=slices_of("images/{image}.ome.zarr"),
        predictions=slices_of("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        facts=stack_facts,
        code=code("evaluate_stack"),
    script:
        "../../scripts/evaluate_stack.py"


rule collect:
    input:
        tables=image_paths("evaluation/{experiment}/fold{fold}/{image}.csv", "test"),
        stacks=stack_paths("evaluation/{experiment}/fold{fold}/stacks/{stack}.csv"),
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
        code=code("collect"),
    script:
        "../../scripts/collect.py"
