"""SVG in a page: what a figure names in itself is named apart from other figures."""

import re
from collections.abc import Callable
from itertools import count

from markupsafe import Markup

NAMED = re.compile(r'(\bid="|url\(#|href="#)')


def numbered_figures() -> Callable[[str], Markup]:
    """A filter for templates: an `svg` element as it is, with ids that the page has once.

    >>> figure = numbered_figures()
    >>> str(figure('<path id="a"/><use href="#a"/>')), str(figure('<path id="a"/>'))
    ('<path id="f1-a"/><use href="#f1-a"/>', '<path id="f2-a"/>')
    """
    numbers = count(1)

    def figure(svg: str) -> Markup:
        return Markup(NAMED.sub(rf"\g<1>f{next(numbers)}-", svg))

    return figure
