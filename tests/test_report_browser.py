"""The page in a real browser, from its file and without a network: Debian's chromium, headless."""

import copy
import importlib.resources
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pytest
from drawn_results import SIZES, draw_slide, draw_volume, write_results
from PIL import Image
from test_stages_report import CONFIG, with_weights, write

from unetflow.colours import CHOSEN, SKY_BLUE, rgb_bytes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.more

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<script>document.title = 1</script>\"'&amp; \N{MICROSCOPE} " + "long" * 50
LOOKS = [(width, scheme) for width in (1400, 390) for scheme in ("light", "dark")]
INSIDE = """() => ({
  images: [...document.images].map(image => image.naturalWidth),
  plots: [...document.querySelectorAll("svg.plot")].map(svg => svg.getBoundingClientRect().width),
  bars: [...document.querySelectorAll(".bar")].map(bar => bar.getBoundingClientRect().width),
  overflow_px: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  loaded: performance.getEntriesByType("resource").map(entry => entry.name)
    .filter(name => !name.startsWith("data:")),
})"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page, and what it said and asked for meanwhile."""

    page: "Page"
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Opening = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: the report is not opened in a real browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opening(browser: "Browser") -> Iterator[Opening]:
    contexts = []

    def opened(path: Path, width: int = 1400, scheme: Any = "light", **options: Any) -> Opened:
        size = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=cast(Any, size), color_scheme=scheme, offline=True, **options
        )
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(path.as_uri())
        found.requests[:] = [
            url for url in found.requests if url != path.as_uri() and not url.startswith("data:")
        ]
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    return folder


@pytest.fixture(scope="module")
def report(results: Path) -> Path:
    return write(results, results / "report/index.html")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_all_is_drawn_and_nothing_is_asked_for(
    report: Path, opening: Opening, width: int, scheme: str
) -> None:
    opened = opening(report, width, scheme)
    found = opened.page.evaluate(INSIDE)
    assert len(found["images"]) == report.read_text().count("<img") > 10
    assert min(found["images"]) > 0
    assert len(found["plots"]) == report.read_text().count("<svg") > 4
    assert min(found["plots"]) > 300  # readable on a phone, too
    assert min(found["bars"]) > 5
    assert found["overflow_px"] == 0
    assert found["loaded"] == opened.requests == opened.complaints == []


def test_images_are_sorted_and_filtered_by_keyboard(report: Path, opening: Opening) -> None:
    page = opening(report).page

    def shown() -> list[str]:
        tiles = page.locator(".gallery li:visible")
        return [str(of) for of in tiles.evaluate_all("all => all.map(of => of.dataset.name)")]

    assert shown() == ["b", "c", "a"]  # SEG 0.41, 0.51, 0.61
    page.focus("select[name=sort]")
    page.keyboard.press("ArrowDown")  # by name
    assert shown() == list(SIZES)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("B")
    assert shown() == ["b"]
    assert page.locator(".tools output").inner_text() == "1 of 3"


def test_a_table_is_sorted_by_keyboard(report: Path, opening: Opening) -> None:
    page = opening(report).page
    page.evaluate("document.querySelector('#data details').open = true")
    heads, first = page.locator("#data table.sorts th button"), page.locator("#data table.sorts")
    heads.first.focus()
    for ends, order in ((["a", "c"], "ascending"), (["c", "a"], "descending")):
        page.keyboard.press("Enter")
        names = first.locator("tbody th").all_inner_texts()
        assert [names[0], names[-1]] == ends
        assert first.locator("thead th").first.get_attribute("aria-sort") == order
    heads.get_by_text("object share", exact=True).click()
    assert first.locator("tbody th").all_inner_texts() == ["b", "a", "c"]  # 0.05, 0.1, 0.25


def test_without_scripts_the_page_reads_whole(report: Path, opening: Opening) -> None:
    page = opening(report, java_script_enabled=False).page
    assert page.locator(".gallery li").count() == 3
    assert page.locator(".gallery img").first.is_visible()
    assert not page.locator(".tools").is_visible()


