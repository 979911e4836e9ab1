# Raw files become sharded OME-Zarr; pixels and truth are two rules, prediction needs only the first.

if "demo" in SETTINGS.config:

    rule draw_demo:
        input:
            unlike=unlike("draw_demo"),
        output:
            images=list(demo_files(slide=False)),
            truths=list(demo_files(slide=False).values()),
            slide=list(demo_files(slide=True)),
            slide_truth=list(demo_files(slide=True).values()),
        log:
            "<logs>/draw_demo.log",
        benchmark:
            "<benchmarks>/draw_demo.tsv"
        conda:
            "../../envs/unetflow.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(20),
        params:
            **made_by(
                "draw_demo",
                seed=SETTINGS.config["demo"]["seed"],
                image_px=SETTINGS.config["demo"]["image_px"],
                slide_px=SETTINGS.config["demo"]["slide_px"],
                code=code("draw_demo"),
            ),
        script:
            "../../scripts/draw_demo.py"


rule prepare_image:
    input:
        sources=files_of(raw_file("path")),
        masks=files_of(tissue_mask),
        unlike=unlike("prepare_image"),
    output:
        receipt="<results>/images/{bundle}.json",
    log:
        "<logs>/prepare_image/{bundle}.log",
    benchmark:
        "<benchmarks>/prepare_image/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=reading(2000, peaks_of_images, pixels=raw_pixels),
        runtime=growing(60, each=1),
    params:
        **made_by(
            "prepare_image",
            images=of_each(
                raw=raw("path"),
                wanted=wanted,
                keep=is_kept,
                store="images/{image}.ome.zarr",
                receipt="images/{receipt}.json",
            ),
            sources=raw_sources("images/{receipt}.json", "path", "tissue"),
            stores=stores_of_images,
            max_unreadable=SETTINGS.config["prepare"]["max_unreadable"],
            harmless={"max_unreadable": all_readable},
            code=code("prepare_image"),
            without_effect={"scratch": SETTINGS.config["prepare"]["scratch"]},
        ),
    script:
        "../../scripts/prepare_image.py"


rule integrity:
    input:
        images=every_image("images/{bundle}.json"),
        truths=every_image("truth/{bundle}.json", annotated=True),
        unlike=unlike("integrity"),
    output:
        table=ensure("<results>/integrity.csv", non_empty=True),
    log:
        "<logs>/integrity.log",
    benchmark:
        "<benchmarks>/integrity.tsv"
    priority: 100
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        **made_by(
            "integrity",
            images=every_image("images/{receipt}.json"),
            truths=every_image("truth/{receipt}.json", annotated=True),
            annotated=[image.name for image in SETTINGS.images.values() if image.truth],
            facts=integrity_facts(),
            code=code("integrity"),
        ),
    script:
        "../../scripts/integrity.py"


rule prepare_truth:
    input:
        sources=files_of(raw_file("truth")),
        images="<results>/images/{bundle}.json",
        unlike=unlike("prepare_truth"),
    output:
        receipt="<results>/truth/{bundle}.json",
    log:
        "<logs>/prepare_truth/{bundle}.log",
    benchmark:
        "<benchmarks>/prepare_truth/{bundle}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=reading(4000, peaks_of_truths, pixels=raw_pixels),
        runtime=growing(60, each=1),
    params:
        **made_by(
            "prepare_truth",
            sources=raw_sources("truth/{receipt}.json", "truth"),
            stores=stores_of("images/{image}.ome.zarr/labels/truth"),
            images=of_each(
                raw=raw("truth"),
                store="images/{image}.ome.zarr",
                image_receipt="images/{receipt}.json",
                receipt="truth/{receipt}.json",
            ),
            kind=dataset("truth"),
            classes=dataset("classes"),
            ignore_value=dataset("ignore_value"),
            annotated=annotated,
            code=code("prepare_truth"),
        ),
    script:
        "../../scripts/prepare_truth.py"
