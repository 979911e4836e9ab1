# What training needs of the truth: the separation term per image, class frequencies per fold.


rule weights:
    input:
        images="<results>/images/{bundle}.json",  # how large voxels are, which truths do not say
        truths="<results>/truth/{bundle}.json",
        unlike=unlike("weights"),
    output:
        receipt="<results>/weights/{weighting}/{bundle}.json",
    log:
        "<logs>/weights/{weighting}/{bundle}.log",
    benchmark:
        "<benchmarks>/weights/{weighting}/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=reading(2000, no_peaks, pixels=raw_pixels),
        runtime=growing(10, each=1, per_gpx=10, of="truths"),
    params:
        **made_by(
            "weights",
            stores=stores_of("weights/{weighting}/{image}.zarr"),
            images=of_each(
                truth="images/{image}.ome.zarr",
                truth_receipt="truth/{receipt}.json",
                store="weights/{weighting}/{image}.zarr",
                receipt="weights/{weighting}/{receipt}.json",
            ),
            kind=dataset("truth"),
            weighting=weighting,
            code=code("weights"),
        ),
    script:
        "../../scripts/weights.py"


rule statistics:
    input:
        images=images_of("images/{bundle}.json", "train"),
        truths=images_of("truth/{bundle}.json", "train"),
        unlike=unlike("statistics"),
    output:
        receipt="<results>/statistics/{experiment}/fold{fold}.json",
    log:
        "<logs>/statistics/{experiment}/fold{fold}.log",
    benchmark:
        "<benchmarks>/statistics/{experiment}/fold{fold}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        **made_by(
            "statistics",
            images=images_of("images/{image}.ome.zarr", "train"),
            stored=reads_each(images_of_roles("train"), PIXELS, TRUTHS),
            kind=dataset("truth"),
            classes=dataset("classes"),
            percentiles=dataset("percentiles"),
            scale=scale,
            on_failed=SETTINGS.config["prepare"]["on_failed_training_image"],
            harmless={"on_failed": none_failed("train")},
            code=code("statistics"),
        ),
    script:
        "../../scripts/statistics.py"
