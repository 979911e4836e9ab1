# What the report shows of each image: drawn by a job of the image, so that many stay cheap.


rule pictures:
    input:
        images="<results>/images/{bundle}.json",
        truths=truths_in_pictures,
        foregrounds="<results>/predictions/{experiment}/fold{fold}/foreground/{bundle}.json",
        instances="<results>/predictions/{experiment}/fold{fold}/instances/{bundle}.json",
        unlike=unlike("pictures"),
    output:
        receipt="<results>/pictures/{experiment}/fold{fold}/{bundle}.json",
    log:
        "<logs>/pictures/{experiment}/fold{fold}/{bundle}.log",
    benchmark:
        "<benchmarks>/pictures/{experiment}/fold{fold}/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(2000, per_gpx=500),
        runtime=growing(20, each=1, per_gpx=20),
    params:
        **made_by(
            "pictures",
            images=of_each(
                image="images/{image}.ome.zarr",
                prediction="predictions/{experiment}/fold{fold}/{image}.ome.zarr",
                foreground="predictions/{experiment}/fold{fold}/foreground/{receipt}.json",
                instances="predictions/{experiment}/fold{fold}/instances/{receipt}.json",
                receipt="pictures/{experiment}/fold{fold}/{receipt}.json",
                annotated=is_annotated,
                stored=reads_of_pictures,
            ),
            kind=dataset("truth"),
            classes=dataset("classes"),
            code=code("pictures"),
        ),
    script:
        "../../scripts/pictures.py"


# What a viewer shows of slides, beside the page. Of small images there is none.


rule tiles:
    input:
        images="<results>/images/{bundle}.json",
        truths=truths_in_pictures,
        foregrounds=f"<results>/{FOREGROUND_OF_BUNDLE}",
        instances="<results>/predictions/{experiment}/fold{fold}/instances/{bundle}.json",
        unlike=unlike("tiles"),
    output:
        receipt="<results>/tiles/{experiment}/fold{fold}/{bundle}.json",
    log:
        "<logs>/tiles/{experiment}/fold{fold}/{bundle}.log",
    benchmark:
        "<benchmarks>/tiles/{experiment}/fold{fold}/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: for_shards(4, of="foregrounds")
    resources:
        mem_mb=growing(2000),
        runtime=growing(10, per_gpx=10),
    params:
        **made_by(
            "tiles",
            images=of_each(
                image="images/{image}.ome.zarr",
                prediction="predictions/{experiment}/fold{fold}/{image}.ome.zarr",
                folder="report/tiles/{experiment}/fold{fold}/{image}",
                receipt="tiles/{experiment}/fold{fold}/{receipt}.json",
                annotated=is_annotated,
                stored=reads_of_tiles,
            ),
            foreground=FOREGROUND,
            code=code("tiles"),
        ),
    script:
        "../../scripts/tiles.py"
