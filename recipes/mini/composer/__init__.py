"""Endless music with exact facts, for training: every onset lies on the codec's frame grid.

compose(seed) -> Composition -> Renderer.render -> audio        caption(song.facts) -> text
"""
