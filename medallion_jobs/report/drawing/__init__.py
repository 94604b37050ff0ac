"""A pipeline's graph, drawn: as Mermaid, as an SVG and as a page."""

__all__ = ["mermaid", "page", "svg"]
