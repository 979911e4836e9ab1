"""A network of a user's own: named by its module or an entry point, and held to the same."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import own_networks
import pytest
import torch

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.networks.fitted import Fitted, multiply_adds_per_px
from unetflow.networks.gradients import geometry_by_gradients
from unetflow.networks.initial_weights import start_from
from unetflow.networks.model_file import save_model
from unetflow.networks.walk import geometry_of_module
from unetflow.predict import network_checks
from unetflow.provenance.code_digest import code_digest

NAME = "mine.plain"
SCRIPT = "from unetflow.networks import build\n"


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package that is not ours, where Python looks for packages."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").touch()
    source = Path(__file__).with_name("own_networks.py").read_text()
    (folder / "mine" / "plain.py").write_text(f"from mine import layers\n{source}")
    (folder / "mine" / "layers.py").write_text("LAYERS = 3\n")
    (folder / "mine" / "none.py").touch()
    (folder / "mine" / "mistyped.py").write_text(source.replace("self.last(", "self.lsat("))
    about = folder / "mine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[unetflow.networks]\nof_mine = mine.plain\n")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for module in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[module]


@pytest.mark.slow
@pytest.mark.parametrize("check", network_checks.CHECKS.values(), ids=network_checks.CHECKS)
def test_it_passes_the_checks_without_saying_anything_of_itself(
    check: network_checks.Check,
) -> None:
    check(NAME, width=8)


def test_its_geometry_is_computed() -> None:
    geometry = networks.geometry_of(NAME)
    # pixel 0 lies on pixel 0 of the lower level, which sees -1 to 1 there, -2 to 3 here, and the
    # first convolution one more: 3 px, and the next whole step is 4
    assert geometry.before_px == geometry.after_px == (4, 4)
    assert geometry.step_px == (2, 2)
    assert geometry.smallest_input_px == (10, 10)
    assert geometry.seamless
    network = networks.build(NAME)
    assert isinstance(network, Fitted)
    assert network(torch.zeros(1, 1, 32, 36)).shape == (1, 2, 24, 28)
    with pytest.raises(ValueError, match="nearest valid sizes are 32 px and 34 px"):
        network(torch.zeros(1, 1, 33, 36))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("aligned", "its interpolation aligns the corners of a tile"),
        ("global", "it takes the mean of a tile"),
        ("places", "it joins maps with numbers that change from place to place of a tile"),
        ("attention", "it sees more than 96 px around each pixel, maybe all of a tile"),
        ("largest", "it sees more than 96 px around each pixel, maybe all of a tile"),
    ],
)
def test_what_depends_on_the_tile_is_not_seamless(kind: str, why: str) -> None:
    assert networks.geometry_of(NAME, kind=kind).why == why
    network = networks.build(NAME, kind=kind).eval()
    size_px = network.geometry.input_px(32)
    assert network(torch.zeros(1, 1, size_px, size_px)).shape[2] >= 32


def test_numbers_that_are_the_same_everywhere_show_no_tile() -> None:
    assert networks.geometry_of(NAME, kind="uniform") == networks.geometry_of(NAME)


def test_of_a_network_that_no_graph_describes_gradients_find_the_geometry() -> None:
    by_graph, found = (networks.geometry_of(NAME, kind=kind) for kind in ("plain", "untraceable"))
    assert found.before_px == by_graph.before_px
    assert found.step_px == by_graph.step_px
    assert found.smallest_input_px == by_graph.smallest_input_px
    assert found.seamless
    network_checks.tiled_is_whole(NAME, kind="untraceable")


def test_what_says_another_thing_each_time_is_refused() -> None:
    with pytest.raises(ValueError, match="draws random numbers where it does not train"):
        networks.geometry_of(NAME, kind="dropping")
    with pytest.raises(ValueError, match="draws random numbers where it does not train"):
        geometry_by_gradients(own_networks.build(kind="dropping"), 1)


def test_probabilities_are_no_logits(folder: Path) -> None:
    for kind in ("softmax", "sigmoid"):
        with pytest.raises(ValueError, match="returns probabilities.*return logits, without the"):
            networks.geometry_of(NAME, kind=kind)
    with pytest.raises(ValueError, match="returns probabilities"):
        geometry_by_gradients(own_networks.build(kind="softmax"), 1)
    (folder / "mine" / "said.py").write_text(
        "from mine import plain\nfrom unetflow import networks\n"
        "def build(**options): return plain.build(kind='softmax')\n"
        f"def geometry(**options): return networks.geometry_of('{NAME}')\n"
    )
    assert multiply_adds_per_px(networks.build("mine.said"))  # at the end of a training, say
    with pytest.raises(ModelError, match=r"network mine\.said: it returns probabilities"):
        network_checks.geometry_is_computed("mine.said")


def test_gradients_look_along_both_axes() -> None:
    assert networks.geometry_of(NAME, kind="aside").before_px == (8, 8)  # 3 and 5 px, whole steps
    network_checks.tiled_is_whole(NAME, kind="aside")


class Around(torch.nn.Module):
    """Another network with nothing beside it, as a wrapper of a library's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Module()
        self.net.down = torch.nn.Conv2d(1, 4, 3)
        self.net.up = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3), torch.nn.Conv2d(4, 2, 1))


def test_all_layers_but_the_last_are_the_encoder_however_deep_that_lies() -> None:
    network = Fitted(Around(), networks.geometry_of(NAME), 1)
    assert network.last_layer == "inner.net.up.1."
    frozen = {id(weights) for weights in network.encoder.parameters()}
    assert {name for name, weights in network.named_parameters() if id(weights) not in frozen} == {
        "inner.net.up.1.weight",
        "inner.net.up.1.bias",
    }


