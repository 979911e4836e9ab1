# Raw files become sharded OME-Zarr; pixels and truth are two rules, prediction needs only the first.

if "demo" in SETTINGS.config:

    rule draw_demo:
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
            seed=SETTINGS.config["demo"]["seed"],
            image_px=SETTINGS.config["demo"]["image_px"],
            slide_px=SETTINGS.config["demo"]["slide_px"],
            code=code("draw_demo"),
        script:
            "../../scripts/draw_demo.py"


rule prepare_image:
    input:
        source=raw_file("path"),
        mask=tissue_mask,
    output:
        receipt="<results>/images/{image}.json",
    log:
        "<logs>/prepare_image/{image}.log",
    benchmark:
        "<benchmarks>/prepare_image/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        fingerprint=fingerprint("path"),
        mask_fingerprint=fingerprint("tissue"),
        inside=inside("path"),
        store=under_results("images/{image}.ome.zarr"),
        plane=sheet("plane"),
        time=sheet("time"),
        axes=sheet("axes"),
        level=sheet("level"),
        mpp=sheet("mpp"),
        want_mpp=dataset("mpp"),
        channels=sheet("channels"),
        tissue=tissue,
        max_unreadable=SETTINGS.config["prepare"]["max_unreadable"],
        code=code("prepare_image"),
    script:
        "../../scripts/prepare_image.py"


rule integrity:
    input:
        images=every_image("images/{image}.json"),
        truths=every_image("truth/{image}.json", annotated=True),
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
        annotated=[image.name for image in SETTINGS.images.values() if image.truth],
        facts=integrity_facts(),
        code=code("integrity"),
    script:
        "../../scripts/integrity.py"


rule prepare_truth:
    input:
        source=raw_file("truth"),
        image="<results>/images/{image}.json",
    output:
        receipt="<results>/truth/{image}.json",
    log:
        "<logs>/prepare_truth/{image}.log",
    benchmark:
        "<benchmarks>/prepare_truth/{image}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        fingerprint=fingerprint("truth"),
        inside=inside("truth"),
        store=under_results("images/{image}.ome.zarr"),
        plane=sheet("plane"),
        time=sheet("time"),
        axes=sheet("axes"),
        kind=dataset("truth"),
        classes=dataset("classes"),
        ignore_value=dataset("ignore_value"),
        code=code("prepare_truth"),
    script:
        "../../scripts/prepare_truth.py"
