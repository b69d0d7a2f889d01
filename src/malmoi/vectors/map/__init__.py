"""Words as points on a map: laid out by `drawing`, shown as one offline page by `page`."""

from malmoi.vectors.map.drawing import Analogy, WordMap, draw
from malmoi.vectors.map.page import page_html, write_page

__all__ = ["Analogy", "WordMap", "draw", "page_html", "write_page"]