def test_a_last_layer_that_was_not_the_last_to_be_made_has_to_be_named(
    tmp_path: Path, folder: Path
) -> None:
    source = (folder / "mine" / "plain.py").read_text()
    last = "        self.last = nn.Conv2d(2 * width, num_classes, 1)\n"
    first = source.replace(last, "").replace("        self.kind = kind\n", last)
    (folder / "mine" / "early.py").write_text(first.replace("self.kind", "'plain'"))
    classes = {"classes": ["a"]}, {"classes": ["a", "b"]}
    descriptions: list[Any] = [
        {"network": {"name": "mine.early", "num_classes": 1 + len(of["classes"])}, "channels": 1}
        | {"intensity": {"mean": [0.0], "deviation": [1.0]}, **of}
        for of in classes
    ]
    given, network = (networks.build(**of["network"]) for of in descriptions)
    save_model(tmp_path / "m.safetensors", given, descriptions[0])
    with pytest.raises(ModelError, match=r'inner.last.weight is \(2, .*last_layer = "last."'):
        start_from(tmp_path / "m.safetensors", network, descriptions[1], freeze=False)
    network.last_layer = "inner.last."
    start_from(tmp_path / "m.safetensors", network, descriptions[1], freeze=False)
    kept = "inner.below.0.weight"
    assert torch.equal(network.state_dict()[kept], given.state_dict()[kept])


def test_a_dilated_up_convolution_that_pads_its_output_sees_as_far_as_gradients_say() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, stride=2, padding=1),
        torch.nn.ConvTranspose2d(4, 2, 3, 2, padding=2, dilation=2, output_padding=1),
    )
    computed, seen = geometry_of_module(network, 1), geometry_by_gradients(network, 1)
    assert computed.before_px == computed.after_px == seen.before_px == (4, 4)


def test_other_outputs_than_classes_are_refused(folder: Path) -> None:
    """One logit for a sigmoid ended in an IndexError, outputs too many were trained in silence."""
    source = (folder / "mine" / "plain.py").read_text()
    one = source.replace("2 * width, num_classes, 1)", "2 * width, 1, 1)")
    (folder / "mine" / "one.py").write_text(one)
    with pytest.raises(ValueError, match="num_classes: 2 the network returns 1 channel: return"):
        networks.geometry_of("mine.one")
    with pytest.raises(ValueError, match="num_classes: 2 the network returns 1 channel: return"):
        networks.geometry_of("mine.one", kind="untraceable")
    (folder / "mine" / "three.py").write_text(one.replace("2 * width, 1, 1)", "2 * width, 3, 1)"))
    assert networks.build("mine.three", num_classes=3).geometry.seamless
    with pytest.raises(ValueError, match="num_classes: 4 the network returns 3 channels"):
        networks.build("mine.three", num_classes=4)
    (folder / "mine" / "several.py").write_text(source.replace("else logits", "else [logits]"))
    with pytest.raises(ValueError, match="the network returns a list: return the logits alone"):
        networks.geometry_of("mine.several")


def test_it_comes_by_an_entry_point_too() -> None:
    assert networks.names() == [*networks.NETWORKS, "of_mine"]
    assert networks.module_of("of_mine") == NAME
    assert networks.geometry_of("of_mine") == networks.geometry_of(NAME)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.gone", "network mine.gone: there is no module 'mine.gone'; install it"),
        ("gone.net", "there is no module 'gone'"),
        ("mine.none", r"module mine.none has no function build\(\*\*options\)"),
        ("gone", "no network is called 'gone'; there are: .*, unet, .*of_mine; of one of your own"),
    ],
)
def test_one_that_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        networks.build(name)


def test_what_its_forward_pass_raises_is_told(caplog: pytest.LogCaptureFixture) -> None:
    message = "takes no image of 256x256 px and 1 channels: AttributeError: .*lsat.*Mend its for"
    with caplog.at_level("INFO"), pytest.raises(ValueError, match=message):
        networks.geometry_of("mine.mistyped")
    assert "the last that was refused: AttributeError: " in caplog.text


def test_its_options_are_those_of_its_build() -> None:
    assert networks.options_of(NAME, width=8) == {
        "in_channels": 1,
        "num_classes": 2,
        "width": 8,
        "kind": "plain",
    }
    message = "has no option 'widht'; did you mean 'width'. there are in_channels, num_classes, wid"
    with pytest.raises(ValueError, match=message):
        networks.geometry_of(NAME, widht=8)


def test_its_code_and_that_of_its_package_count(tmp_path: Path, folder: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    layers = folder / "mine" / "layers.py"

    def digest_with(text: str) -> str:
        layers.write_text(text)
        return code_digest(script, networks.module_of(NAME))

    before = digest_with("LAYERS = 3\n")
    assert digest_with("LAYERS = 3  # a comment\n") == before
    assert digest_with("LAYERS = 30\n") != before
    assert code_digest(script) != before


def test_its_changed_options_are_those_unlike_what_build_takes_by_default() -> None:
    given: dict[str, Any] = {"kind": "plain", "width": 8}
    assert networks.changed_options(NAME, **given) == {"width": 8}


def test_where_its_work_cannot_be_counted_it_is_not_known() -> None:
    """A training of hours does not fail at its end by what is but shown."""
    network = networks.build(NAME)
    network.held = network(torch.zeros(1, 1, 32, 32))  # of a graph: it cannot be copied
    assert multiply_adds_per_px(network) is None
