"""The stored form of what a block wrote: nothing is lost, and nothing else decodes."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import SampleVersion, transaction_id

from p2penergy.store.results import Written, decode_results, encode_results

VERSIONS = st.lists(
    st.builds(
        SampleVersion,
        st.sampled_from([b"a", b"b", b"c"]),
        st.integers(-1, 4),
        st.sampled_from([1, 2]),
        st.none() | st.binary(max_size=3),
    ),
    max_size=12,
)


@given(VERSIONS, st.integers(5, 7), st.sampled_from([None, 0, 3]))
def test_all_comes_back_in_its_order(
    versions: list[SampleVersion], transactions: int, earlier: int | None
) -> None:
    ids = [transaction_id(1, index) for index in range(transactions)]
    receipts = [b"receipt %d" % index for index in range(transactions)]
    previous = {version.key: earlier for version in versions}
    found = decode_results(encode_results(ids, receipts, versions, previous))
    assert (found.transaction_ids, found.receipts, found.previous) == (ids, receipts, previous)
    assert found.versions == [Written(v.key, v.index, v.stage, v.value) for v in versions]


def test_a_version_of_no_transaction_is_refused() -> None:
    with pytest.raises(ValueError, match="a version of transaction 1, of 1"):
        encode_results([b""], [b""], [SampleVersion(b"a", 1, 2, None)], {b"a": None})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zlib",
        zlib.compress(b"no msgpack"),
        zlib.compress(msgspec.msgpack.encode([[3, b""]])),
        zlib.compress(msgspec.msgpack.encode([[2, 0, 0, 1, b""]])),
    ],
)
def test_nothing_else_decodes(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the results of a block"):
        decode_results(data)
