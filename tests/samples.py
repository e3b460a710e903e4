"""What several test modules share: members with keys, a small genesis, and messages of every kind."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st

from p2penergy.beacon import HashChain
from p2penergy.genesis import ConsensusRules, Genesis, Member
from p2penergy.messages import Message
from p2penergy.signing import EcdsaSigner, public_key_bytes

CHAIN_ID = b"c" * 32
KINDS: tuple[type[Any], ...] = get_args(Message)


@lru_cache(maxsize=1)
def signers() -> tuple[EcdsaSigner, ...]:
    """Seven members, ascending."""
    return tuple(
        EcdsaSigner(bytes([i]) * 20, ec.derive_private_key(1000 + i, ec.SECP256R1())) for i in range(1, 8)
    )


@lru_cache(maxsize=1)
def public_keys() -> dict[bytes, bytes]:
    """Participant id -> compressed public key of `signers()`."""
    return {signer.participant_id: public_key_bytes(signer._key.public_key()) for signer in signers()}


def member(index: int, **changes: Any) -> Member:
    """Genesis' entry of one of `signers()`."""
    name = signers()[index].participant_id
    values: dict[str, Any] = {
        "participant_id": name.hex(),
        "public_key": public_keys()[name].hex(),
        "validator": True,
        "beacon_tip": HashChain(name, 4).tip.hex(),
    }
    return Member(**(values | changes))


def small_genesis(validators: int = 4, **rules: Any) -> Genesis:
    """A community whose members are all validators."""
    values: dict[str, Any] = {"t0_ms": 1_000_000, "alpha_ms": 500, "eps_ms": 50, "delta_ms": 100}
    return Genesis(
        community="Elm Street",
        consensus=ConsensusRules(**(values | rules)),
        members=tuple(member(i) for i in range(validators)),
    )


def of_shape(shape: Any) -> st.SearchStrategy[Any]:
    """Any value that the wire type `shape` allows, kept short."""
    return _strategy(msgspec.inspect.type_info(shape))


def any_message() -> st.SearchStrategy[Any]:
    """A message of any kind, with any content that its types allow."""
    return st.sampled_from(KINDS).flatmap(of_shape)


def _length(info: Any, most: int) -> dict[str, int]:
    least = info.min_length or 0
    longest = least + most if info.max_length is None else min(info.max_length, least + most)
    return {"min_size": least, "max_size": longest}


def _strategy(info: Any) -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.IntType():
            return st.integers(info.ge, info.le)
        case msgspec.inspect.BytesType():
            return st.binary(**_length(info, 40))
        case msgspec.inspect.StrType():
            return st.text(**_length(info, 10))
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.EnumType():
            return st.sampled_from(info.cls)
        case msgspec.inspect.UnionType():
            return st.one_of([_strategy(part) for part in info.types])
        case msgspec.inspect.TupleType():
            return st.tuples(*[_strategy(part) for part in info.item_types])
        case msgspec.inspect.VarTupleType():
            return st.lists(_strategy(info.item_type), **_length(info, 3)).map(tuple)
        case msgspec.inspect.StructType():
            return st.builds(info.cls, *[_strategy(field.type) for field in info.fields])
        case _:
            raise AssertionError(f"a wire type of an unexpected sort: {info}")


def full(shape: Any) -> Any:
    """One value of the wire type `shape` with every optional part present and one entry per list."""
    return _full(msgspec.inspect.type_info(shape))


def _full(info: Any) -> Any:
    match info:
        case msgspec.inspect.IntType():
            return 5 if info.le is None else min(info.le, 5)
        case msgspec.inspect.BytesType():
            return b"\x07" * max(info.min_length or 0, 2)
        case msgspec.inspect.StrType():
            return "ab"
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.EnumType():
            return next(iter(info.cls))
        case msgspec.inspect.UnionType():
            return _full(next(part for part in info.types if not isinstance(part, msgspec.inspect.NoneType)))
        case msgspec.inspect.TupleType():
            return tuple(_full(part) for part in info.item_types)
        case msgspec.inspect.VarTupleType():
            return (_full(info.item_type),)
        case msgspec.inspect.StructType():
            return info.cls(*[_full(field.type) for field in info.fields])
        case _:
            raise AssertionError(f"a wire type of an unexpected sort: {info}")
