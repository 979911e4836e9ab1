# Which files aggregates, pictures and exports take: those of everything that is run.
from itertools import chain
from types import SimpleNamespace

from unetflow.report.pictures import LEAST_PX


def runs():
    """All (experiment, fold) of the config."""
    return [
        (name, fold) for name in SETTINGS.config["experiments"] for fold in SETTINGS.folds(name)
    ]


def paths_of_runs(pattern, of):
    """A path for each (experiment, fold)."""
    found = (f"{RESULTS}/{pattern}".format(experiment=name, fold=fold) for name, fold in of)
    return list(dict.fromkeys(found))


def run_paths(pattern):
    """A path for each experiment and fold of the config."""
    return paths_of_runs(pattern, runs())


def only_segmented():
    """All (experiment, fold, image) of split predict."""
    return [
        (name, fold, image)
        for name in SETTINGS.config["experiments"]
        for fold in SETTINGS.segmenting(name)
        for image in SETTINGS.images_of(name, fold, "predict")
    ]


def images_of_runs(*roles):
    """All (experiment, fold, image) with one of the roles."""
    judged = [role for role in roles if role != "predict"]
    found = [
        (name, fold, image)
        for name, fold in runs()
        for image in SETTINGS.images_of(name, fold, *judged)
    ]
    return [*found, *only_segmented()] if "predict" in roles else found


def trained_runs():
    """Those of them whose network is trained here."""
    return [(name, fold) for name, fold in runs() if SETTINGS.is_trained(name)]


def paths_of_images(pattern, images):
    """A path for each (experiment, fold, image)."""
    found = (paths(pattern, [image], experiment=name, fold=fold) for name, fold, image in images)
    return list(dict.fromkeys(chain.from_iterable(found)))


def image_paths(pattern, *roles):
    """A path for each experiment, fold and image with one of the roles."""
    return paths_of_images(pattern, images_of_runs(*roles))


def stack_paths(pattern):
    """A path for each experiment, fold and stack of test images."""
    return [
        f"{RESULTS}/{pattern}".format(experiment=name, fold=fold, stack=stack)
        for name, fold in runs()
        for stack in SETTINGS.stacks_of(name, fold, "test")
    ]


def every_image(pattern, *, annotated=False):
    """A path for each image of the sheet, or for each that has a truth."""
    images = SETTINGS.images.values()
    return paths(pattern, [image.name for image in images if image.truth or not annotated])


def segmented_receipts(wildcards):
    """Receipts of the instances of images that are only to be segmented."""
    return image_paths("predictions/{experiment}/fold{fold}/instances/{bundle}.json", "predict")


def facts_of_segmented(wildcards):
    """Of all images that are only segmented who they are, and the receipts that tell of them."""
    folder = "predictions/{experiment}/fold{fold}"
    patterns = {
        "foreground": f"{folder}/foreground/{{receipt}}.json",
        "instances": f"{folder}/instances/{{receipt}}.json",
        "calibration": "calibration/{experiment}/fold{fold}.json",
    }
    return [
        {"experiment": name, "fold": fold, "image": image}
        | {key: paths(of, [image], experiment=name, fold=fold)[0] for key, of in patterns.items()}
        for name, fold, image in only_segmented()
    ]


def stages_of(name, fold, *, segmented):
    """Jobs of an image in a run, and the folders of their receipts; not all are segmented."""
    folder = f"predictions/{name}/fold{fold}"
    rules = {"predict": "foreground"}
    if FOREGROUND == "refined":
        rules["refine"] = "refined"
    if segmented:
        rules["instances"] = "instances"
    return [(f"{rule}/{name}/{fold}", f"{folder}/{of}") for rule, of in rules.items()]


def receipts_of_parts(image, name, fold):
    """Receipts of the parts that an image is predicted in, none where one job does it."""
    of = parts_of(SimpleNamespace(**names_of(image)))
    pattern = "predictions/{experiment}/fold{fold}/parts/{receipt}"
    begin, numbers = paths(pattern, [image], experiment=name, fold=fold)[0], range(of) if of > 1 else []
    return [f"{begin}.{number}of{of}.json" for number in numbers]


def makers_of_images(wildcards):
    """Of each image of the sheet what its jobs leave: `unetflow.stages.outcome.Made`."""
    made = {name: [("prepare_image", "images")] for name in SETTINGS.images}
    for image in SETTINGS.images.values():
        if image.truth:
            made[image.name].append(("prepare_truth", "truth"))
    parts = {name: [] for name in SETTINGS.images}
    for roles, segmented in ((["validation"], False), (["test", "predict"], True)):
        for name, fold, image in images_of_runs(*roles):
            made[image] += stages_of(name, fold, segmented=segmented)
            parts[image] += receipts_of_parts(image, name, fold)
    return [
        {
            "image": image.name,
            "dataset": image.dataset,
            "split": image.split,
            "receipts": [
                path
                for _, folder in made[image.name]
                for path in paths(f"{folder}/{{receipt}}.json", [image.name])
            ],
            "makings": [
                path
                for job, _ in made[image.name]
                for path in paths(f".made/{job}/{{bundle}}.json", [image.name])
            ],
            "parts": parts[image.name],
        }
        for image in SETTINGS.images.values()
    ]


