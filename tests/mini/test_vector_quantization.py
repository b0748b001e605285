from __future__ import annotations

import torch

from recipes.mini.codec.vector_quantization import CodebookLearner, k_means
from toccata.codecs.quantizer import ResidualQuantizer


def clusters(count: int, each: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(count, 4, generator=generator)
    spread = torch.randn(count * each, 4, generator=generator)
    return centres.repeat_interleave(each, 0) + 0.01 * spread


def learner(card: int = 32) -> CodebookLearner:
    torch.manual_seed(0)
    return CodebookLearner(ResidualQuantizer(2, card, 4))


def test_k_means_lowers_the_distance_to_the_nearest_centre() -> None:
    torch.manual_seed(0)
    points = clusters(8, 50)
    errors = [torch.cdist(points, k_means(points, 8, n)[0]).amin(1).mean() for n in (1, 10)]
    assert errors[1] < errors[0]


def test_started_codebooks_code_what_they_were_started_on() -> None:
    points, books = clusters(16, 40), learner()
    books.start(points)
    quantizer = books._quantizer[0]
    latents = points.T[None]
    coded = quantizer.decode(quantizer.encode(latents))
    assert (coded - latents).square().mean() < 0.05 * latents.var()


def test_gradients_pass_straight_through() -> None:
    books = learner()
    books.start(clusters(16, 40))
    latents = torch.randn(1, 4, 10, requires_grad=True)
    quantized, _ = books(latents)
    quantized.sum().backward()
    assert latents.grad is not None
    assert torch.equal(latents.grad, torch.ones_like(latents))


def test_unused_codes_are_revived_and_usage_is_spread() -> None:
    books = learner()
    books.books.data.fill_(100.0)  # nobody's neighbour
    books.train()
    latents = clusters(32, 20).T[None]
    for _ in range(50):
        books(latents)
    used = torch.unique(books._quantizer[0].encode(latents)[0, 0])
    assert len(used) >= 24


def test_codebooks_stand_still_in_evaluation() -> None:
    books = learner()
    books.start(clusters(16, 40))
    before = books.books.clone()
    books.eval()
    books(torch.randn(1, 4, 10))
    assert torch.equal(books.books, before)
