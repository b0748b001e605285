"""HuBERT (Hsu et al. 2021), which computes features of raw audio; MERT (Li et al. 2023) is one.

The network is that of transformers; its shape is checked here, before any memory is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils.parametrize import remove_parametrizations

from toccata.config_limits import check_limits


@dataclass(frozen=True)
class HubertConfig:
    """The shape of HuBERT; the defaults are those of HuBERT-base and MERT-v1-95M.

    The strides of the convolutions multiply to 320 samples per feature.

    Raises:
        CheckpointError: If a number is out of range.
    """

    dim: int = 768
    layers: int = 12
    heads: int = 12
    ffn_dim: int = 3072
    conv_dims: tuple[int, ...] = (512,) * 7
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    position_kernel: int = 128
    position_groups: int = 16
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_limits(self)


class Hubert(nn.Module):
    """Computes the last hidden states [B, T, D] of mono audio [B, N]."""

    def __init__(self, cfg: HubertConfig) -> None:
        from transformers import HubertConfig as Config
        from transformers import HubertModel

        super().__init__()
        config = Config(
            hidden_size=cfg.dim,
            num_hidden_layers=cfg.layers,
            num_attention_heads=cfg.heads,
            intermediate_size=cfg.ffn_dim,
            conv_dim=cfg.conv_dims,
            conv_kernel=cfg.conv_kernels,
            conv_stride=cfg.conv_strides,
            num_conv_pos_embeddings=cfg.position_kernel,
            num_conv_pos_embedding_groups=cfg.position_groups,
            layer_norm_eps=cfg.norm_eps,
            mask_time_prob=0.0,
            mask_feature_prob=0.0,
        )
        self.model = HubertModel(config)
        # The norm of these weights serves training alone.
        remove_parametrizations(self.model.encoder.pos_conv_embed.conv, "weight")

    def forward(self, audio: Tensor) -> Tensor:
        features: Tensor = self.model(audio).last_hidden_state
        return features
