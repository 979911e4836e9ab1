# Results for other programs, of the images that the config's `export` names.


rule export_geojson:
    input:
        images=of_image("images/{bundle}.json"),
        instances=of_image("predictions/{experiment}/fold{fold}/instances/{bundle}.json"),
        unlike=unlike("export_geojson"),
    output:
        file="<results>/exports/{experiment}/fold{fold}/{image}.geojson.gz",
    log:
        "<logs>/export_geojson/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/export_geojson/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(2000, per_gpx=1000),
        runtime=growing(30, per_gpx=60),
    params:
        **made_by(
            "export_geojson",
            store=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
            table=under_results("predictions/{experiment}/fold{fold}/objects/{image}.parquet"),
            image_receipt=of_image("images/{receipt}.json"),
            classes=dataset("classes"),
            first_px=place_in_file,
            stored=reads(INSTANCES),
            code=code("export_geojson"),
        ),
    script:
        "../../scripts/export_geojson.py"


rule export_labels:
    input:
        images=of_image("images/{bundle}.json"),
        instances=of_image("predictions/{experiment}/fold{fold}/instances/{bundle}.json"),
        unlike=unlike("export_labels"),
    output:
        file="<results>/exports/{experiment}/fold{fold}/{image}.labels.tif",
    log:
        "<logs>/export_labels/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/export_labels/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10, per_gpx=10),
    params:
        **made_by(
            "export_labels",
            store=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
            stored=reads(INSTANCES),
            code=code("export_labels"),
        ),
    script:
        "../../scripts/export_labels.py"


rule export_overlay:
    input:
        images=of_image("images/{bundle}.json"),
        instances=of_image("predictions/{experiment}/fold{fold}/instances/{bundle}.json"),
        unlike=unlike("export_overlay"),
    output:
        file="<results>/exports/{experiment}/fold{fold}/{image}.overlay.ome.tif",
    log:
        "<logs>/export_overlay/{experiment}/fold{fold}/{image}.log",
    benchmark:
        "<benchmarks>/export_overlay/{experiment}/fold{fold}/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10, per_gpx=30),
    params:
        **made_by(
            "export_overlay",
            image=under_results("images/{image}.ome.zarr"),
            image_receipt=of_image("images/{receipt}.json"),
            store=under_results("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
            instances=of_image("predictions/{experiment}/fold{fold}/instances/{receipt}.json"),
            stored=reads(PIXELS, INSTANCES),
            code=code("export_overlay"),
        ),
    script:
        "../../scripts/export_overlay.py"


rule export_stack:
    input:
        foregrounds=exported_slices(FOREGROUND_OF_BUNDLE),
        unlike=unlike("export_stack"),
    output:
        file="<results>/exports/{experiment}/fold{fold}/{stack}.stack.tif",
    log:
        "<logs>/export_stack/{experiment}/fold{fold}/{stack}.log",
    benchmark:
        "<benchmarks>/export_stack/{experiment}/fold{fold}/{stack}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        **made_by(
            "export_stack",
            predictions=exported_slices("predictions/{experiment}/fold{fold}/{image}.ome.zarr"),
            stored=reads_each(exported_slices, FOREGROUNDS),
            foreground=FOREGROUND,
            code=code("export_stack"),
        ),
    script:
        "../../scripts/export_stack.py"
