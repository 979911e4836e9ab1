# Overlap-tile inference, operating thresholds from the validation images, instances.


rule predict:
    input:
        image="<results>/images/{image}.json",
        models=models,
        shares=shares_of_image,
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/foreground/{image}.json",
    log:
        "<logs>/predict/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/predict/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: for_shards(8)
    resources:
        gpu=gpus_of_job(1) if PARTS == 1 else 0,
        mem_mb=growing(6000),
        runtime=growing(30, per_gpx=35),
    params:
        **predict_params(None if PARTS == 1 else END),
    script:
        "../../scripts/predict.py"


# With `predict: parts: N` a job begins the array, N jobs do their shards, the rule above ends it.


use rule predict as predict_begin with:
    input:
        image="<results>/images/{image}.json",
        models=models,
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/parts/{image}.begun.json",
    log:
        "<logs>/predict_begin/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/predict_begin/{experiment}/fold{fold}/{image}.tsv"
    resources:
        gpu=gpus_of_job(1),
        mem_mb=growing(6000),
        runtime=growing(10),
    params:
        **predict_params(BEGIN),


use rule predict as predict_part with:
    input:
        image="<results>/images/{image}.json",
        models=models,
        begun="<results>/predictions/{experiment}/fold{fold}/parts/{image}.begun.json",
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/parts/{image}.{part}of{parts}.json",
    log:
        "<logs>/predict_part/{experiment}/fold{fold}/{image}.{part}of{parts}.log",
    benchmark:
        "<benchmarks>/predict_part/{experiment}/fold{fold}/{image}.{part}of{parts}.tsv"
    resources:
        gpu=gpus_of_job(1),
        mem_mb=growing(6000),
        runtime=growing(30, per_gpx=35 / PARTS),
    params:
        **predict_params(lambda wildcards: (int(wildcards.part), int(wildcards.parts))),


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
    threads: for_shards(2, of="foreground")
    resources:
        mem_mb=growing(2000, per_gpx=500, of="foreground"),
        runtime=growing(20, per_gpx=10, of="foreground"),
    params:
        store=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
        classes=dataset("classes"),
        threshold=SETTINGS.config["instances"]["threshold"],
        labelling=LABELLING,
        code=code("instances"),
    script:
        "../../scripts/instances.py"
