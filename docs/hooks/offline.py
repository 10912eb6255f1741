"""Warns of pages that fetch something from the network: the site is to be read without one."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks.offline")
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"((?:https?:)?//[^\"]*)\""
    r"|<link\b[^>]*\brel=\"(?:stylesheet|preconnect|preload)\"[^>]*\bhref=\"((?:https?:)?//[^\"]*)\""
)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Look through a finished page."""
    for match in FETCHED.finditer(output):
        LOG.warning("%s fetches %s; keep it in docs/", page.file.src_uri, match[1] or match[2])
    return output
