"""Words as points on a map: laid out by `drawing`, shown as one offline page by `page`."""

from malmoi.vector_map.drawing import Analogy, WordMap, draw
from malmoi.vector_map.page import page_html, write_page

__all__ = ["Analogy", "WordMap", "draw", "page_html", "write_page"]
