# Which files the report is handed: of each run what it shows, of each stage its receipts.


UNTOLD = ("retry", "engine", "container")  # keys of the config that say nothing of the results


def config_told():
    """The config without the keys that the report does not tell of."""
    return {key: value for key, value in SETTINGS.config.items() if key not in UNTOLD}


def config_of_report():
    """The same; the report's title is the name of the config's file where it has none."""
    of = SETTINGS.config["report"]
    file = workflow.configfiles[-1] if workflow.configfiles else RESULTS  # of a module there is none
    name = "unetflow demo" if "demo" in SETTINGS.config else Path(file).stem
    return {**config_told(), "report": {**of, "title": of["title"] or name}}


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
                "parts": receipts_of_parts(image, name, fold),
            }
            for image in tested
        },
        "weights": first_weight_map(name, fold),
    }


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


def work_of_runs():
    """All that the config makes: what is segmented, predicted, calibrated and trained.

    The first two are (experiment, fold, image), the others (experiment, fold).
    """
    wanted = SETTINGS.config["export"]
    exported = wanted["splits"] if EXPORTS.keys() & set(wanted["formats"]) else []
    segmented = images_of_runs("test", "predict", *exported)
    slices = [(name, fold, image) for name, fold, _, of in exported_stacks() for image in of]
    predicted = [*images_of_runs("validation"), *segmented, *slices]
    calibrated = [*runs(), *((name, fold) for name, fold, _ in segmented)]
    trained = [*calibrated, *((name, fold) for name, fold, _ in predicted)]
    trained = [
        (name, fold) for name, fold in trained if fold != "ensemble" and SETTINGS.is_trained(name)
    ]
    return segmented, predicted, calibrated, trained


def receipts_of_stages(wildcards):
    """By stage the receipts of all that the config makes: run records lie beside them."""
    segmented, predicted, calibrated, trained = work_of_runs()
    folder = "predictions/{experiment}/fold{fold}"
    refined = (
        {"refine": paths_of_images(f"{folder}/refined/{{receipt}}.json", predicted)}
        if FOREGROUND == "refined"
        else {}
    )
    in_parts = [
        path
        for name, fold, image in dict.fromkeys(predicted)
        for path in receipts_of_parts(image, name, fold)
    ]
    return {
        "prepare image": every_image("images/{receipt}.json"),
        "prepare truth": every_image("truth/{receipt}.json", annotated=True),
        "weights": paths_of_weight_maps("{receipt}.json", trained),
        "statistics": paths_of_runs("statistics/{experiment}/fold{fold}.json", trained),
        "train": paths_of_runs("models/{experiment}/fold{fold}/model.json", trained),
        "predict": paths_of_images(f"{folder}/foreground/{{receipt}}.json", predicted),
        **({"predict parts": in_parts} if in_parts else {}),
        **refined,
        "calibrate": paths_of_runs("calibration/{experiment}/fold{fold}.json", calibrated),
        "instances": paths_of_images(f"{folder}/instances/{{receipt}}.json", segmented),
        "evaluate": image_paths("evaluation/{experiment}/fold{fold}/{receipt}.csv", "test"),
        "pictures": image_paths(
            "pictures/{experiment}/fold{fold}/{receipt}.json", "test", "predict"
        ),
        "tiles": paths_of_images(
            "tiles/{experiment}/fold{fold}/{receipt}.json", slides_of_runs()
        ),
    }


def paths_of_weight_maps(pattern, trained):
    """A path for each weight map that these (experiment, fold) learn from."""
    found = []
    for name, fold in dict.fromkeys(trained):
        if weighting := SETTINGS.config["experiments"][name]["weighting"]:
            images = SETTINGS.images_of(name, fold, "train")
            found += paths(f"weights/{weighting}/{pattern}", images)
    return list(dict.fromkeys(found))


def parts_of_results(wildcards):
    """What the run keeps: `unetflow.report.handed.PartFiles`. What is said was tried."""
    _, predicted, _, trained = work_of_runs()
    store, anew = "predictions/{experiment}/fold{fold}/{image}.ome.zarr", "made anew when needed"

    def part(name, files, without, only=""):
        command = f"unetflow clean {shlex.quote(RESULTS)} --only {only}" if only else ""
        return {"part": name, "paths": files, "without": without, "command": command}

    return [
        part(
            "images and truths",
            every_image("images/{image}.ome.zarr"),
            f"Nothing runs again; {anew} from the raw files, which are not ours to count.",
            "images truth",
        ),
        part(
            "weight maps",
            paths_of_weight_maps("{image}.zarr", trained),
            f"Nothing runs again; only a training reads them, for which they are {anew}.",
            "weights",
        ),
        part(
            "checkpoints",
            paths_of_runs("models/{experiment}/fold{fold}/checkpoints", trained),
            "Nothing runs again; a training that was stopped begins anew.",
        ),
        part(
            "models",
            paths_of_runs("models/{experiment}/fold{fold}/model.safetensors", trained),
            "Nothing runs again until one is needed: then it is trained once more. Keep them.",
        ),
        part(
            "foreground and instances",
            paths_of_images(store, predicted),
            "The next run predicts all images again.",
            "predictions",
        ),
        part(
            "tiles of slides",
            [f"{RESULTS}/report/{of['folder']}" for of in tiles_of_slides(wildcards)],
            "The page has no deep zoom, and says so; the next run makes them again.",
            "report/tiles tiles",
        ),
        part("exports", exports(wildcards), "The next run writes them again.", "exports"),
    ]
