"""How good it is, in numbers and in sentences that follow from them by stated rules."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from unetflow.report.handed import Config, Published
from unetflow.report.kinds import Kind, by_kind, some
from unetflow.report.object_counts import object_counts
from unetflow.report.paired import Difference, difference
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, headline_of, vanishing

PARTS = 5  # of a training: its last fifth is compared with the one before
FEW = 10  # test images, or groups of them: an interval over fewer is too narrow
BESIDE = {"not told apart": "from", "too few images to tell": "it from"}  # else than
FALLING = 0.05  # by this share the loss must be lower there to be called still falling


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    good: bool | None = None  # None: neither


@dataclass(frozen=True, slots=True)
class Card:
    """A main score, and what others reached."""

    line: Line
    published: list[Published]


@dataclass(frozen=True, slots=True)
class Judged:
    """An experiment over all its folds."""

    name: str
    images: int  # of the test split that have a score
    objects: int | None  # of their truths; None where instances are not scored
    short: str  # the whole in a line
    sentences: list[Sentence]
    cards: list[Card]


@dataclass(frozen=True, slots=True)
class Compared:
    """An experiment beside the first one of its dataset."""

    name: str
    reference: str
    line: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Verdict:
    images: int  # of the test split that have a score
    judged: list[Judged]
    compared: list[Compared]
    few: list[str]  # experiments with fewer test images than an interval needs
    vanishing: list[str]
    warnings: list[Kind]


def verdict(
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    config: Config,
    warnings: Sequence[tuple[str, str]],
) -> Verdict:
    """`lines` are those of each experiment over all its folds, `warnings` pairs (who, what)."""
    judged = [
        _judged(name, [run for run in runs if run.experiment == name], of, config)
        for name, of in lines.items()
    ]
    return Verdict(
        images=len({image for run in runs for image in run.scores["image"]}),
        judged=judged,
        compared=list(_compared(lines, config)),
        few=list(_few(judged)),
        vanishing=list(_vanishing(runs)),
        warnings=by_kind(warnings),
    )


def _judged(name: str, runs: Sequence[Run], lines: Sequence[Line], config: Config) -> Judged:
    main = list(headline_of(lines))
    scores = pd.concat([run.scores for run in runs])
    stored = scores[(scores["chosen"] == "instances") & (scores["variant"] == "")]  # not by slices
    seg = stored[stored["metric"] == "seg"]
    beside = _minus_otsu(scores, main[0]) if main else None
    return Judged(
        name=name,
        images=scores["image"].nunique(),
        objects=int(seg["objects"].astype(float).sum()) if len(stored) else None,
        short=_short(lines, main, beside),
        sentences=[*_found(lines, runs[0].classes), *_against_otsu(beside, main, runs)],
        cards=[Card(line, list(_published(name, line, config))) for line in main],
    )


def _short(lines: Sequence[Line], main: Sequence[Line], beside: Difference | None) -> str:
    """What of the objects is found, the first main score, and what it is beside Otsu's."""
    parts = []
    for of in object_counts(lines):
        which = f" of class {of.of_class}" if of.of_class else ""
        if of.annotated:
            parts.append(f"finds {share(of.found, of.annotated)} annotated objects{which}")
    parts += [f"{line.short} {line.score.text(line.mean.value)}" for line in main[:1]]
    if beside and not math.isnan(beside.mean.low):
        parts.append(f"{beside.said} {BESIDE.get(beside.said, 'than')} Otsu's threshold")
    return ", ".join(parts) or "no score"


def _found(lines: Sequence[Line], classes: Sequence[str]) -> Iterator[Sentence]:
    """What became of the objects of each class: of the stored instances."""
    for of in object_counts(lines):
        which = f" of class {of.of_class or classes[0]}"
        if not of.annotated:
            yield Sentence(f"No object{which} is annotated in the test images.")
            continue
        text = f"Finds {share(of.found, of.annotated)} annotated objects{which}"
        if of.annotated > 100 and of.found:
            text += f" ({of.found:,} of {of.annotated:,})"
        wrong = [f"{n:,} {kind}" for kind, n in of.errors.items() if n and kind != "spurious"]
        text += f"; the others are {', '.join(wrong)}." if wrong else "."
        if of.predicted:
            spurious = of.errors["spurious"]
            text += f" Spurious: {spurious:,} of {of.predicted:,} predicted ones"
            many = of.predicted > 100 and spurious
            text += f" ({share(spurious, of.predicted)})." if many else "."
        yield Sentence(text)


def share(part: int, whole: int) -> str:
    """Of up to 100 the numbers themselves, else out of 100, and never a rounded none or all.

    >>> share(3, 4), share(970, 1000), share(999, 1000), share(1, 1000), share(0, 1000)
    ('3 of 4', '97 of 100', 'more than 99 of 100', 'fewer than 1 of 100', 'none of 1,000')
    """
    if not part:
        return f"none of {whole:,}"
    if whole <= 100:
        return f"{part} of {whole}"
    rounded = round(100 * part / whole)
    if rounded == 100 and part < whole:
        return "more than 99 of 100"
    if rounded == 0:
        return "fewer than 1 of 100"
    return f"{rounded} of 100"