# Pictures


def is_annotated(wildcards):
    """Whether the image's objects are judged: it has a truth, and is not only segmented."""
    image = SETTINGS.images[wildcards.image]
    return image.truth is not None and image.split != "predict"


def reads_of_pictures(wildcards):
    """The stores that pictures of an image are drawn from."""
    pairs = [PIXELS, INSTANCES, *([TRUTHS] if is_annotated(wildcards) else [])]
    return reads(*pairs)(wildcards)


def reads_of_tiles(wildcards):
    """The same of its tiles, which show the foreground, too."""
    return [*reads_of_pictures(wildcards), *reads(FOREGROUNDS)(wildcards)]


@cache
def is_slide(name):
    """Whether an image may be large enough for tiles, by its file: its job knows."""
    image = SETTINGS.images[name]
    if "demo" in SETTINGS.config:  # which may not be drawn yet
        sides = SETTINGS.config["demo"]["slide_px" if image.path.endswith(".ome.tif") else "image_px"]
        return sides >= LEAST_PX
    if image.volume:
        return False
    shapes = SOURCES.shapes_px(image.path, **image.chosen)
    level = image.level or 0
    return level < len(shapes) and max(shapes[level]) >= LEAST_PX


def slides_of_runs():
    """All (experiment, fold, image) that the report's viewer shows."""
    of_runs = images_of_runs("test", "predict")
    return [(name, fold, image) for name, fold, image in of_runs if is_slide(image)]


def tiles_of_slides(wildcards):
    """Of each of them its receipt, and where its tiles lie beside the page."""
    pattern, folder = "tiles/{experiment}/fold{fold}/{receipt}.json", "tiles/{name}/fold{fold}"
    return [
        {
            "experiment": name,
            "fold": str(fold),
            "image": image,
            "receipt": paths(pattern, [image], experiment=name, fold=fold)[0],
            "folder": f"{folder}/{image}".format(name=name, fold=fold),
        }
        for name, fold, image in slides_of_runs()
    ]


@signed
def truths_in_pictures(wildcards):
    """The receipt of the truths of a bundle, none where its images are only segmented."""
    annotated = any(is_annotated(each) for each in each_of(wildcards))
    return f"{RESULTS}/truth/{wildcards.bundle}.json" if annotated else []


def pictures_of_images(wildcards):
    """Of all images that are tested or only segmented their pictures, for the gallery."""
    found = []
    for name, fold, image in images_of_runs("test", "predict"):
        pattern = "pictures/{experiment}/fold{fold}/{receipt}.json"
        found.append(
            {
                "experiment": name,
                "fold": str(fold),
                "image": image,
                "split": "predict" if SETTINGS.images[image].split == "predict" else "test",
                "pictures": paths(pattern, [image], experiment=name, fold=fold)[0],
            }
        )
    return found


# Exports

EXPORTS = {
    "geojson": "exports/{experiment}/fold{fold}/{image}.geojson.gz",
    "labels": "exports/{experiment}/fold{fold}/{image}.labels.tif",
    "overlay": "exports/{experiment}/fold{fold}/{image}.overlay.ome.tif",
}


def exports(wildcards):
    """All files that the config wants exported."""
    wanted = SETTINGS.config["export"]
    files = [
        path
        for name, pattern in EXPORTS.items()
        if name in wanted["formats"]
        for path in image_paths(pattern, *wanted["splits"])
    ]
    files += [
        f"{RESULTS}/exports/{name}/fold{fold}/{stack}.stack.tif"
        for name, fold, stack, _ in exported_stacks()
    ]
    return files


def exported_stacks():
    """All (experiment, fold, stack, slices) that the config wants exported."""
    wanted = SETTINGS.config["export"]
    if "stack" not in wanted["formats"]:
        return []
    return [
        (name, fold, stack, slices)
        for name in SETTINGS.config["experiments"]
        for fold in dict.fromkeys([*SETTINGS.folds(name), *SETTINGS.segmenting(name)])
        for stack, slices in SETTINGS.stacks_of(name, fold, *wanted["splits"]).items()
    ]


def exported_slices(pattern):
    """Function of wildcards: a path for each slice of a stack that is exported."""
    return slices_of(pattern, SETTINGS.config["export"]["splits"])
