# Overlap-tile inference, operating thresholds from the validation images, instances.


rule predict:
    input:
        image="<results>/images/{image}.json",
        models=models,
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/foreground/{image}.json",
    log:
        "<logs>/predict/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/predict/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        image=under_results("images/{image}.ome.zarr"),
        store=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        predict=SETTINGS.config["predict"],
        require_gpu=SETTINGS.config["require_gpu"],
        code=network_code("predict"),
    script:
        "../../scripts/predict.py"


rule calibrate:
    input:
        truths=judged("truth/{image}.json"),
        foregrounds=judged("predictions/{experiment}/fold{fold}/foreground/{image}.json"),
    output:
        receipt="<results>/calibration/{experiment}/fold{fold}.json",
    log:
        "<logs>/calibrate/{experiment}/fold{fold}.log",
    benchmark:
        "<benchmarks>/calibrate/{experiment}/fold{fold}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        images=judged("images/{image}.ome.zarr"),
        predictions=judged("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        kind=dataset("truth"),
        classes=dataset("classes"),
        thresholds=SETTINGS.config["calibrate"]["thresholds"],
        regions_px=SETTINGS.config["evaluate"]["regions_px"],
        labelling=LABELLING,
        code=code("calibrate"),
    script:
        "../../scripts/calibrate.py"


rule instances:
    input:
        foreground="<results>/predictions/{experiment}/fold{fold}/foreground/{image}.json",
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/instances/{image}.json",
        table="<results>/predictions/{experiment}/fold{fold}/objects/{image}.parquet",
        text="<results>/predictions/{experiment}/fold{fold}/objects/{image}.csv",
    log:
        "<logs>/instances/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/instances/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        store=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        classes=dataset("classes"),
        threshold=SETTINGS.config["instances"]["threshold"],
        labelling=LABELLING,
        code=code("instances"),
    script:
        "../../scripts/instances.py"
