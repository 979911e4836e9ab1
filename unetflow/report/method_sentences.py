"""Sentences of a methods paragraph: each says what a run did, from its config and its receipts.

Each function gives plain text, and cites by `unetflow.report.references.cite`; whoever joins them
finds the keys that were cited.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unetflow.provenance.schemas import ModelReceipt
from unetflow.report.handed import RunFiles
from unetflow.report.references import cite
from unetflow.report.score_lines import called

TIMES = "\N{MULTIPLICATION SIGN}"
PAPER = {
    "unet": ("U-Net", ["ronneberger2015"]),
    "unet_padded": ("U-Net with padded convolutions", ["ronneberger2015"]),
    "residual_unet": ("residual U-Net", ["zhang2018"]),
    "attention_unet": ("attention U-Net", ["oktay2018"]),
    "multires_unet": ("MultiResUNet", ["ibtehaz2020"]),
    "backbone_unet": ("U-Net on a classifier's encoder", ["ronneberger2015"]),
    "unetr": ("UNETR", ["hatamizadeh2022"]),
    "fcn": ("fully convolutional network FCN-8s", ["long2015"]),
    "fpn": ("feature pyramid network", ["lin2017"]),
    "sliding_window": ("classifier of the patch around each pixel", ["ciresan2012"]),
}
"""By name of the network what text calls it, and its sources."""
BACKBONES = {"resnet": "he2016", "mobilenet": "sandler2018", "efficientnet": "tan2019"}
NORMS = {
    "batch": ("batch normalisation", "ioffe2015"),
    "instance": ("instance normalisation", "ulyanov2016"),
    "group": ("group normalisation", "wu2018"),
}
LOSSES = {
    "cross_entropy": ("cross entropy", None),
    "focal": ("focal loss", "lin2020"),
    "dice": ("Dice loss", "milletari2016"),
    "iou": ("IoU loss", None),
}
VARIED = {
    "zoom": "zoom by up to a factor of 1 + {:g}",
    "brightness": "brightness (deviation {:g})",
    "contrast": "contrast ({:g})",
    "gamma": "gamma ({:g})",
    "blur_px": "blur (up to {:g} px)",
    "noise": "Gaussian noise ({:g})",
    "hue": "hue ({:g})",
    "saturation": "saturation ({:g})",
}


def listed(parts: Sequence[str]) -> str:
    """As text lists things.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def of_number(count: int, what: str) -> str:
    """With the plural.

    >>> of_number(1, "image"), of_number(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def between(numbers: Sequence[int], what: str) -> str:
    """One number, or the least and the greatest.

    >>> between([3, 3], "image"), between([3, 5], "image")
    ('3 images', '3 to 5 images')
    """
    least, most = min(numbers), max(numbers)
    return of_number(most, what) if least == most else f"{least:,} to {of_number(most, what)}"


# What was learnt from


def of_images(
    models: Sequence[ModelReceipt], dataset: Mapping[str, Any], tested: int, objects: int | None
) -> Iterator[str]:
    """Images of all folds, and how networks saw their pixels."""
    folds = f"In each of {len(models)} folds a network was" if len(models) > 1 else "It was"
    text = f"{folds} trained on {between([of['training_images'] for of in models], 'image')}"
    if validated := [of["validation_images"] for of in models if of["validation_images"]]:
        text += f" and validated on {between(validated, 'further image')}"
    yield f"{text}."
    if tested:
        annotated = f" with {of_number(objects, 'annotated object')}" if objects else ""
        yield f"All scores are of {of_number(tested, 'test image')}{annotated}."
    if dataset.get("mpp"):
        yield f"Images were brought to {dataset['mpp']:g} µm per pixel."
    if spacing := dataset.get("spacing"):
        sides = f" {TIMES} ".join(f"{side:g}" for side in spacing)
        yield f"Volumes were brought to pixels of {sides} µm along z, y and x."
    yield _intensities(dataset)


def _intensities(dataset: Mapping[str, Any]) -> str:
    by = "mean and standard deviation"
    if percentiles := dataset.get("percentiles"):
        by = "the percentiles {:g} and {:g}".format(*percentiles)
    stains = {"macenko": "macenko2009", "reinhard": "reinhard2001"}
    if key := stains.get(str(dataset.get("intensity"))):
        return (
            f"The stains of each image were brought to those of the training images {cite(key)}, "
            f"and each channel was normalised by {by} over these."
        )
    of = {
        "log": "the logarithm of each channel",
        "local": "each channel, beside mean and deviation of each pixel's surroundings of "
        f"{dataset.get('intensity_px')} px,",
    }.get(str(dataset.get("intensity")), "each channel")
    return f"{of[0].upper()}{of[1:]} was normalised by {by} over the training images."


# The network and its training


def of_network(model: ModelReceipt, files: RunFiles) -> str:
    """Which network, with the options that are not its defaults."""
    name = model["network"]["name"]
    called, sources = PAPER.get(name, (f"network {name}", []))
    backbone = str(model["network"].get("backbone", ""))
    sources = [*sources, *(key for start, key in BACKBONES.items() if backbone.startswith(start))]
    options = [
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in files["options"].items()
        if key not in ("norm", "backbone")
    ]
    if backbone:
        options.insert(0, backbone)
    article = "an" if called[0] in "aeio" else "a"
    text = f"The network is {article} {called}{' ' + cite(*sources) if sources else ''}"
    if (norm := model["network"].get("norm")) in NORMS:
        words, key = NORMS[str(norm)]
        options.insert(0, f"{words} {cite(key)}")
    text += f" with {listed(options)}" if options else ""
    return f"{text}; it has {model['parameters']:,} parameters."


def _plain(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"


def of_loss(recipe: Mapping[str, Any], weighting: Mapping[str, Any] | None) -> str:
    """What was minimised, and how pixels weigh in it."""
    text = f"The loss is {loss_in_words(recipe['loss'])}"
    weights = []
    if recipe["class_balance"]:
        weights.append("to make up for the frequencies of classes")
    if weighting:
        weights.append(
            f"by a separation term (w0 = {weighting['w0']:g}, sigma = "
            f"{weighting['sigma_px']:g} px) between touching objects {cite('ronneberger2015')}"
        )
    return f"{text}, pixels weighted {listed(weights)}." if weights else f"{text}."


def loss_in_words(factors: Mapping[str, float], *, cited: bool = True) -> str:
    """Its terms and their factors.

    >>> loss_in_words({"cross_entropy": 1, "dice": 0.5}, cited=False)
    'the cross entropy and 0.5 times the Dice loss'
    """
    parts = []
    for name, factor in factors.items():
        words, key = LOSSES[name]
        times = "" if factor == 1 else f"{factor:g} times "
        parts.append(f"{times}the {words}{' ' + cite(key) if key and cited else ''}")
    return listed(parts)


def of_training(models: Sequence[ModelReceipt], precision: str, seeds: Sequence[int]) -> str:
    """Optimiser, schedule, steps."""
    recipe: Mapping[str, Any] = models[0]["recipe"]
    if recipe["optimizer"] == "adamw":
        by = f"AdamW {cite('loshchilov2019')}, weight decay {recipe['weight_decay']:g}"
    else:
        by = f"stochastic gradient descent with momentum {recipe['momentum']:g}"
    rate = f"a learning rate of {recipe['learning_rate']:g}"
    if recipe["schedule"] == "cosine":
        rate += f" that falls as a cosine {cite('loshchilov2017')} after a warm-up of 5 % of steps"
    tile_px, batch = recipe["tile_px"], int(recipe["batch"])
    sides = tile_px if isinstance(tile_px, list) else [tile_px, tile_px]
    patches = "1 patch" if batch == 1 else f"{batch:,} patches"
    steps = f"{int(recipe['steps']):,} steps"
    if parts := recipe.get("parts"):
        steps += f" ({' + '.join(f'{part:,}' for part in parts)}, each with this schedule anew)"
    size = f"{f' {TIMES} '.join(map(str, sides))} px"
    text = f"It was minimised by {by}, at {rate}, over {steps} of {patches} of {size}"
    if recipe.get("clip_norm"):
        text += f", gradients clipped to a norm of {recipe['clip_norm']:g}"
    text += f", in {precision}" if precision else ""
    named = "seed" if len(seeds) == 1 else "seeds"
    return f"{text} ({named} {listed([f'{seed}' for seed in seeds])})."


def of_early_end(recipe: Mapping[str, Any], taken: Sequence[int]) -> Iterator[str]:
    """Where early stopping ended trainings: `taken` are the steps of all folds and seeds."""
    if waited := recipe["early_stopping"]:
        many, steps = of_number(waited, "validation"), listed([f"{of:,}" for of in taken])
        yield f"With early stopping after {many} without a better one it took {steps} steps."


def of_start(recipe: Mapping[str, Any], pretrained: object) -> str:
    """What the weights were before the first step, and which were kept."""
    if pretrained:
        return "Training started from the weights of an earlier one."
    less = ", each filter less its mean" if recipe["start"] == "centred" else ""
    return f"Weights start as random numbers {cite('he2015')}{less}."


def of_kept(models: Sequence[ModelReceipt]) -> str:
    """Which weights were kept, of all folds and seeds."""
    if not all(of["validation_images"] for of in models):
        return "The weights of the last step were kept."
    steps = listed([f"{of['best']['step']:,}" for of in models])
    named = "step" if len(models) == 1 else "steps"
    best = "the best foreground IoU on the validation images"
    return f"The weights with {best} were kept ({named} {steps})."


def of_augmentation(augmentation: Mapping[str, Any]) -> str:
    """How patches were varied."""
    parts = []
    if augmentation["elastic_px"]:
        grid = augmentation["elastic_grid"]
        rigid = "" if augmentation.get("elastic_z", True) else ", none along z"
        parts.append(
            f"elastic deformation (deviation {augmentation['elastic_px']:g} px on a grid of "
            f"{grid} {TIMES} {grid}{rigid})"
        )
    parts += ["rotation by any angle"] * bool(augmentation["rotate"])
    parts += ["flips"] * bool(augmentation["flip"])
    parts += [
        words.format(augmentation[key]) for key, words in VARIED.items() if augmentation.get(key)
    ]
    if augmentation.get("stain"):
        parts.append(f"amounts of stain ({augmentation['stain']:g}) {cite('tellez2019')}")
    return f"Patches were varied by {listed(parts)}." if parts else "Patches were not varied."


# From pixels to objects


def of_prediction(files: RunFiles, predict: Mapping[str, Any]) -> Iterator[str]:
    """How images of any size were predicted."""
    halo = max(*files["before_px"], *files["after_px"])
    if files["why"]:
        yield "Images were predicted in overlapping tiles, whose results were blended."
    else:
        yield (
            f"Images were predicted in tiles that overlap by the {halo} px which an output pixel "
            f"depends on, mirrored at the border of the image {cite('ronneberger2015')}: the "
            "result is that of the whole image at once."
        )
    turns = predict.get("test_time_augmentation", 1)
    if turns > 1:
        yield f"Probabilities are means over {turns} flips and rotations."


def of_segmented(segment_with: str) -> Iterator[str]:
    """Which network segmented the images without a truth, where it is not that of each fold."""
    if segment_with == "all":
        yield (
            "Images without a truth were segmented by a further network, trained on all annotated "
            "images."
        )
    elif segment_with == "ensemble":
        yield (
            "Images without a truth were segmented by the mean of the probabilities of the "
            "networks of all folds."
        )


def of_refinement(refine: Mapping[str, Any] | None) -> Iterator[str]:
    """What was done to the foreground before it was thresholded."""
    if refine and refine.get("smooth_px") is not None:
        yield f"Probabilities were smoothed by a Gaussian of {refine['smooth_px']:g} px."
    if refine and refine.get("crf") is not None:
        yield f"Probabilities were refined by a convolutional CRF {cite('teichmann2019')}."


def of_objects(name: str, made: Mapping[str, Any], *, several: bool) -> str:
    """How objects of a class were made: `made` is what its calibration says."""
    how, by = made.get("labelling", {}), str(made["by"])
    chosen = {
        "default": "by default",
        "config": "by hand",
        "model": "with the model file",
    }.get(by) or f"as the best by {called(by)} on the validation images"
    corners = "edges" if how.get("connectivity", 1) == 1 else "edges or corners"
    of = f" of class {name}" if several else ""
    parts = [
        f"Objects{of} are pixels with a probability above {made['threshold']:g} (chosen {chosen}) "
        f"that are connected by {corners}"
    ]
    if how.get("fill_holes"):
        most = how.get("max_hole_px")
        parts.append(f"holes{f' up to {most} px' if most else ''} filled")
    parts += list(_cut(how))
    if how.get("min_area_px"):
        parts.append(f"those under {how['min_area_px']} px left out")
    return f"{', '.join(parts)}."


def _cut(how: Mapping[str, Any]) -> Iterator[str]:
    method = how.get("separate", "necks")
    if method == "necks" and how.get("split_px"):
        yield f"clumps cut at necks {how['split_px']:g} px thinner than what they join"
    elif method == "valleys":
        yield f"clumps cut along valleys of the probability ({how['split_logits']:g} logits)"
    elif method == "seeds":
        yield f"clumps cut around their parts above {how['seed_threshold']:g}"
    elif method in ("border", "distance"):
        yield f"clumps cut by a head of the network that learnt the {method} of objects"
