"""Effects that turn notes of a soundfont into a recording: a chain for each genre.

saturate -> compress -> chorus -> equalise and reverberate -> level

Effects are light: the language model learns codes, and the same stroke should give nearly the same
codes each time.
"""
