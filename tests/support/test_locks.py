"""One process at a time writes an output."""

import os
import subprocess
import sys

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.support.locks import PartialLock, partial_path

HOLD = (
    "import sys; from pathlib import Path; from gaintuning_tf.support.locks import PartialLock\n"
    "lock = PartialLock(Path(sys.argv[1]), folder=bool(int(sys.argv[2])), resume=False)\n"
    "print('held', flush=True); sys.stdin.read()"
)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such locks")
@pytest.mark.parametrize("folder", [False, True])
def test_a_second_process_is_told_until_the_first_has_ended(tmp_path, folder):
    path = tmp_path / ".a.partial"
    command = [sys.executable, "-c", HOLD, str(path), str(int(folder))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another process is writing"):
            PartialLock(path, folder=folder, resume=False)
        holder.kill()  # without a chance to clean up
        holder.wait()
        PartialLock(path, folder=folder, resume=True).release()


def test_a_file_that_was_renamed_while_waiting_is_not_the_lock(tmp_path, monkeypatch):
    path = tmp_path / ".a.partial"
    plain = PartialLock._lock
    seen = []

    def committed_meanwhile(lock, descriptor):
        if not seen:
            seen.append(path.rename(tmp_path / "a"))
        return plain(lock, descriptor)

    monkeypatch.setattr(PartialLock, "_lock", committed_meanwhile)
    lock = PartialLock(path, folder=False, resume=False)
    assert path.exists() and not path.samefile(tmp_path / "a")
    lock.release()
    lock.release()


def test_the_name_depends_on_the_output_alone_and_on_what_a_link_leads_to(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.tif").symlink_to(tmp_path / "there" / "a.tif")
    assert partial_path(tmp_path / "link.tif") == tmp_path / "there" / ".a.tif.partial"
    assert partial_path(tmp_path / "there" / "a.tif") == tmp_path / "there" / ".a.tif.partial"


def test_nothing_to_resume_is_said_and_nothing_made(tmp_path):
    with pytest.raises(InputError, match="found none"):
        PartialLock(tmp_path / ".a.partial", folder=False, resume=True)
    assert os.listdir(tmp_path) == []


def test_what_is_in_the_way_of_the_partial_file_is_removed_but_not_followed(tmp_path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / ".a.partial").symlink_to(tmp_path / "precious")
    PartialLock(tmp_path / ".a.partial", folder=False, resume=False).release()
    assert (tmp_path / "precious").read_text() == "x"
    assert not (tmp_path / ".a.partial").is_symlink()
