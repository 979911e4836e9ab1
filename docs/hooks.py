"""What MkDocs does besides: pages that lie in the project's root are pages of the site too."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OF_ROOT = ("CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?!\w+:)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    for name in OF_ROOT:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **others: object) -> str:
    """Links between root and docs as the site has them; to other files of the project none."""
    at_root = page.file.src_uri in OF_ROOT

    def of_site(link: re.Match[str]) -> str:
        path, anchor = link["path"], link["anchor"] or ""
        if at_root and path not in OF_ROOT:
            path = path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"
        outside = path.startswith("../")
        if outside and path.removeprefix("../") in OF_ROOT:
            path, outside = path.removeprefix("../"), False
        return link["text"] if outside else f"[{link['text']}]({path}{anchor})"

    return LINK.sub(of_site, markdown)