@pytest.fixture(scope="module")
def volumes(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose image a is a volume."""
    folder = tmp_path_factory.mktemp("volumes") / "results"
    shutil.copytree(results, folder)
    draw_volume(folder, "a")
    return write(folder, folder / "report/index.html")


def test_the_slider_goes_through_the_planes_by_keyboard(volumes: Path, opening: Opening) -> None:
    opened = opening(volumes)
    page, slider = opened.page, "#planes input[type=range]"
    seen = page.locator("#planes .plane:visible")
    assert seen.count() == 3  # picture, truth, result
    line = page.locator("#planes .at.beside").first
    before, at_first = seen.first.get_attribute("src"), line.bounding_box()
    page.focus(slider)
    page.keyboard.press("End")
    assert page.locator("#planes output").inner_text() == "z = 29 of 30"
    assert page.get_attribute(slider, "aria-valuetext") == "z = 29 of 30"
    assert seen.count() == 3
    assert seen.first.get_attribute("src") != before
    at_end, views = line.bounding_box(), page.locator("#planes .views").first.bounding_box()
    assert at_first and at_end and views
    assert at_first["x"] < at_end["x"] < views["x"] + views["width"]
    assert opened.requests == opened.complaints == []


def test_without_scripts_the_middle_of_a_volume_is_shown(volumes: Path, opening: Opening) -> None:
    page = opening(volumes, java_script_enabled=False).page
    assert page.locator("#planes .views > img:visible").count() == 3
    assert not page.locator("#planes form").is_visible()


def test_print_cuts_nothing_off_and_opens_what_is_folded(report: Path, opening: Opening) -> None:
    page = opening(report, 718).page  # A4 upright within its margins
    page.emulate_media(media="print")
    assert page.evaluate(INSIDE)["overflow_px"] == 0
    cut = page.evaluate(
        """() => [...document.querySelectorAll("table, pre, figure, .card")]
          .filter(of => of.getBoundingClientRect().right > innerWidth + 1)
          .map(of => of.outerHTML.slice(0, 200))"""
    )
    assert cut == []
    folded = page.locator("details table")
    assert folded.count() > 2
    heights = folded.evaluate_all("all => all.map(of => of.getBoundingClientRect().height)")
    assert min(heights) > 10
    assert page.pdf(format="A4").startswith(b"%PDF")


SLIDE = (2100, 2600)  # [px]
WRONG = {"of_class": "cell", "kind": "missed", "wrong_px": 7, "top_px": 500, "left_px": 620}


@pytest.fixture(scope="module")
def zoomed(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a slide, and a place in it that is wrong: at its corner where it begins."""
    folder = tmp_path_factory.mktemp("zoomed") / "results"
    shutil.copytree(results, folder)
    tiles = draw_slide(folder, SLIDE)
    drawn = folder / "pictures/net/fold0/b.json"
    content = json.loads(drawn.read_text())
    wrong = WRONG | {"side_px": 60, "panels": [content["thumbnail"]] * 3}
    drawn.write_text(json.dumps(content | {"worst": [wrong]}))
    return write(folder, folder / "report/index.html", tiles=[tiles])


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(zoomed: Path, opening: Opening, width: int, scheme: str) -> None:
    page = opening(zoomed, width, scheme).page
    page.locator("#zoom").scroll_into_view_if_needed()
    page.wait_for_selector(".viewer canvas")
    page.evaluate("for (const of of document.querySelectorAll('details')) of.open = true")
    page.wait_for_timeout(500)  # until what was opened was told so
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js")
    page.evaluate(axe.read_text())
    found = page.evaluate("axe.run()")
    serious = {
        of["id"]: [node["html"][:200] for node in of["nodes"]][:3]
        for of in found["violations"]
        if of["impact"] in ("serious", "critical")
    }
    assert serious == {}
    assert len(found["passes"]) > 10  # it looked


def is_painted(page: "Page", colour: str) -> bool:
    """Whether a colour is in the viewer, which scripts may not ask of files beside the page."""
    shot = page.locator(".viewer").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    return bool((np.abs(pixels - rgb_bytes(colour)).max(axis=-1) < 24).any())


def test_a_slide_is_shown_to_its_pixels_and_layers_switch(zoomed: Path, opening: Opening) -> None:
    opened = opening(zoomed)
    page = opened.page
    assert opened.requests == []  # until the viewer is in sight
    page.locator("#zoom").scroll_into_view_if_needed()
    page.wait_for_selector(".viewer canvas")
    page.wait_for_timeout(1500)
    assert is_painted(page, SKY_BLUE) and not is_painted(page, CHOSEN)
    page.focus("#zoom input[name=truth]")
    page.keyboard.press("Space")
    page.wait_for_timeout(800)
    assert is_painted(page, CHOSEN)
    page.select_option("#zoom select[name=place]", "0")
    page.wait_for_timeout(1500)
    assert page.locator(".viewer .bar").inner_text() == "50 px"
    finest = [url for url in opened.requests if "/picture/3/" in url]
    assert {url.rpartition("/")[2] for url in finest} & {"1_0.jpg", "1_1.jpg"}
    assert all(url.startswith("file:") and "/report/tiles/net/" in url for url in opened.requests)
    assert opened.complaints == []
    assert not page.locator("#no-tiles").is_visible()


def test_a_page_without_its_tiles_says_so(zoomed: Path, tmp_path: Path, opening: Opening) -> None:
    alone = shutil.copy(zoomed, tmp_path / "alone.html")
    page = opening(Path(alone)).page
    page.locator("#zoom").scroll_into_view_if_needed()
    page.wait_for_selector("#no-tiles:visible")


@pytest.mark.parametrize("width", [1400, 390])
def test_foreign_text_is_shown_as_text(
    results: Path, tmp_path: Path, opening: Opening, width: int
) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    table = pd.read_csv(folder / "integrity.csv", dtype=str, keep_default_na=False)
    table.assign(group=HOSTILE, problems=HOSTILE).to_csv(folder / "integrity.csv", index=False)
    config = copy.deepcopy(CONFIG)
    published: Any = {"metric": "seg", "value": 0.9, "source": HOSTILE}
    config["report"] |= {"title": HOSTILE, "published": [published]}
    for name in ("a", "b"):
        receipt = folder / f"truth/{name}.json"
        content = json.loads(receipt.read_text())
        receipt.write_text(json.dumps(content | {"warnings": [HOSTILE]}))
    html = write(folder, tmp_path / "index.html", config, [with_weights(folder)])
    opened = opening(html, width)
    assert opened.complaints == opened.requests == []
    assert opened.page.title() == opened.page.locator("h1").inner_text() == HOSTILE
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("main").inner_text().count(HOSTILE) == 2  # published, and a warning
    assert opened.page.evaluate(INSIDE)["overflow_px"] == 0


def test_a_request_and_a_refusal_are_seen(tmp_path: Path, opening: Opening) -> None:
    outside = tmp_path / "outside.html"
    outside.write_text('<img src="http://example.invalid/a.png">')
    assert opening(outside).requests == ["http://example.invalid/a.png"]
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    outside.write_text(policy + '<img src="http://example.invalid/a.png">')
    refused = opening(outside)
    assert "Content Security Policy" in refused.complaints[0]
