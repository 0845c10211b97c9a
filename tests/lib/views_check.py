"""Compares views with what numpy makes of the same pixels: views_check.py MNT NAME REFERENCE.npy [VOXEL_UM]

Every level's slices and its ImageJ stack: each voxel is the rounded mean of the up to 2x2x2 voxels of the level above, the
dimensions are the halved ones rounded up, the voxel size is doubled on halved axes.
"""
import os
import sys

import numpy as np
import tifffile


def halve(v):
    """Rounded mean (halves upward) of 2x2x2 blocks; at odd edges of what is there. Written from the definition."""
    z, y, x = v.shape
    out_shape = ((z + 1) // 2, (y + 1) // 2, (x + 1) // 2)
    floating = v.dtype.kind == "f"
    total = np.zeros(out_shape, np.float64 if floating else object if v.dtype.itemsize == 8 else np.int64)
    count = np.zeros(out_shape, np.int64)
    for dz in range(2):
        for dy in range(2):
            for dx in range(2):
                part = v[dz::2, dy::2, dx::2]
                where = tuple(slice(0, n) for n in part.shape)
                total[where] += part
                count[where] += 1
    if floating:
        return (total / count).astype(v.dtype)
    return ((total + count // 2) // count).astype(v.dtype)


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)


def main():
    mnt, name = sys.argv[1:3]
    volume = np.load(sys.argv[3])
    voxel = float(sys.argv[4]) if len(sys.argv) > 4 else None
    folder = os.path.join(mnt, "views", name)
    stem = name[: -len(os.path.splitext(name)[1])] if name.lower().endswith((".tif", ".tiff")) else name
    with tifffile.TiffFile(os.path.join(folder, stem + ".tif")) as t:
        full = t.asarray()
    if not same(full.reshape(volume.shape), volume):
        sys.exit(f"{name}: {stem}.tif differs from the original pixels")
    level, factor = volume, 1
    while True:
        factor *= 2
        level = halve(level)
        sub = os.path.join(folder, f"{factor}x")
        if not os.path.isdir(sub):
            break
        names = sorted(os.listdir(sub))
        if len(names) != level.shape[0]:
            sys.exit(f"{name}: {factor}x has {len(names)} slices, expected {level.shape[0]}")
        for z, slice_name in enumerate(names):
            got = tifffile.imread(os.path.join(sub, slice_name))
            if not same(got, level[z]):
                sys.exit(f"{name}: {factor}x/{slice_name} differs from the mean of its blocks")
        with tifffile.TiffFile(os.path.join(folder, f"{stem}_{factor}x.tif")) as t:
            if not same(t.asarray().reshape(level.shape), level):
                sys.exit(f"{name}: {stem}_{factor}x.tif differs from the mean of its blocks")
            if voxel:
                tag = t.pages[0].tags["XResolution"].value
                um = tag[1] / tag[0]
                if abs(um / (voxel * factor) - 1) > 1e-4:
                    sys.exit(f"{name}: {factor}x has voxels of {um} um, expected {voxel * factor}")
    if factor == 2:
        sys.exit(f"{name}: has no 2x")


main()
