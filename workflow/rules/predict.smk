# Overlap-tile inference, operating thresholds from the validation images, instances.


rule predict:
    input:
        images="<results>/images/{bundle}.json",
        models=model_receipts,
        shares=shares_of_bundle,
        unlike=unlike("predict"),
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/foreground/{bundle}.json",
    log:
        "<logs>/predict/{experiment}/fold{fold}/{bundle}.log",
    benchmark:
        "<benchmarks>/predict/{experiment}/fold{fold}/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: threads_unhelped(8)
    resources:
        gpu=gpus_of_predict,
        mem_mb=memory_of_predict,
        runtime=growing(30, each=2, per_gpx=35),
    params:
        **made_by(
            "predict",
            stores=stores_of_predict,
            **predict_params(share_of_predict, "foreground/{receipt}.json"),
        ),
    script:
        "../../scripts/predict.py"


# With `predict: parts: N` a job begins the array, N jobs do their shards, the rule above ends it.


use rule predict as predict_begin with:
    input:
        images="<results>/images/{bundle}.json",
        models=model_receipts,
        unlike=unlike("predict_begin"),
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/parts/{bundle}.begun.json",
    log:
        "<logs>/predict_begin/{experiment}/fold{fold}/{bundle}.log",
    benchmark:
        "<benchmarks>/predict_begin/{experiment}/fold{fold}/{bundle}.tsv"
    resources:
        gpu=gpus_unhelped,
        mem_mb=memory_of_predict,
        runtime=growing(10, each=0.5),
    params:
        **made_by(
            "predict_begin",
            stores=stores_of_predict,
            **predict_params(BEGIN, "parts/{receipt}.begun.json"),
        ),


use rule predict as predict_part with:
    input:
        images="<results>/images/{bundle}.json",
        models=model_receipts,
        begun="<results>/predictions/{experiment}/fold{fold}/parts/{bundle}.begun.json",
        unlike=unlike("predict_part"),
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/parts/{bundle}.{part}of{parts}.json",
    log:
        "<logs>/predict_part/{experiment}/fold{fold}/{bundle}.{part}of{parts}.log",
    benchmark:
        "<benchmarks>/predict_part/{experiment}/fold{fold}/{bundle}.{part}of{parts}.tsv"
    resources:
        gpu=gpus_unhelped,
        mem_mb=memory_of_predict,
        runtime=growing(30, each=2 / PARTS, per_gpx=35 / PARTS),
    params:
        **made_by(
            "predict_part",
            **predict_params(
                lambda wildcards: (int(wildcards.part), int(wildcards.parts)),
                "parts/{receipt}.{part}of{parts}.json",
            ),
        ),


rule calibrate:
    input:
        images=judged("images/{bundle}.json"),  # how large pixels are, which no other receipt says
        truths=judged("truth/{bundle}.json"),
        foregrounds=judged(FOREGROUND_OF_BUNDLE),
        models=models,
        unlike=unlike("calibrate"),
    output:
        receipt="<results>/calibration/{experiment}/fold{fold}.json",
        tried="<results>/calibration/{experiment}/fold{fold}/tried.csv",
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
        **made_by(
            "calibrate",
            stores=deployed_model,
            images=judged("images/{image}.ome.zarr"),
            predictions=judged("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
            stored=reads_each(judged, TRUTHS, FOREGROUNDS),
            kind=dataset("truth"),
            classes=dataset("classes"),
            thresholds=SETTINGS.config["calibrate"]["thresholds"],
            wanted=wanted_object_step,
            deployed=under_results("calibration/{experiment}/fold{fold}/deploy.safetensors"),
            made_with=DEPLOYED,
            regions_px=SETTINGS.config["evaluate"]["regions_px"],
            harmless={"regions_px": judged_in_memory},
            labelling=LABELLING,
            foreground=FOREGROUND,
            code=code("calibrate"),
        ),
    script:
        "../../scripts/calibrate.py"


rule instances:
    input:
        images="<results>/images/{bundle}.json",  # as above
        foregrounds=f"<results>/{FOREGROUND_OF_BUNDLE}",
        calibration="<results>/calibration/{experiment}/fold{fold}.json",
        unlike=unlike("instances"),
    output:
        receipt="<results>/predictions/{experiment}/fold{fold}/instances/{bundle}.json",
    log:
        "<logs>/instances/{experiment}/fold{fold}/{bundle}.log",
    benchmark:
        "<benchmarks>/instances/{experiment}/fold{fold}/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: threads_unhelped(2, of="foregrounds")
    resources:
        mem_mb=growing(2000, per_gpx=500, of="foregrounds"),
        runtime=growing(20, each=1, per_gpx=10, of="foregrounds"),
    params:
        **made_by(
            "instances",
            stores=stores_of_instances,
            images=of_each(
                store="predictions/{experiment}/fold{fold}/{image}.ome.zarr",
                foreground_receipt=FOREGROUNDS[1],
                receipt="predictions/{experiment}/fold{fold}/instances/{receipt}.json",
                table="predictions/{experiment}/fold{fold}/objects/{image}.parquet",
            ),
            classes=dataset("classes"),
            threshold=THRESHOLD,
            labelling=LABELLING,
            foreground=FOREGROUND,
            code=code("instances"),
            without_effect={"engine": ENGINE},
        ),
    script:
        "../../scripts/instances.py"


rule segmented:
    input:
        foregrounds=image_paths(
            "predictions/{experiment}/fold{fold}/foreground/{bundle}.json", "predict"
        ),
        instances=segmented_receipts,
        calibrations=image_paths("calibration/{experiment}/fold{fold}.json", "predict"),
        unlike=unlike("segmented"),
    output:
        table=ensure("<results>/segmented.csv", non_empty=True),
    log:
        "<logs>/segmented.log",
    benchmark:
        "<benchmarks>/segmented.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        **made_by(
            "segmented",
            images=facts_of_segmented,
            threshold=THRESHOLD,
            code=code("segmented"),
        ),
    script:
        "../../scripts/segmented.py"
