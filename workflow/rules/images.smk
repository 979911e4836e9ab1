# Images, and the bundles that share jobs: what params and resources ask of those of a job. Patterns
# name an {image}, its {bundle} and its {receipt}.
from functools import lru_cache
from itertools import chain
from types import SimpleNamespace

from unetflow.images.sources import holds_polygons, split_dataset
from unetflow.jobs.makings import is_readable
from unetflow.jobs.resources import are_in_memory
from unetflow.jobs.volumes import first_px

BUNDLE_OF = {image: bundle for bundle, images in SETTINGS.bundles.items() for image in images}


@cache
def names_of(image):
    """What patterns may name of an image; a bundle of one has the image's name and receipt."""
    bundle = BUNDLE_OF[image]
    receipt = image if bundle == image else f"{bundle}/{image}"
    return {"image": image, "bundle": bundle, "receipt": receipt}


def paths(pattern, images, **wildcards):
    """A path under the results for each image, each path once."""
    filled = (f"{RESULTS}/{pattern}".format(**wildcards, **names_of(image)) for image in images)
    return list(dict.fromkeys(filled))


def each_of(wildcards):
    """The wildcards of each image of a bundle."""
    return of_bundle(wildcards.bundle, tuple(wildcards.items()))


@lru_cache(1)  # all functions of a job ask, one after the other
def of_bundle(bundle, items):
    if bundle not in SETTINGS.bundles:
        there = BUNDLE_OF.get(bundle)
        raise WorkflowError(
            f"{bundle}: shares its jobs with other images; ask for {there} in its place"
            if there
            else f"{bundle}: no image of {SETTINGS.config['images']}, nor a bundle of them"
        )
    return [SimpleNamespace(**(dict(items) | names_of(image))) for image in SETTINGS.bundles[bundle]]


def of_each(**params):
    """Function of wildcards: by image of the bundle its params, made as those of one image.

    A text is a path under the results.
    """

    def value(each, param):
        return param(each) if callable(param) else f"{RESULTS}/{param}".format(**vars(each))

    return lambda wildcards: {
        each.image: {key: value(each, param) for key, param in params.items()}
        for each in each_of(wildcards)
    }


def in_bundle(function):
    """Function of wildcards: what a function gives for each image of the bundle."""
    return signed(lambda wildcards: [function(each) for each in each_of(wildcards)])


def files_of(function):
    """Function of wildcards: the files that a function gives for the bundle's images, each once."""
    found = in_bundle(function)
    return signed(lambda wildcards: list(dict.fromkeys(filter(None, found(wildcards)))))


def of_image(pattern):
    """Function of wildcards: the path of an image or of its bundle."""
    return signed(lambda wildcards: paths(pattern, [wildcards.image], **run_of(wildcards))[0])


def run_of(wildcards):
    """Experiment and fold of a job."""
    return {"experiment": wildcards.experiment, "fold": wildcards.fold}


def place_in_file(wildcards):
    """Where in its file a volume begins along z, y and x, if it is a part of it."""
    return first_px(SETTINGS.images[wildcards.image], SOURCES)


def raw_file(column):
    """Function of wildcards: the raw file of the image, whose time does not count.

    (That of a file which is to be drawn does.) None for a name with braces, which Snakemake would
    fill in: whether the file is there was asked before.
    """

    def path(wildcards):
        file, _ = split_dataset(getattr(SETTINGS.images[wildcards.image], column))
        if {"{", "}"} & {*str(file)}:
            return None
        return str(file) if is_drawn() else ancient(str(file))

    return path


def dataset(key):
    """Function of wildcards: a key of the dataset of the experiment, image or bundle."""

    def value(wildcards):
        if hasattr(wildcards, "experiment"):
            name = SETTINGS.config["experiments"][wildcards.experiment]["dataset"]
        else:  # all images of a bundle are of one
            image = getattr(wildcards, "image", None) or each_of(wildcards)[0].image
            name = SETTINGS.images[image].dataset
        return SETTINGS.config["datasets"][name][key]

    return value


