# One network per experiment and fold. Checkpoints beside the outputs survive a kill.
# An experiment with a finished model has that in its place.


rule train:
    wildcard_constraints:
        experiment=one_of(name for name in EXPERIMENTS if SETTINGS.is_trained(name)),
    input:
        images=images_of("images/{bundle}.json", "train", "validation"),
        truths=images_of("truth/{bundle}.json", "train", "validation"),
        weights=weight_maps("{bundle}.json"),
        statistics="<results>/statistics/{experiment}/fold{fold}.json",
        pretrained=pretrained,
        unlike=unlike("train"),
    output:
        model=ensure("<results>/models/{experiment}/fold{fold}/model.safetensors", non_empty=True),
        history=ensure("<results>/models/{experiment}/fold{fold}/training.csv", non_empty=True),
        patches="<results>/models/{experiment}/fold{fold}/patches.npz",
        receipt="<results>/models/{experiment}/fold{fold}/model.json",
    log:
        "<logs>/train/{experiment}/fold{fold}.log",
    benchmark:
        "<benchmarks>/train/{experiment}/fold{fold}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    threads: 8
    resources:
        gpu=gpus_of_job(SETTINGS.config["train"]["gpus"]),
        mem_mb=memory_of_training,
        runtime=runtime_of_training,
    params:
        **made_by(
            "train",
            images=images_of("images/{image}.ome.zarr", "train"),
            weights=weight_maps("{image}.zarr"),
            validation_images=images_of("images/{image}.ome.zarr", "validation"),
            receipts=training_receipts,
            pretrained=what_to_start_from,
            network=experiment("network"),
            head=experiment("head"),
            recipe=experiment("recipe"),
            stored=reads_of_training,
            kind=dataset("truth"),
            classes=dataset("classes"),
            mpp=dataset("mpp"),
            spacing=dataset("spacing"),
            on_failed=SETTINGS.config["prepare"]["on_failed_training_image"],
            harmless={"on_failed": none_failed("train", "validation")},
            code=network_code("train"),
            without_effect={
                "checkpoint_s": SETTINGS.config["train"]["checkpoint_s"],
                "processes": SETTINGS.config["train"]["gpus"],
                "pretrained": file_to_start_from,  # the record has its digest
                "require_gpu": SETTINGS.config["require_gpu"],
            },
        ),
    script:
        "../../scripts/train.py"


rule take_model:
    wildcard_constraints:
        experiment=one_of(name for name in EXPERIMENTS if not SETTINGS.is_trained(name)),
    input:
        model=finished_model,
        unlike=unlike("take_model"),
    output:
        model=ensure("<results>/models/{experiment}/fold{fold}/model.safetensors", non_empty=True),
        history=ensure("<results>/models/{experiment}/fold{fold}/training.csv", non_empty=True),
        receipt="<results>/models/{experiment}/fold{fold}/model.json",
    log:
        "<logs>/take_model/{experiment}/fold{fold}.log",
    benchmark:
        "<benchmarks>/take_model/{experiment}/fold{fold}.tsv"
    conda:
        "../../envs/unetflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        **made_by(
            "take_model",
            digest=digest_of_finished_model,
            code=code("take_model"),
        ),
    script:
        "../../scripts/take_model.py"
