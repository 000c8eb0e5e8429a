"""Small files as the programs of microscopes write them, with the parts that a reader needs."""

import importlib.util
import struct

import numpy as np
import tifffile

LIBRARIES = {".czi": "pylibCZIrw", ".nd2": "nd2", ".lif": "liffile", ".oif": "oiffile"}


def installed(suffix):
    return importlib.util.find_spec(LIBRARIES[suffix]) is not None


def write_czi(path, scenes, scale=1e-7, names=("DAPI", "GFP"), step=100):
    """Scenes of (T, C, Z, Y, X) or, of colour, (Y, X, 3), by Zeiss's own library."""
    from pylibCZIrw import czi

    with czi.create_czi(str(path)) as file:
        for number, scene in enumerate(scenes):
            place = {"location": (step * number, 0), "scene": number}
            if scene.shape[-1] == 3:
                file.write(np.ascontiguousarray(scene[..., ::-1]), **place)  # blue, green, red
                continue
            for t, c, z in np.ndindex(*scene.shape[:3]):
                file.write(scene[t, c, z][..., None], plane={"T": t, "C": c, "Z": z}, **place)
        file.write_metadata(
            "sample", channel_names=dict(enumerate(names)), scale_x=scale, scale_y=2 * scale, scale_z=5 * scale
        )


def write_lif(path, images, pixel=1e-7):
    """Images of uint16, (T, Z, Y, X) each, by name."""
    elements, blocks = [], []
    for number, (name, image) in enumerate(images.items()):
        steps = zip((1, 2, 3, 4), image.shape[::-1], image.strides[::-1], (1, 2, 5, 1e7), strict=True)
        dimensions = "".join(
            f'<DimensionDescription DimID="{dim}" NumberOfElements="{size}" Origin="0" '
            f'Length="{(size - 1) * pixel * factor}" Unit="m" BitInc="0" BytesInc="{stride}"/>'
            for dim, size, stride, factor in steps
        )
        channel = (
            '<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            'Max="65535" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/>'
        )
        elements.append(
            f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channel}</Channels>'
            f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{image.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        label = f"MemBlock_{number}"
        head = struct.pack("<IIBQBI", 0x70, 13 + 2 * len(label), 0x2A, image.nbytes, 0x2A, len(label))
        blocks.append(head + label.encode("utf-16-le") + image.astype("<u2").tobytes())
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="sample"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    )
    head = struct.pack("<IIBI", 0x70, 5 + 2 * len(xml), 0x2A, len(xml))
    path.write_bytes(head + xml.encode("utf-16-le") + b"".join(blocks))


def write_oif(path, array):
    """An image of uint16, (C, Z, Y, X), and the folder of its planes."""
    folder = path.with_name(path.name + ".files")
    folder.mkdir()
    sections = {
        "ProfileSaveInfo": {"Name": f'"{path.stem}"', "Version": '"1.0.0.0"'},
        "Axis Parameter Common": {"AxisOrder": '"XYCZ"'},
        "Axis 3 Parameters Common": {
            "AxisCode": '"Z"',
            "MaxSize": array.shape[1],
            "Interval": 500.0,
            "PixUnit": '"nm"',
        },
        "Reference Image Parameter": {
            **{"WidthConvertValue": 0.1, "WidthUnit": '"um"', "HeightConvertValue": 0.2, "HeightUnit": '"um"'},
            "ValidBitCounts": 12,
        },
    }
    text = "".join(
        f"[{name}]\r\n" + "".join(f"{key}={value}\r\n" for key, value in items.items())
        for name, items in sections.items()
    )
    path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    for c, z in np.ndindex(*array.shape[:2]):
        name = f"s_C{c + 1:03d}Z{z + 1:03d}.tif"
        tifffile.imwrite(folder / name, array[c, z], photometric="minisblack")


def _clx(name, value):
    """A value as in the XML of ND2 files before version 3."""
    if isinstance(value, dict):
        return f'<{name} runtype="CLxVariant">{"".join(_clx(key, one) for key, one in value.items())}</{name}>'
    kind = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}[type(value)]
    return f'<{name} runtype="{kind}" value="{str(value).lower() if kind == "bool" else value}"/>'


def write_nd2(path, array, pixel=0.1, names=("DAPI", "GFP"), calibrated=True):
    """A file of version 2, uint16, (T, C, Y, X), or (P, T, C, Y, X) of positions."""
    positions = array.shape[0] if array.ndim == 5 else 0
    count, channels, height, width = array.shape[-4:]
    array = array.reshape(-1, channels, height, width)
    frames, plane = len(array), {"pFluorescentProbe": {"m_sName": "probe"}} if calibrated else {}
    planes = {
        f"a{c}": {**plane, "sDescription": name, "uiCompCount": 1, "uiColor": 255}
        for c, name in enumerate(names[:channels])
    }
    attributes = {"uiWidth": width, "uiHeight": height, "uiWidthBytes": 2 * width * channels, "uiComp": channels}
    attributes |= {"uiBpcInMemory": 16, "uiBpcSignificant": 12, "uiSequenceCount": frames, "eCompression": 2}
    loop = {"uiCount": count, "dStart": 0.0, "dPeriod": 2000.0, "dDuration": 0.0, "dMinPeriodDiff": 0.0}
    loop |= {"dMaxPeriodDiff": 0.0, "dAvgPeriodDiff": 2000.0}
    experiment = {"eType": 1, "uLoopPars": loop}
    if positions:
        points = {"Points": {f"a{n}": {"dPosX": float(n), "dPosY": 0.0} for n in range(positions)}}
        experiment = {"eType": 2, "uLoopPars": points, "ppNextLevelEx": {"a0": experiment}}
    texts = {
        "ImageAttributes!": attributes,
        "ImageMetadataSeq|0!": {
            **{"bCalibrated": True, "dCalibration": pixel},
            "sPicturePlanes": {"uiCount": channels, "sPlaneNew": planes},
        },
        "ImageMetadata!": experiment,
    }
    texts = {name: f'<variant version="1.0">{_clx("no_name", value)}</variant>' for name, value in texts.items()}
    chunks = {name: text.encode() for name, text in texts.items()}
    for number, frame in enumerate(array):
        chunks[f"ImageDataSeq|{number}!"] = bytes(8) + frame.transpose(1, 2, 0).astype("<u2").tobytes()
    data, places = bytearray(_chunk("ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver2.1".ljust(64, b"\0"), 32)), {}
    for name, content in chunks.items():
        places[name] = (len(data), len(content))
        # Pixels begin 4096 bytes behind the place that the map says, of which 16 are a head and 8 a time.
        data += _chunk(name, content, 4096 - 16 - 8 if name.startswith("ImageData") else 64)
    table = b"".join(name.encode() + struct.pack("<QQ", *place) for name, place in places.items())
    signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    end = struct.pack("<32sQ", signature, len(data))
    data += _chunk("ND2 FILEMAP SIGNATURE NAME 0001!", table + end, 32)
    path.write_bytes(data)


def _chunk(name, content, reserved):
    return struct.pack("<IIQ", 0x0ABECEDA, reserved, len(content)) + name.encode().ljust(reserved, b"\0") + content


def write_vendor_samples(folder, stack):
    """A file (4, 9, 8) of each format whose library is here."""
    if installed(".czi"):
        write_czi(folder / "stack.czi", [stack[:, None, None]])
    if installed(".nd2"):
        write_nd2(folder / "stack.nd2", stack[:, None])
    if installed(".lif"):
        write_lif(folder / "stack.lif", {"one": stack[:, None]})
