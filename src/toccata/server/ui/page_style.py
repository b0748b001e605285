"""The style sheet of the page.

On narrow screens the order is: what is asked for, what was made, options, what was made before.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

_FONT, _FONT_MONO = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")

CSS = """
.gradio-container {max-width: 1200px !important; margin: 0 auto !important}
body.dark {color-scheme: dark}
:focus-visible {outline: 2px solid var(--color-accent) !important; outline-offset: 2px}
#work {
  display: grid; align-items: start; gap: 1rem 1.25rem;
  grid-template: "ask result" auto "options result" auto "options past" 1fr
    / minmax(0, 1fr) minmax(0, 1fr);
}
#work > * {min-width: 0; width: 100%}
#ask {grid-area: ask} #result {grid-area: result}
#options {grid-area: options} #past {grid-area: past}
@media (max-width: 800px) {
  #work {grid-template: "ask" "result" "options" "past" / minmax(0, 1fr)}
}
#work:not(:has(#players audio)) :is(#again, .call) {display: none}
#status [role=status] {font-size: var(--text-lg); overflow-wrap: anywhere}
:is(#status, #players, #picture, #history) {padding: 0 !important}
:is(#status, #players, #picture, #history) > * {padding: 0 !important}
#status progress {
  appearance: none; border: 0; border-radius: 4px; display: block; height: 8px; margin: .5rem 0;
  overflow: hidden; width: 100%; background: var(--border-color-primary);
}
#status progress::-webkit-progress-bar {background: var(--border-color-primary)}
#status progress::-webkit-progress-value {background: var(--color-accent)}
#status progress::-moz-progress-bar {background: var(--color-accent)}
#input-input_audio :is(button:not(.selected), time) {color: var(--body-text-color-subdued)}
#options .form label.container {display: flex; flex-direction: column; height: 100%}
#options .form label.container > :last-child {margin-top: auto}
.players figure {margin: 0 0 .75rem}
.players figcaption, #picture figcaption {font-size: var(--text-sm)}
.players audio {display: block; width: 100%}
#picture figure {margin: 0}
#picture img {
  width: 100%; padding: .5rem; background: #101218; margin-bottom: .25rem;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
}
#history details {border-top: 1px solid var(--border-color-primary); padding: .5rem 0}
#history summary {cursor: pointer; overflow-wrap: anywhere}
#history p {margin: .5rem 0; overflow-wrap: anywhere}
#history h2 {font-size: var(--text-lg); font-weight: 600; margin-bottom: .5rem}
"""


def theme() -> Any:
    """The plain theme, with hints that can be read in the light and in the dark."""
    return gr.themes.Base(font=_FONT, font_mono=_FONT_MONO).set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_800", block_title_text_color_dark="*neutral_100",
        block_label_text_color="*neutral_700", block_label_text_color_dark="*neutral_200",
        input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_400",
    )  # fmt: skip
