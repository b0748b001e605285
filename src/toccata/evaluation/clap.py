"""CLAP embeddings (Wu et al. 2023) of audio and text, through transformers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toccata.analysis.spectrum import Samples, to_mono
from toccata.errors import CheckpointError
from toccata.evaluation.embedders import Source, windows

# Trained on music; near the checkpoint that MusicGen's authors score with.
HUB_ID = "laion/larger_clap_music"
HOP_S = 1.0
MAX_TOKENS = 77
BATCH = 8

log = logging.getLogger(__name__)


class Clap:
    """A `WordEmbedder`: windows of 10 s, one every second; a shorter clip is repeated to fill one.

    model and processor are transformers' ClapModel and ClapProcessor.
    """

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:
        self._model = model.to(device).eval()
        self._extractor = processor.feature_extractor
        self._tokenizer = processor.tokenizer
        self._device = device
        self.sample_rate_hz = int(self._extractor.sampling_rate)
        self.window = int(self._extractor.nb_max_samples)

    @torch.inference_mode()
    def embed(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """Embed each window: [W, D], with a norm of 1."""
        audio = to_mono(samples, sample_rate_hz, self.sample_rate_hz)
        clips = windows(audio, self.window, round(HOP_S * self.sample_rate_hz))
        return torch.cat([self._embed(batch) for batch in torch.split(clips, BATCH)])

    @torch.inference_mode()
    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: [len(texts), D], with a norm of 1; tokens after the 77th are cut."""
        inputs = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        return _vectors(self._model.get_text_features(**inputs.to(self._device)))

    def _embed(self, clips: Tensor) -> Tensor:
        inputs = self._extractor(
            list(clips.numpy()),
            sampling_rate=self.sample_rate_hz,
            truncation="rand_trunc",  # one view of each window, none of which is too long
            return_tensors="pt",
        )
        features = inputs["input_features"].to(self._device, torch.float32)
        return _vectors(self._model.get_audio_features(input_features=features))


def load(source: Source) -> Clap:
    """Load CLAP from source.place, a hub id or a folder in transformers' layout.

    Raises:
        CheckpointError: It cannot be loaded, or picks windows at random (clap-htsat-fused).
    """
    place = source.place or HUB_ID
    model, processor = _read(place, source.offline)
    if model.config.audio_config.enable_fusion:
        raise CheckpointError(
            f"{place}: this CLAP picks parts of a clip at random; use {HUB_ID} or another one "
            "without fusion"
        )
    return Clap(model, processor, source.device)


def _read(place: str, offline: bool) -> tuple[Any, Any]:
    from transformers import ClapModel, ClapProcessor

    log.info("CLAP from %s", place)
    try:
        processor = ClapProcessor.from_pretrained(place, local_files_only=offline)
        model = ClapModel.from_pretrained(place, local_files_only=offline)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{place}: CLAP cannot be loaded ({reason}); measure once while online, or give a "
            "folder in transformers' layout with --weights clap=FOLDER"
        ) from error
    return model, processor


def _vectors(output: Any) -> Tensor:
    """transformers 5.0 returns the vectors, later versions an output that holds them."""
    vectors: Tensor = getattr(output, "pooler_output", output)
    return vectors.float().cpu()