def raw(column):
    """Function of wildcards: `unetflow.images.sources.RawFile` of the image or of its truth."""

    def value(wildcards):
        image = SETTINGS.images[wildcards.image]
        drawn = column == "truth" and image.planes and holds_polygons(image.truth)
        begin = {"first_px": place_in_file(wildcards)} if drawn else {}
        return {"path": getattr(image, column), **image.chosen, **begin}

    return value


def wanted(wildcards):
    """What is made of the raw image: `unetflow.images.in_file.Wanted`."""
    image = SETTINGS.images[wildcards.image]
    of_volume = {
        "spacing": image.spacing and list(image.spacing),
        "in_um": image.in_um,
        "want_spacing": dataset("spacing")(wildcards),
    }
    return {
        "level": image.level,
        "mpp": image.mpp,
        "want_mpp": dataset("mpp")(wildcards),
        "channels": image.channels,
        # its mask, else how its dataset wants tissue found, None for not at all
        "tissue": image.tissue or dataset("tissue")(wildcards),
        **(of_volume if image.volume else {}),
    }


def is_kept(wildcards):
    """Whether all levels of the image stay, else prediction reads its file."""
    keep = SETTINGS.config["prepare"]["keep_images"]
    return keep or SETTINGS.images[wildcards.image].truth is not None


def file_of_image(wildcards):
    """Where the pixels are that its store does not keep: `unetflow.images.file_pixels.ImageFile`."""
    if is_kept(wildcards):
        return None
    return {"raw": raw("path")(wildcards), "wanted": wanted(wildcards)}


def scale(wildcards):
    """How networks see pixels: `unetflow.stages.statistics.Scale`, None for linear."""
    intensity, px = (dataset(key)(wildcards) for key in ("intensity", "intensity_px"))
    if intensity == "linear":
        return None
    return {"scale": intensity} | ({} if px is None else {"px": px})


def annotated(wildcards):
    """How a truth is meant: arguments of `unetflow.stages.prepare_truth.prepare_truth`."""
    return {key: dataset(key)(wildcards) for key in ("label_value", "ring_px")}


def raw_sources(receipt, *columns):
    """Function of wildcards: by name the raw files of the images, and the receipts that know them."""

    def value(wildcards):
        found = {}
        for each in each_of(wildcards):
            image = SETTINGS.images[each.image]
            for column in columns:
                if path := getattr(image, column):
                    mask, volume = column == "tissue", image.volume
                    found[f"{image.name} {column}"] = {
                        "path": path,
                        "time": None if mask else image.time,
                        "plane": None if mask or volume else image.plane,
                        **({"volume": True} if volume and not mask else {}),
                        "receipt": f"{RESULTS}/{receipt}".format(**vars(each)),
                        "key": column,
                    }
        return found

    return value


def stores_of(pattern):
    """Function of wildcards: a path under the results for each image of the bundle."""
    return in_bundle(lambda each: f"{RESULTS}/{pattern}".format(**vars(each)))


def stores_of_images(wildcards):
    """What prepare_image leaves: the finest level, or where it is not kept the store of others."""

    def store(each):
        pattern = "images/{image}.ome.zarr/0" if is_kept(each) else "images/{image}.ome.zarr"
        return f"{RESULTS}/{pattern}".format(**vars(each))

    return in_bundle(store)(wildcards)


def stores_of_predict(wildcards):
    """The arrays that prediction writes: the foreground, and what a head says, if there is one."""
    headed = SETTINGS.config["experiments"][wildcards.experiment]["head"] is not None
    store = "predictions/{experiment}/fold{fold}/{image}.ome.zarr"
    arrays = ["foreground", "heads"] if headed else ["foreground"]
    return [path for array in arrays for path in stores_of(f"{store}/{array}")(wildcards)]


def stores_of_instances(wildcards):
    """The array that labelling writes, and the tables of the objects."""
    folder = "predictions/{experiment}/fold{fold}"
    patterns = (
        f"{folder}/{{image}}.ome.zarr/labels/instances",
        *(f"{folder}/objects/{{image}}.{suffix}" for suffix in ("csv", "parquet")),
    )
    return [path for pattern in patterns for path in stores_of(pattern)(wildcards)]


