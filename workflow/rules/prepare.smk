# Raw files become sharded OME-Zarr; pixels and truth are two rules, prediction needs only the first.

if "demo" in SETTINGS.config:

    rule draw_demo:
        output:
            images=demo_files("path", slide=False),
            truths=demo_files("truth", slide=False),
            slide=demo_files("path", slide=True),
            slide_truth=demo_files("truth", slide=True),
        params:
            seed=SETTINGS.config["demo"]["seed"],
            image_px=SETTINGS.config["demo"]["image_px"],
            slide_px=SETTINGS.config["demo"]["slide_px"],
            code=code("draw_demo"),
        log:
            "<logs>/draw_demo.log",
        benchmark:
            "<benchmarks>/draw_demo.tsv"
        resources:
            mem_mb=growing(2000),
            runtime=growing(20),
        conda:
            "../../envs/unetflow.yaml"
        script:
            "../../scripts/draw_demo.py"


rule prepare_image:
    input:
        source=lambda wildcards: ancient(SETTINGS.images[wildcards.image].path),
    output:
        receipt="<results>/images/{image}.json",
    params:
        fingerprint=fingerprint("path"),
        store=under_results("images/{image}.ome.zarr"),
        plane=sheet("plane"),
        level=sheet("level"),
        mpp=sheet("mpp"),
        want_mpp=dataset("mpp"),
        channels=sheet("channels"),
        code=code("prepare_image"),
    log:
        "<logs>/prepare_image/{image}.log",
    benchmark:
        "<benchmarks>/prepare_image/{image}.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    conda:
        "../../envs/unetflow.yaml"
    script:
        "../../scripts/prepare_image.py"


rule prepare_truth:
    input:
        source=lambda wildcards: ancient(SETTINGS.images[wildcards.image].truth),
        image="<results>/images/{image}.json",
    output:
        receipt="<results>/truth/{image}.json",
    params:
        fingerprint=fingerprint("truth"),
        store=under_results("images/{image}.ome.zarr"),
        plane=sheet("plane"),
        kind=dataset("truth"),
        ignore_value=dataset("ignore_value"),
        code=code("prepare_truth"),
    log:
        "<logs>/prepare_truth/{image}.log",
    benchmark:
        "<benchmarks>/prepare_truth/{image}.tsv"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    conda:
        "../../envs/unetflow.yaml"
    script:
        "../../scripts/prepare_truth.py"
