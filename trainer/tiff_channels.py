"""Whether the pages of a TIFF are the channels of a section, and not sections."""

from __future__ import annotations

from xml.etree import ElementTree

import tifffile

# What tifffile says of a channel that it was told nothing about.
_PLAIN = {"ID", "SamplesPerPixel"}


def is_of_channels(tiff: tifffile.TiffFile, axes: str) -> bool:
    """Whether the file means channels by its axis `C`.

    tifffile names the first axis so of any stack that it writes for ImageJ or as OME-TIFF without
    being told of the axes: such files say no more than that, and hold sections.

    Args:
        tiff: Whose header tells more.
        axes: Letters of the axes that are longer than 1.
    """
    if "C" not in axes:
        return False
    if tiff.imagej_metadata:
        return bool(tiff.imagej_metadata.get("mode", "grayscale") != "grayscale")
    return tiff.ome_metadata is None or _describes_channels(tiff.ome_metadata)


def _describes_channels(ome: str) -> bool:
    try:
        elements = ElementTree.fromstring(ome).iter()
    except ElementTree.ParseError:
        return False
    channels = (each for each in elements if each.tag.rpartition("}")[2] == "Channel")
    return any(set(channel.attrib) - _PLAIN for channel in channels)
