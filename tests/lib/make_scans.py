"""Makes scans of every layout from real pixels (TOMOFS_DATA) or made-up ones: make_scans.py FOLDER

FOLDER/NAME/...   what is dropped in            FOLDER/NAME.npy   the pixels it holds, z y x
"""
import glob
import os
import sys

import numpy as np
import tifffile

out = sys.argv[1]
data = os.environ.get("TOMOFS_DATA")
rng = np.random.default_rng(7)


def folder(name):
    path = os.path.join(out, name)
    os.makedirs(path, exist_ok=True)
    return path


def save(name, volume):
    np.save(os.path.join(out, name + ".npy"), volume)


def stack(name, volume, **how):
    path = folder(name)
    for z, s in enumerate(volume):
        tifffile.imwrite(os.path.join(path, f"s_{z:04d}.tif"), s, photometric="minisblack", **how)
    save(name, volume)


def made_up():
    z, y, x = np.mgrid[0:13, 0:301, 0:277]
    v = 20000 + 9000 * np.sin(x / 9.0) * np.cos(y / 11.0) + 300 * z + rng.normal(0, 300, z.shape)
    return v.clip(0, 65535).astype(np.uint16)


def first_stack(pattern, limit):
    """The TIFF files of one folder that are alike, as a volume; None when there are none."""
    files = sorted(glob.glob(os.path.join(data, pattern), recursive=True))[:limit] if data else []
    slices = [tifffile.imread(f) for f in files]
    slices = [s for s in slices if s.ndim == 2 and s.shape == slices[0].shape and s.dtype == slices[0].dtype]
    return np.stack(slices) if slices else None


v = made_up()
stack("plain", v)
stack("big-endian", v, byteorder=">")
stack("deflate", v, compression="zlib")
stack("tiled", v, tile=(64, 64))
stack("strips", v, rowsperstrip=7)
stack("signed", (v.astype(np.int32) - 32768).astype(np.int16)[:5])
stack("bytes", (v >> 8).astype(np.uint8))
stack("floats", (v / np.float32(7)).astype(np.float32)[:4])
tifffile.imwrite(os.path.join(folder("pages"), "pages.tif"), v, photometric="minisblack")
save("pages", v)
raw = folder("raw")
v.tofile(os.path.join(raw, "raw.vol"))
with open(os.path.join(raw, "raw.vgi"), "w") as f:
    f.write("{volume1}\n[representation]\nsize = %d %d %d\ndatatype = unsigned integer\nbitsperelement = 16\n"
            "[file1]\nSkipHeader = 0\nFileFormat = raw\nSize = %d %d %d\nName = raw.vol\nDatatype = unsigned integer\n"
            "BitsPerElement = 16\n{volumeprimitive12}\n[geometry]\nresolution = 0.0125 0.0125 0.0125\nunit = mm\n"
            % (v.shape[2], v.shape[1], v.shape[0], v.shape[2], v.shape[1], v.shape[0]))
save("raw", v)
named = folder("named")
v.tofile(os.path.join(named, "n_%dx%dx%d_16bit.raw" % (v.shape[2], v.shape[1], v.shape[0])))
save("named", v)
def chest_ct():
    """Pixels of the DICOM slices: 512 x 512 of 16 bits, uncompressed, the last element of each file."""
    files = sorted(glob.glob(os.path.join(data, "ct_abdomen_dicom", "*.dcm"))) if data else []
    return [np.frombuffer(open(f, "rb").read()[-512 * 512 * 2:], "<u2").reshape(512, 512) for f in files]


ct = chest_ct()
if ct:
    stack("chest-ct", np.stack(ct))
for name, pattern in (("bone", "uct_bone_lhdl/**/*.tif*"), ("neutron", "neutron_stepwedge/**/*.tif*")):
    real = first_stack(pattern, 40)
    if real is not None:
        stack(name, real)
