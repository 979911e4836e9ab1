# All scores of each test image, then one table.


rule evaluate:
    input:
        image="<results>/images/{image}.json",
        truth="<results>/truth/{image}.json",
        foreground="<results>/predictions/{experiment}/fold{fold}/foreground/{image}.json",
        instances="<results>/predictions/{experiment}/fold{fold}/instances/{image}.json",
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
    output:
        table=ensure("<results>/evaluation/{experiment}/fold{fold}/{image}.csv", non_empty=True),
    params:
        image=under_results("images/{image}.ome.zarr"),
        prediction=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        kind=dataset("truth"),
        thresholds=SETTINGS.config["evaluate"]["thresholds"],
        labelling=LABELLING,
        facts=image_facts,
        code=code("evaluate"),
    log:
        "<logs>/evaluate/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/evaluate/{experiment}/fold{fold}/{image}.tsv"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    conda:
        "../../envs/unetflow.yaml"
    script:
        "../../scripts/evaluate.py"


rule collect:
    input:
        tables=image_paths("evaluation/{experiment}/fold{fold}/{image}.csv", "test"),
    output:
        table=ensure("<results>/evaluation/metrics.csv", non_empty=True),
    params:
        code=code("collect"),
    log:
        "<logs>/collect.log",
    benchmark:
        "<benchmarks>/collect.tsv"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../../envs/unetflow.yaml"
    script:
        "../../scripts/collect.py"
