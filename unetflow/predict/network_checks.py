"""What every network is held to, ours and a user's own: run by tests and by one command.

    unetflow networks --check my_package.my_network --set base_channels=4

Each check takes a name and options of the registry and raises ModelError where the network does not
keep to it, with what came, the rule and the way out. In a test of one's own:

    @pytest.mark.parametrize("check", network_checks.CHECKS.values(), ids=network_checks.CHECKS)
    def test_my_network(check): check("my_package.my_network", base_channels=4)

Shape suffixes: B batch, C channels, K classes, H W of a tile, Y X of an image.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unetflow import networks
from unetflow.engine.devices import resolve_precision
from unetflow.errors import ModelError
from unetflow.networks.fitted import Fitted
from unetflow.networks.gradients import seen_by_gradients
from unetflow.networks.initial_weights import centre_filters
from unetflow.networks.model_file import ModelDescription, load_model, save_model
from unetflow.networks.network import Network
from unetflow.networks.operations import Untraceable, Walk
from unetflow.networks.walk import geometry_of_module, on_no_device, walk
from unetflow.predict.forward import as_batch, cut, ready, tile_logits
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.tiling import Tiling

LAW = 1e-5  # of the largest |logit|: tiled and whole differ by rounding alone
LAW_BF16 = 2**-6  # a bf16 has 8 bits; kernels for other sizes add up in another order
WRITE_PX = 32  # at least
STEPS = 300  # at most, to learn one image by heart
LEARNT_PX = {2: 64, 3: 24}  # sides of that image, by the number of its axes
RIGHT = 0.97  # of its pixels

Check = Callable[..., None]


def geometry_is_computed(name: str, **options: Any) -> None:
    """What is said of halo, step, sizes, seams and memory is what the layers give."""
    said, found = networks.geometry_of(name, **options), _walked(name, options)
    if found is None:
        return  # gradients are all that there is
    for axis, each in enumerate(found.seen):
        start, stop = each.sees(0, found.shape[axis])
        if start < 0 or stop > _input_px(said)[axis]:
            raise ModelError(
                f"network {name}: along {said.axes[axis]} its output sees {max(0, -start)} px "
                f"before and {max(0, stop - _input_px(said)[axis])} px behind its input of "
                f"{_input_px(said)[axis]} px: its zero padding shows; enlarge the halo"
            )
    network = on_no_device(lambda: networks.build(name, **options))
    if isinstance(network, Fitted):
        computed = geometry_of_module(network.inner, network.in_channels, len(said.axes))
    elif not found.pads:
        computed = found.geometry(padded=False)
    else:
        return  # it cuts its own padding away
    for key in ("step_px", "before_px", "after_px", "smallest_input_px", "seamless"):
        if getattr(said, key) != getattr(computed, key):
            raise ModelError(
                f"network {name}: its geometry says {key} = {getattr(said, key)}, the layers give "
                f"{getattr(computed, key)} {computed.why}: correct `geometry`"
            )
    if said.values_per_px < computed.values_per_px:
        raise ModelError(
            f"network {name}: its geometry says {said.values_per_px:g} values per px, the layers "
            f"hold up to {computed.values_per_px:g}: correct `values_per_px`"
        )


def gradients_see_the_same(name: str, **options: Any) -> None:
    """What pixels see by the layers is what gradients reach, to the pixel."""
    said, found = networks.geometry_of(name, **options), _walked(name, options)
    if not said.seamless:
        return
    sizes_px = _input_px(said)
    network = _network(name, options)
    # images are seen alike along both axes
    for axis in range(len(sizes_px) - 1):
        last = said.output_px(sizes_px[axis], axis)
        wanted = (0, sizes_px[axis]) if found is None else found.seen[axis].sees(0, last)
        seen = seen_by_gradients(network, network.in_channels, sizes_px, (0, last), axis)
        if seen[0] < wanted[0] or seen[1] > wanted[1] or (found is not None and seen != wanted):
            raise ModelError(
                f"network {name}: along {said.axes[axis]} gradients of rows 0 to {last} reach rows "
                f"{seen[0]} to {seen[1]} of {sizes_px[axis]}, by the layers they see {wanted[0]} "
                f"to {wanted[1]}"
            )


def sizes_are_those_said(name: str, **options: Any) -> None:
    """Valid inputs give what the geometry says; another one is refused, with the nearest."""
    network = _network(name, options)
    said = network.geometry
    *others, width = said.smallest_input_px
    sizes = (*others, width + said.step_px[-1])
    with torch.inference_mode():
        found = network(torch.zeros(1, network.in_channels, *sizes)).shape
    wanted = tuple(said.output_px(size, axis) for axis, size in enumerate(sizes))
    if tuple(found[2:]) != wanted:
        raise ModelError(
            f"network {name}: of {'x'.join(map(str, sizes))} px it gives {tuple(found[2:])}, its "
            f"geometry says {wanted}"
        )
    if said.step_px[-1] > 1:
        try:
            network(torch.zeros(1, network.in_channels, *sizes[:-1], sizes[-1] + 1))
        except ValueError as error:
            if "nearest valid sizes" in str(error):
                return
        raise ModelError(
            f"network {name}: it takes {sizes[-1] + 1} px, which its geometry does not: call "
            "geometry.output_px in forward"
        )


def parts_are_named(name: str, **options: Any) -> None:
    """With other classes the last layer alone is another; the encoder is a part of the network."""
    other = _network(name, options | {"num_classes": 5}).state_dict()
    network = _network(name, options | {"num_classes": 2})
    every = network.state_dict()
    differ = {key for key in every if every[key].shape != other[key].shape}
    named = {key for key in every if key.startswith(network.last_layer)}
    if differ != named or not named:
        raise ModelError(
            f"network {name}: with other classes {sorted(differ)} are of another shape, its "
            f"last_layer {network.last_layer!r} names {sorted(named)}: set `last_layer`"
        )
    encoder = {id(weights) for weights in network.encoder.parameters()}
    if not encoder or not encoder < {id(weights) for weights in network.parameters()}:
        raise ModelError(f"network {name}: its encoder is nothing or everything: set `encoder`")


def tiled_is_whole(name: str, **options: Any) -> None:
    """Tiles make what one pass over the mirrored image makes: fp32, channels last."""
    _keep_to_the_law(name, options, "fp32", LAW)


def tiled_is_whole_in_bf16(name: str, **options: Any) -> None:
    """The same in bf16, where the processor has it."""
    if resolve_precision("auto", "cpu") == "bf16":
        _keep_to_the_law(name, options, "bf16", LAW_BF16)


def the_ring_matters(name: str, **options: Any) -> None:
    """With the outermost ring that is really read mirrored, the law breaks: no halo is too large.

    In double precision: of many layers the outermost pixel has a small share.
    """
    found = _walked(name, options)
    network = _network(name, options).double()
    if found is None or not network.geometry.seamless:
        return
    tiling = _tiling(network.geometry)
    image_CYX = _image(network, tiling).astype(np.float64)
    runs = [each.sees(0, size) for each, size in zip(found.seen, tiling.write_px, strict=True)]

    def ring_mirrored(tile_CHW: np.ndarray) -> np.ndarray:
        made = tile_CHW.copy()
        for axis, (first, stop) in enumerate(runs, start=1):
            along = np.moveaxis(made, axis, 0)
            along[first], along[stop - 1] = along[first + 2].copy(), along[stop - 3].copy()
        return made

    whole = _whole(network, image_CYX)
    exact = _difference(_tiled(network, image_CYX, tiling), whole)
    broken = _difference(_tiled(network, image_CYX, tiling, ring_mirrored), whole)
    if exact > 1e-12 or broken < 1e3 * max(exact, 1e-15):
        raise ModelError(
            f"network {name}: in double precision tiles differ from the whole by {exact:.1e}, with "
            f"the outermost ring mirrored by {broken:.1e} of the largest |logit|: its halo of "
            f"{network.geometry.before_px} px is too small, or too large"
        )


def threads_change_nothing(name: str, **options: Any) -> None:
    """One thread and two give the same, to rounding."""
    network = ready(_network(name, options), device="cpu", precision="fp32")
    size_px = _input_px(network.geometry)
    tile_BCHW = torch.randn((1, network.in_channels, *size_px), generator=_generator())
    found = []
    for threads in (1, 2):
        with _threads(threads):
            found.append(tile_logits(network, tile_BCHW))
    law = LAW if network.geometry.seamless else 10 * LAW  # a mean over a tile adds many pixels up
    if (differ := _difference(*found)) > law:
        raise ModelError(f"network {name}: one thread and two differ by {differ:.1e}")


def all_weights_learn(name: str, **options: Any) -> None:
    """A loss of the logits has a gradient for every weight."""
    network = _network(name, options).train()
    size_px = network.geometry.smallest_input_px
    noise = torch.randn((2, network.in_channels, *size_px), generator=_generator())
    logits_BKHW = network(noise)
    (logits_BKHW * torch.randn(logits_BKHW.shape, generator=_generator())).sum().backward()
    idle = [
        key
        for key, weights in network.named_parameters()
        if weights.grad is None or not weights.grad.any()
    ]
    if idle:
        raise ModelError(f"network {name}: no gradient reaches {', '.join(idle)}: are they used?")


def learns_one_image(name: str, **options: Any) -> None:
    """It learns one image of discs by heart."""
    network = _network(name, options | {"num_classes": 2}).train()
    axes = len(network.geometry.axes)
    size_px = tuple(network.geometry.input_px(LEARNT_PX[axes], axis) for axis in range(axes))
    inside = torch.from_numpy(_discs(size_px))
    noise = torch.randn((1, network.in_channels, *size_px), generator=_generator())
    image_BCHW = inside.float() * 2 - 1 + 0.3 * noise
    target_BHW = inside[network.geometry.output_region(size_px)].long()[None]
    centre_filters(network)  # as trainings start by themselves
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    right = 0.0
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits_BKHW = network(image_BCHW)
        right = float((logits_BKHW.argmax(1) == target_BHW).float().mean())
        if right >= RIGHT:
            return
        torch.nn.functional.cross_entropy(logits_BKHW, target_BHW).backward()
        optimizer.step()
    raise ModelError(
        f"network {name}: after {STEPS} steps on one image {right:.1%} of its pixels are right: "
        f"{RIGHT:.0%} must be. Do gradients reach all weights?"
    )


def comes_back_from_its_file(name: str, **options: Any) -> None:
    """A model file gives the same weights and logits."""
    network = _network(name, options)
    description: ModelDescription = {
        "network": {"name": name, **networks.options_of(name, **options)},
        "channels": network.in_channels,
        "classes": ["object"],
        "intensity": {"mean": [0.0], "deviation": [1.0]},
    }
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model.safetensors", network, description)
        again, _ = load_model(Path(folder) / "model.safetensors")
    image_BCHW = torch.randn(
        (1, network.in_channels, *_input_px(network.geometry)), generator=_generator()
    )
    with torch.inference_mode():
        if not torch.equal(network(image_BCHW), again.eval()(image_BCHW)):
            raise ModelError(
                f"network {name}: from its model file it gives other logits: all that it is made "
                "of must be options, parameters or buffers"
            )


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        geometry_is_computed,
        gradients_see_the_same,
        sizes_are_those_said,
        parts_are_named,
        tiled_is_whole,
        tiled_is_whole_in_bf16,
        the_ring_matters,
        threads_change_nothing,
        all_weights_learn,
        learns_one_image,
        comes_back_from_its_file,
    )
}


# What they share


def _network(name: str, options: dict[str, Any]) -> Network:
    torch.manual_seed(0)
    return networks.build(name, **options).eval()


def _walked(name: str, options: dict[str, Any]) -> Walk | None:
    network = on_no_device(lambda: networks.build(name, **options))
    try:
        return walk(network, network.in_channels, _input_px(network.geometry))
    except Untraceable:
        return None
    except ValueError as error:
        raise ModelError(f"network {name}: {error}") from error


def _input_px(geometry: Geometry) -> tuple[int, ...]:
    """The smallest input and one step more, so that outputs have whole steps inside."""
    return tuple(
        size + step for size, step in zip(geometry.smallest_input_px, geometry.step_px, strict=True)
    )


def _tiling(geometry: Geometry) -> Tiling:
    return Tiling.at_least(geometry, WRITE_PX)


def _image(network: Network, tiling: Tiling) -> np.ndarray:
    first, *others = tiling.write_px
    shape = (first * 2 + 5, *(size + 3 for size in others))
    return torch.randn((network.in_channels, *shape), generator=_generator()).numpy()


def _keep_to_the_law(name: str, options: dict[str, Any], precision: str, law: float) -> None:
    network = ready(_network(name, options), device="cpu", precision=precision)
    if not network.geometry.seamless:
        return
    tiling = _tiling(network.geometry)
    image_CYX = _image(network, tiling)
    differ = _difference(_tiled(network, image_CYX, tiling), _whole(network, image_CYX))
    if not differ < law:
        raise ModelError(
            f"network {name}: in {precision} tiles of {tiling.write_px} px differ from one pass "
            f"over the image by {differ:.1e} of the largest |logit|: {law:.1e} is the law. Enlarge "
            "the halo, or say in `why` of its geometry what depends on the tile"
        )


def _whole(network: Network, image_CYX: np.ndarray) -> Tensor:
    """One pass over the mirrored image: logits (K, Y, X)."""
    shape = image_CYX.shape[1:]
    sizes = [network.geometry.input_px(n, axis) for axis, n in enumerate(shape)]
    before = network.geometry.before_px
    region = tuple(slice(-halo, n - halo) for halo, n in zip(before, sizes, strict=True))
    whole = _logits(network, read_mirrored(image_CYX, region))
    return whole[(slice(None), *(slice(0, n) for n in shape))]


def _tiled(
    network: Network,
    image_CYX: np.ndarray,
    tiling: Tiling,
    changed: Callable[[np.ndarray], np.ndarray] = lambda tile_CHW: tile_CHW,
) -> Tensor:
    """The same, tile by tile."""
    made: Tensor | None = None
    for tile in tiling.grid(image_CYX.shape[1:]):
        logits = _logits(network, changed(read_mirrored(image_CYX, tile.read)))
        if made is None:
            made = torch.zeros((logits.shape[0], *image_CYX.shape[1:]), dtype=logits.dtype)
        made[(slice(None), *tile.write)] = cut(logits, tile)
    assert made is not None  # an image has pixels
    return made


@torch.inference_mode()
def _logits(network: Network, tile_CHW: np.ndarray) -> Tensor:
    if tile_CHW.dtype == np.float64:
        exact: Tensor = network(torch.from_numpy(np.ascontiguousarray(tile_CHW))[None])[0]
        return exact
    return tile_logits(network, as_batch(tile_CHW))[0]


def _difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


def _discs(shape: Sequence[int]) -> np.ndarray:
    """Discs of 8 px, 24 px apart; in volumes balls."""
    places = np.ogrid[tuple(slice(0, size) for size in shape)]
    return np.asarray(sum((along % 24 - 12) ** 2 for along in places) < 64)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
