"""A Cog predictor with the inputs of the hosted model, which does what the tests' worker does."""

import re
import tempfile
import time
import wave

from cog import BasePredictor, Input, Path

MODELS = ["melody", "large", "encode-decode"]
STRATEGIES = ["loudness", "clip", "peak", "rms"]


class Predictor(BasePredictor):
    def predict(  # noqa: PLR0917 - the names are what counts
        self,
        model_version: str = Input(description="Which", default="melody", choices=MODELS),
        prompt: str = Input(description="What", default=None),
        input_audio: Path = Input(description="Audio", default=None),  # noqa: B008
        duration: int = Input(description="Seconds", default=8, le=30),
        continuation: bool = Input(description="Carry on?", default=False),
        continuation_start: int = Input(description="From", default=0, ge=0),
        continuation_end: int = Input(description="To", default=None, ge=0),
        normalization_strategy: str = Input(
            description="Level", default="loudness", choices=STRATEGIES
        ),
        top_k: int = Input(description="k", default=250),
        top_p: float = Input(description="p", default=0.0),
        temperature: float = Input(description="t", default=1.0),
        classifier_free_guidance: int = Input(description="cfg", default=3),
        output_format: str = Input(description="Kind", default="wav", choices=["wav", "mp3"]),
        seed: int = Input(description="Seed", default=None),
    ) -> Path:
        if prompt is None and input_audio is None:
            raise ValueError("prompt is missing; give a prompt, input_audio or both")
        if prompt and "fail" in prompt:
            raise ValueError("prompt: it says fail")
        ends_s = time.monotonic() + float((re.findall(r"slow ([\d.]+)", prompt or "") or [0])[0])
        while time.monotonic() < ends_s:
            time.sleep(0.05)
        path = Path(tempfile.mkdtemp()) / "out.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(2 * 8000 * duration))
        return path
