"""The two texts: unchanged, and read as the chapter says."""

import hashlib
import re
from importlib import resources

import pytest
import torch

from lrsparse.models import bigrams

TEXTS = resources.files("lrsparse").joinpath("texts")


@pytest.mark.parametrize("name", ["genesis", "opticks"])
def test_a_text_is_the_one_its_readme_describes(name: str) -> None:
    data = TEXTS.joinpath(f"{name}.txt").read_bytes()
    assert hashlib.sha256(data).hexdigest() in TEXTS.joinpath("README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["genesis", "opticks"])
def test_letters_are_the_text_without_what_is_no_letter(name: str) -> None:
    x = bigrams.letters(name)
    back = "".join(bigrams.ALPHABET[i] for i in x)
    text = TEXTS.joinpath(f"{name}.txt").read_text(encoding="utf-8").lower().replace("æ", "ae")
    assert re.sub("[^a-z]", "", text) == "".join(
        b if a == "*" else a
        for a, b in zip(back.replace(" ", ""), re.sub("[^a-z]", "", text), strict=True)
        if a != "*" or b in "jkqvxz"
    )
    assert x.dtype == torch.long and len(x) > 100_000
    assert "  " not in back and back[0] != " " and back[-1] == " "
    assert x.bincount(minlength=len(bigrams.ALPHABET)).min() > 500  # the six rarest letters share one symbol


def test_pairs_of_letters_make_a_task() -> None:
    x = bigrams.letters("opticks")
    pairs = torch.zeros(22, 22, dtype=torch.float64)
    pairs.index_put_((x.roll(-1), x), torch.ones(len(x), dtype=torch.float64), accumulate=True)
    task = bigrams.ContextualBigram(pairs / pairs.sum(0), torch.full((4, 22), 0.25, dtype=torch.float64))
    assert (task.mu - x.bincount(minlength=22) / len(x)).abs().max() < 1e-7  # the text as a ring: P mu = mu


def test_an_unknown_text_is_refused() -> None:
    with pytest.raises(ValueError, match='name must be "genesis" or "opticks", got \'exodus\''):
        bigrams.letters("exodus")
