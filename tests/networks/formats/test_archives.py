"""Zip archives: unpacked whole, or refused in one line with nothing left behind."""

import zipfile

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.networks.formats import archives, unpacked
from gaintuning_tf.networks.formats.archives import names_in


def packed(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_folder_holds_what_the_archive_does_and_goes(tmp_path):
    path = packed(tmp_path / "a.zip", **{"a.txt": "one", "inner/b.txt": "two"})
    with unpacked(path) as folder:
        assert (folder / "a.txt").read_text() == "one"
        assert (folder / "inner" / "b.txt").read_text() == "two"
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "..\\out.txt"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = packed(tmp_path / "in" / "a.zip", **{name: "x"})
    with pytest.raises(InputError, match="no name for a part"), unpacked(path):
        pass
    assert not (tmp_path / "out.txt").exists()


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS", 2**20)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("zeros", bytes(2**22))
    with pytest.raises(InputError, match=f"expands to {2**22} bytes"), unpacked(path):
        pass


def test_what_is_no_archive_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"no archive")
    assert names_in(path) == []
    with pytest.raises(InputError, match=r"cannot unpack .*a.zip: no sound zip archive") as caught, unpacked(path):
        pass
    assert "\n" not in str(caught.value)
