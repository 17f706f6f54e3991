"""What a model is published with: who made it, under which licence, and what to cite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Author:
    """Somebody who made a model."""

    name: str
    affiliation: str | None = None
    orcid: str | None = None
    github_user: str | None = None


@dataclass(frozen=True)
class Citation:
    """A work that users of a model are asked to cite; it has a DOI or a URL."""

    text: str
    doi: str | None = None
    url: str | None = None


U_NET = Citation(
    "Ronneberger, Fischer and Brox: U-Net, convolutional networks for biomedical image "
    "segmentation. MICCAI 2015",
    doi="10.1007/978-3-319-24574-4_28",
)
"""Cited where nothing else is."""


@dataclass(frozen=True)
class Publication:
    """How a model is presented to others.

    Attributes:
        name: Its title; letters, digits, spaces and `_+-()`, 5 to 64 of them.
        description: A sentence or two; by default what the model's card tells.
        authors: Those to ask.
        license: An identifier of the SPDX list, of the weights.
        cite: What to cite.
        tags: Words to find it by.
    """

    name: str
    description: str = ""
    authors: Sequence[Author] = ()
    license: str = "CC-BY-4.0"
    cite: Sequence[Citation] = (U_NET,)
    tags: Sequence[str] = ()

    def to_mapping(self) -> dict[str, Any]:
        """The values under their names, as JSON can hold them."""
        return asdict(self)