@cache
def is_drawn():
    """Whether the demo's files are to be drawn (again) before they are read."""
    if "demo" not in SETTINGS.config:
        return False
    making = MAKING_OF["draw_demo"]({})
    files = demo_files(slide=False) | demo_files(slide=True)
    there = all(Path(path).exists() for path in chain(files, files.values()))
    return not there or MAKINGS.differs(making)


def peaks_of_images(wildcards):
    """What reading each image of a bundle takes in memory, with the mask of its tissue [bytes]."""
    for name in SETTINGS.bundles[wildcards.bundle] if "demo" not in SETTINGS.config else ():
        image = SETTINGS.images[name]
        of_mask = SOURCES.peak_bytes(image.tissue) if image.tissue else 0
        yield peak_of_image(image) + of_mask


def peak_of_image(image):
    """What reading it takes in memory [bytes], 0 where that is not known."""
    of = SETTINGS.config["datasets"][image.dataset]
    found = SOURCES.as_prepared(image, of["spacing"] or of["mpp"])
    return found["peak_bytes"] if isinstance(found, dict) else 0


def peaks_of_predict(wildcards):
    """The same of those that are read again when they are predicted."""
    for each in each_of(wildcards) if "demo" not in SETTINGS.config else ():
        if not is_kept(each):
            yield peak_of_image(SETTINGS.images[each.image])


def no_peaks(wildcards):
    """Of a job that reads no raw file."""
    return ()


def raw_pixels(wildcards):
    """Pixels of the largest image of a bundle by the headers of the files; None before it is drawn."""
    if "demo" in SETTINGS.config:
        return None
    return max(raw_pixels_of(name) for name in SETTINGS.bundles[wildcards.bundle])


def peaks_of_truths(wildcards):
    """What reading each truth of a bundle takes in memory [bytes]."""
    for name in SETTINGS.bundles[wildcards.bundle]:
        image = SETTINGS.images[name]
        yield SOURCES.peak_bytes(image.truth, image.chosen)


def all_readable(wildcards):
    """Whether no place of the prepared images is unreadable: the limit does not matter then."""
    receipts = paths("images/{receipt}.json", SETTINGS.bundles[wildcards.bundle])
    return all(is_readable(receipt) for receipt in receipts)


def truths_in_memory(wildcards):
    """Whether membranes of all images of the bundle are scored whole, or none: no regions count."""
    return no_regions(wildcards, [each.image for each in each_of(wildcards)])


def are_slices(wildcards):
    """Whether the dataset's rows are no volumes."""
    return dataset("as")(wildcards) == "slices"


def judged_in_memory(wildcards):
    """The same of the images that thresholds are chosen on."""
    pairs = SETTINGS.judged(wildcards.experiment, wildcards.fold)
    return no_regions(wildcards, [image for image, _ in pairs])


def no_regions(wildcards, images):
    """Whether these images are not scored by regions."""
    truths = paths("truth/{receipt}.json", images)
    return dataset("truth")(wildcards) == "classes" or are_in_memory(truths)


def tissue_mask(wildcards):
    """The image's mask of tissue as input, if it has one."""
    return raw_file("tissue")(wildcards) if SETTINGS.images[wildcards.image].tissue else None


# The whole sheet


def integrity_facts():
    """What the sheet says of each image, for the table of the data."""
    return [
        {
            "image": image.name,
            "dataset": image.dataset,
            "split": image.split,
            "group": image.group or "",
            "kind": SETTINGS.config["datasets"][image.dataset]["truth"],
        }
        for image in SETTINGS.images.values()
    ]


def demo_files(*, slide):
    """The demo's images and their truths, the slide apart: {path: truth}."""
    return {
        image.path: image.truth
        for image in SETTINGS.images.values()
        if image.truth and image.path.endswith(".ome.tif") == slide
    }
