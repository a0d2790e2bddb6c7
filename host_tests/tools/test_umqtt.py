"""tools/umqtt.py: where umqtt.simple is, and its download, which must be the pinned one."""

import hashlib
import io
import tarfile

import pytest

from tools import files, umqtt


def archive(text):
    """A tar.gz that holds `text` (bytes) as umqtt/simple.py."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(umqtt.MEMBER)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


def test_archive_with_another_digest_is_refused():
    with pytest.raises(ValueError, match="not the pinned"):
        umqtt.unpack(archive(b"import os"))


def test_pinned_archive_is_unpacked(monkeypatch):
    data = archive(b"class MQTTClient: pass\n")
    monkeypatch.setattr(umqtt, "SHA256", hashlib.sha256(data).hexdigest())
    assert umqtt.unpack(data) == b"class MQTTClient: pass\n"


def test_downloaded_copy_is_the_pinned_version(monkeypatch):
    monkeypatch.delenv("UMQTT", raising=False)
    source = (umqtt.folder() / "umqtt" / "simple.py").read_bytes()
    assert hashlib.sha256(source).hexdigest() == (
        "8555d2f654deb8eb0d724f79b0811a78cc94029d070f3d96bbd74288653d63a5"
    )


def test_umqtt_variable_names_the_folder(monkeypatch, tmp_path):
    (tmp_path / "umqtt").mkdir()
    (tmp_path / "umqtt" / "simple.py").touch()
    monkeypatch.setenv("UMQTT", str(tmp_path))
    assert umqtt.folder() == tmp_path


def test_folder_without_umqtt_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("UMQTT", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="has no umqtt/simple.py"):
        umqtt.folder()


@pytest.fixture
def nothing_downloaded(monkeypatch, tmp_path):
    """A machine without umqtt.simple, whose registry gives the archive in the list it yields."""
    found = []
    monkeypatch.delenv("UMQTT", raising=False)
    monkeypatch.setattr(files, "downloads", lambda: tmp_path)
    monkeypatch.setattr(umqtt, "_archive", found.pop)
    return found


def test_umqtt_is_downloaded_once(monkeypatch, nothing_downloaded, tmp_path):
    data = archive(b"class MQTTClient: pass\n")
    monkeypatch.setattr(umqtt, "SHA256", hashlib.sha256(data).hexdigest())
    nothing_downloaded.append(data)
    assert umqtt.folder() == umqtt.folder() == tmp_path / f"umqtt-{umqtt.VERSION}"
    assert [p.name for p in (umqtt.folder() / "umqtt").iterdir()] == ["simple.py"]


def test_a_failed_download_is_one_clear_error(nothing_downloaded, tmp_path):
    nothing_downloaded.append(b"something else")
    with pytest.raises(FileNotFoundError, match="could not be downloaded: .* UMQTT="):
        umqtt.folder()
    assert not list(tmp_path.iterdir())


def test_loading_downloads_nothing_and_names_the_command(nothing_downloaded):
    with pytest.raises(ImportError, match="python -m tools umqtt"):
        umqtt.load()
