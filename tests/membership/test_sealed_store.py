"""A verifier's sealed bytes: private, bounded, there again after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2penergy.membership import sealed_store
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.sealed_store import SealedStore


def test_what_is_kept_is_private_and_there_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    store = SealedStore(folder)
    assert not folder.exists()
    store.keep(b"a" * 32, b"bytes")
    store.keep(b"a" * 32, b"bytes")
    assert len(store) == 1
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    assert SealedStore(folder).read(b"a" * 32) == b"bytes"
    assert store.read(b"b" * 32) is None


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_store, "REQUESTS_KEPT_MAX", 3)
    store = SealedStore(tmp_path / "sealed")
    for number in range(5):
        store.keep(bytes([number]) * 32, b"x")
    assert [store.read(bytes([number]) * 32) for number in range(5)] == [None, None, b"x", b"x", b"x"]
    assert len(list((tmp_path / "sealed").iterdir())) == len(store) == 3


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sealed").mkdir(mode=0o755)
    with pytest.raises(KeyFileError, match="chmod 700"):
        SealedStore(tmp_path / "sealed")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").chmod(0o600)
    with pytest.raises(KeyFileError, match="can't be made"):
        SealedStore(tmp_path / "file").keep(b"a" * 32, b"x")
