# Which files the report is handed: of each run what it shows, of each stage its receipts.


def config_of_report():
    """The config but `retry`; the report's title is the name of its file where it has none."""
    of = SETTINGS.config["report"]
    name = "unetflow demo" if "demo" in SETTINGS.config else Path(workflow.configfiles[-1]).stem
    whole = {key: value for key, value in SETTINGS.config.items() if key != "retry"}
    return {**whole, "report": {**of, "title": of["title"] or name}}


def files_of_runs(wildcards):
    """Of each experiment and fold the files that the report shows."""
    return [files_of_run(name, fold) for name, fold in runs()]


def files_of_run(name, fold):
    """Of one run its own files, and those of its test images: `unetflow.report.handed`."""
    run, folder = {"experiment": name, "fold": fold}, "predictions/{experiment}/fold{fold}"
    tested = SETTINGS.images_of(name, fold, "test")
    own = {
        "model": "models/{experiment}/fold{fold}/model.json",
        "history": "models/{experiment}/fold{fold}/training.csv",
        "patches": "models/{experiment}/fold{fold}/patches.npz",
        "calibration": "calibration/{experiment}/fold{fold}.json",
        "statistics": "statistics/{experiment}/fold{fold}.json",
    }
    of_image = {
        "store": "images/{image}.ome.zarr",
        "prediction": f"{folder}/{{image}}.ome.zarr",
        "pixels": "images/{receipt}.json",
        "truth": "truth/{receipt}.json",
        "foreground": f"{folder}/foreground/{{receipt}}.json",
        "scored": f"{folder}/{FOREGROUND}/{{receipt}}.json",
        "instances": f"{folder}/instances/{{receipt}}.json",
    }
    foregrounds = paths(f"{folder}/foreground/{{receipt}}.json", tested[:1], **run)
    return {
        "experiment": name,
        "fold": str(fold),
        **network_of_run(name),
        **{key: f"{RESULTS}/{pattern}".format(**run) for key, pattern in own.items()},
        "foreground": foregrounds[0] if foregrounds else None,
        "scored": FOREGROUND,
        "images": {
            image: {
                **{key: paths(pattern, [image], **run)[0] for key, pattern in of_image.items()},
                "parts": receipts_of_parts(f"{folder}/parts/{{receipt}}", image, run),
            }
            for image in tested
        },
        "weights": first_weight_map(name, fold),
    }


def receipts_of_parts(pattern, image, run):
    """Receipts of the parts that an image is predicted in, none where one job does it."""
    of = parts_of(SimpleNamespace(**names_of(image)))
    begin, numbers = paths(pattern, [image], **run)[0], range(of) if of > 1 else []
    return [f"{begin}.{number}of{of}.json" for number in numbers]


def network_of_run(name):
    """What is known of the network of an experiment before it is trained."""
    network, geometry = SETTINGS.config["experiments"][name]["network"], geometry_of_network(name)
    return {
        "step_px": max(geometry.step_px),
        "before_px": list(geometry.before_px),
        "after_px": list(geometry.after_px),
        "why": geometry.why,
        "options": networks.changed_options(**network),
    }


def first_weight_map(name, fold):
    """The first training image of a run and its weight map, None without a weighting."""
    weighting = SETTINGS.config["experiments"][name]["weighting"]
    if not weighting:
        return None
    image = SETTINGS.images_of(name, fold, "train")[0]
    return {
        "image": image,
        "store": f"{RESULTS}/images/{image}.ome.zarr",
        "map": f"{RESULTS}/weights/{weighting}/{image}.zarr",
    }


def receipts_of_stages(wildcards):
    """By stage the receipts of all that the config makes: run records lie beside them."""
    wanted = SETTINGS.config["export"]
    exported = wanted["splits"] if EXPORTS.keys() & set(wanted["formats"]) else []
    segmented = images_of_runs("test", "predict", *exported)
    slices = [(name, fold, image) for name, fold, _, of in exported_stacks() for image in of]
    predicted = [*images_of_runs("validation"), *segmented, *slices]
    calibrated = [*runs(), *((name, fold) for name, fold, _ in segmented)]
    trained = [*calibrated, *((name, fold) for name, fold, _ in predicted)]
    trained = [(name, fold) for name, fold in trained if fold != "ensemble"]
    folder = "predictions/{experiment}/fold{fold}"
    refined = (
        {"refine": paths_of_images(f"{folder}/refined/{{receipt}}.json", predicted)}
        if FOREGROUND == "refined"
        else {}
    )
    return {
        "prepare image": every_image("images/{receipt}.json"),
        "prepare truth": every_image("truth/{receipt}.json", annotated=True),
        "weights": receipts_of_weight_maps(trained),
        "statistics": paths_of_runs("statistics/{experiment}/fold{fold}.json", trained),
        "train": paths_of_runs("models/{experiment}/fold{fold}/model.json", trained),
        "predict": paths_of_images(f"{folder}/foreground/{{receipt}}.json", predicted),
        **refined,
        "calibrate": paths_of_runs("calibration/{experiment}/fold{fold}.json", calibrated),
        "instances": paths_of_images(f"{folder}/instances/{{receipt}}.json", segmented),
        "evaluate": image_paths("evaluation/{experiment}/fold{fold}/{receipt}.csv", "test"),
    }


def receipts_of_weight_maps(trained):
    """Receipts of the weight maps that these (experiment, fold) learn from."""
    found = []
    for name, fold in dict.fromkeys(trained):
        if weighting := SETTINGS.config["experiments"][name]["weighting"]:
            images = SETTINGS.images_of(name, fold, "train")
            found += paths(f"weights/{weighting}/{{receipt}}.json", images)
    return list(dict.fromkeys(found))
