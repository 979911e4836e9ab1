"""A plot as the page holds it, and as files for papers: equal data give equal bytes."""

import io
import re
from html import escape

from matplotlib.figure import Figure

INK = "#010203"  # stands for currentColor while matplotlib draws


class Plotted(str):
    """An `svg` element for a page, without ids that two figures would share; and its files."""

    file = ""  # its name without ending, where it is written to files too
    svg_file = b""
    pdf_file = b""


def plotted(figure: Figure, alt: str) -> Plotted:
    """The figure, with text and axes in the colour of the text around it; black in its files."""
    text = _saved(figure, "svg", {"Date": None}).decode()
    inline = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    inline = re.sub(r'<g id="[^"]*"', "<g", inline).replace(INK, "currentColor")
    label = f'<svg class="plot" role="img" aria-label="{escape(alt, quote=True)}"'
    found = Plotted(inline.replace("<svg", label, 1))
    found.svg_file = text.replace(INK, "#000000").encode()
    found.pdf_file = _saved(figure, "pdf", {"CreationDate": None})
    return found


def _saved(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=form, transparent=True, metadata=metadata)
    return content.getvalue()
