#!/usr/bin/python3
"""variants.py STACK OUT - one volume as people hold it several times: writes OUT/<kind>/ for every kind from the TIFF slices in STACK."""
import os
import sys

import numpy
import tifffile


def main(stack, out):
    names = sorted(n for n in os.listdir(stack) if n.endswith('.tif'))
    volume = numpy.stack([tifffile.imread(os.path.join(stack, n)) for n in names])
    z, y, x = volume.shape

    def place(kind, name):
        os.makedirs(os.path.join(out, kind), exist_ok=True)
        return os.path.join(out, kind, name)

    little = volume.astype(volume.dtype.newbyteorder('<'))
    little.tofile(place('raw', 'volume_%dx%dx%d_%dbit.raw' % (x, y, z, 8 * volume.itemsize)))
    with tifffile.TiffWriter(place('multipage', 'volume.tif')) as writer:
        for page in volume:
            writer.write(page, contiguous=False, metadata=None)
    tifffile.imwrite(place('imagej', 'volume.tif'), volume, imagej=True)
    for i, page in enumerate(volume):
        tifffile.imwrite(place('bigendian', 'slice_%05d.tif' % i), page, byteorder='>')
        tifffile.imwrite(place('header', 'slice_%05d.tif' % i), page, description='edited by hand, the %d. slice' % i, software='viewer')
    with tifffile.TiffWriter(place('crop', 'part.tif')) as writer:
        for page in volume[z // 4:3 * z // 4]:
            writer.write(page, contiguous=False, metadata=None)


main(*sys.argv[1:])
