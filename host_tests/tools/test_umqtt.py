"""tools/umqtt.py: only the pinned archive of umqtt.simple is accepted."""

import hashlib
import io
import tarfile

import pytest

from tools import umqtt


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


def test_fetched_copy_is_the_pinned_version():
    source = (umqtt.FETCHED / "umqtt" / "simple.py").read_bytes()
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
