# The foreground smoothed, where the config asks for it: thresholds and instances are made of that.

if FOREGROUND == "refined":

    rule refine:
        input:
            images="<results>/images/{bundle}.json",
            foregrounds="<results>/predictions/{experiment}/fold{fold}/foreground/{bundle}.json",
            unlike=unlike("refine"),
        output:
            receipt="<results>/predictions/{experiment}/fold{fold}/refined/{bundle}.json",
        log:
            "<logs>/refine/{experiment}/fold{fold}/{bundle}.log",
        benchmark:
            "<benchmarks>/refine/{experiment}/fold{fold}/{bundle}.tsv"
        conda:
            "../../envs/unetflow.yaml"
        threads: for_shards(8, of="foregrounds")
        resources:
            mem_mb=memory_of_refine,
            runtime=runtime_of_refine,
        params:
            **made_by(
                "refine",
                stores=stores_of("predictions/{experiment}/fold{fold}/{image}.ome.zarr/refined"),
                images=of_each(
                    image="images/{image}.ome.zarr",
                    image_receipt="images/{receipt}.json",
                    store="predictions/{experiment}/fold{fold}/{image}.ome.zarr",
                    foreground_receipt="predictions/{experiment}/fold{fold}/foreground/{receipt}.json",
                    receipt="predictions/{experiment}/fold{fold}/refined/{receipt}.json",
                ),
                refine=REFINE,
                code=code("refine"),
            ),
        script:
            "../../scripts/refine.py"