def _against_otsu(
    found: Difference | None, lines: Sequence[Line], runs: Sequence[Run]
) -> Iterator[Sentence]:
    """The first of the main scores minus Otsu's, and what the training has to do with it.

    Better or worse is what the 95 % interval of the paired difference says, as of two networks;
    without an interval (one group) the difference is said alone.
    """
    falling = [run.name for run in runs if still_falling(run.history)]
    last = f"the loss was still falling in its last fifth ({some(falling)})"
    worse = False
    if found:
        by = f"by {found.text.lstrip('+-')} in {lines[0].name} ({_interval(found)})"
        if math.isnan(found.mean.low):
            alone = "It is of one image" if found.mean.n == 1 else "All images are of one group"
            yield Sentence(
                f"Beside Otsu's threshold, which learns nothing: {found.text} in {lines[0].name}. "
                f"{alone}, so that no interval says how sure that is."
            )
        elif found.said == "worse":
            worse = True
            why = f"the training has not converged: {last}" if falling else _level(runs)
            yield Sentence(
                f"Worse than Otsu's threshold, which learns nothing, {by}; {why}.", False
            )
        elif found.said == "better":
            yield Sentence(f"Better than Otsu's threshold, which learns nothing, {by}.", True)
        else:
            yield Sentence(
                f"{found.said.capitalize()} {BESIDE[found.said]} Otsu's threshold, which learns "
                f"nothing: {found.text} in {lines[0].name} ({_interval(found)})."
            )
    if falling and not worse:
        yield Sentence(f"More steps of training may help: {last}.")


def _interval(found: Difference) -> str:
    """That of network minus Otsu, over images."""
    return f"difference {found.interval}, 95 % interval, n = {found.mean.n}"


def _minus_otsu(scores: pd.DataFrame, line: Line) -> Difference | None:
    of_otsu = scores[
        (scores["chosen"] == "otsu")
        & (scores["metric"] == line.score.metric)
        & (scores["variant"] == line.score.variant)
    ]
    return difference(line.score, line.rows, of_otsu)


def _level(runs: Sequence[Run]) -> str:
    """How far the loss fell or rose, where it falls no longer."""
    shares = []
    for run in (each for each in runs if each.is_trained):
        losses, part = run.history["loss"], max(1, len(run.history) // PARTS)
        first, last = losses.iloc[:part].mean(), losses.iloc[-part:].mean()
        shares.append(f"{last / first - 1:+.0%} ({run.name}) in {len(run.history)} steps")
    if not shares:
        return "the network was trained elsewhere"
    return f"the loss falls no longer, from its first fifth to its last {some(shares)}"


def still_falling(history: pd.DataFrame) -> bool:
    """Whether the mean loss of the last fifth of the steps is lower by `FALLING` than before it."""
    part = len(history) // PARTS
    if not part:
        return False
    before, last = (
        history["loss"].iloc[at].mean() for at in (slice(-2 * part, -part), slice(-part, None))
    )
    return bool(last < (1 - FALLING) * before)


def _published(name: str, line: Line, config: Config) -> Iterator[Published]:
    for published in config["report"].get("published", []):
        wanted = (published["metric"], published.get("variant", ""))
        mine = published.get("experiment") in (None, name)
        if mine and wanted == (line.score.metric, line.score.variant):
            yield published


def _compared(lines: Mapping[str, Sequence[Line]], config: Config) -> Iterator[Compared]:
    """The main scores of each experiment minus those of the first of its dataset."""
    first_of: dict[str | None, str] = {}
    for name, of in lines.items():
        dataset = config["experiments"][name].get("dataset")
        reference = first_of.setdefault(dataset, name)
        if reference == name:
            continue
        others = {line.name: line for line in headline_of(lines[reference])}
        for line in headline_of(of):
            if other := others.get(line.name):
                found = difference(line.score, line.rows, other.rows)
                if found:
                    yield Compared(name, reference, line.name, found)


def _few(judged: Sequence[Judged]) -> Iterator[str]:
    """Of experiments whose intervals are drawn from fewer than `FEW` images or groups."""
    found: dict[str, list[str]] = {}
    for of in judged:
        for card in of.cards[:1]:
            mean = card.line.mean
            if 1 < mean.groups < FEW:
                what = "images" if mean.groups == mean.n else "groups of images"
                found.setdefault(f"{mean.groups} {what}", []).append(of.name)
    for count, names in found.items():
        yield (
            f"{some(names)}: intervals are over {count}. From so few a bootstrap makes them "
            "narrower than they should be."
        )


def _vanishing(runs: Sequence[Run]) -> Iterator[str]:
    """A line for each run and class, whatever number of thresholds and images it is of."""
    each = [(run, *of) for run in runs for of in run.scores.groupby("class", sort=False)]
    for run, name, scores in each:
        if not (gone := vanishing(scores)):
            continue
        of_class = f" of class {name}" * (len(run.classes) > 1)
        thresholds = [f"{threshold:g}" for threshold, _ in gone]
        images = sorted({image for _, of in gone for image in of})
        at = thresholds[0] if len(gone) == 1 else f"{thresholds[0]} to {thresholds[-1]}"
        yield (
            f"{run.name}: at threshold {at} the foreground{of_class} vanishes in {len(images)} of "
            f"{scores['image'].nunique()} images ({some(images)}). Zero splits and mergers and "
            "a small warping error mean nothing there."
        )
