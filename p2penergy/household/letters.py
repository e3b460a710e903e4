"""Letters between households: signed by the sender, sealed to the reader, carried by the validators.

Lives here: making and opening letters, leaving and collecting them at the validators. Never here: what
offers mean (`market.negotiation`), keeping them (`offers`). Owns the invariants that what is taken for a
member's word carries that member's signature, and that no validator can read it. Implements decision 0501.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.client import Client, ClientError
from p2penergy.digests import TAG_LETTER
from p2penergy.market.negotiation import Word
from p2penergy.membership.errors import SealRefused
from p2penergy.membership.keys import public_key_from
from p2penergy.membership.sealing import open_seal, seal
from p2penergy.messages import MalformedMessageError, ParticipantId, SignatureBytes, canonical, encode
from p2penergy.post import LETTERS, POST, Posted, Waiting, decode_letters, encode_forget
from p2penergy.signing import SIGNATURE_BYTES, EcdsaSigner, SignatureChecker

ANSWER_S_MAX = 2.0
"""A validator that does not answer must not keep a household waiting."""
_SIGNATURE_FIELD_BYTES = 2 + SIGNATURE_BYTES


class Letter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One word from one member to another; the signature covers all before it."""

    sender: ParticipantId
    reader: ParticipantId
    sent_ms: Annotated[int, Meta(ge=0, le=2**53)]
    """By the sender's clock: puts one sender's letters in order."""
    word: Word
    signature: SignatureBytes


_decoder = msgspec.msgpack.Decoder(Letter)


def _signed(letter: Letter, chain_id: bytes) -> bytes:
    return TAG_LETTER + chain_id + encode(letter)[:-_SIGNATURE_FIELD_BYTES]


def decode_letter(plain: bytes) -> Letter:
    """What was sealed; raises `MalformedMessageError`. Nothing of it is verified yet."""
    letter: Letter = canonical(_decoder, plain, "letter")
    return letter


def write(
    signer: EcdsaSigner, chain_id: bytes, reader: bytes, public_key: bytes, sent_ms: int, word: Word
) -> bytes:
    """The bytes of a letter that only `reader`, whose key is `public_key`, can open.

    Raises:
        ValueError: `public_key` is no P-256 key.
    """
    draft = Letter(signer.participant_id, reader, sent_ms, word, bytes(SIGNATURE_BYTES))
    letter = msgspec.structs.replace(draft, signature=signer.sign(_signed(draft, chain_id)))
    return seal(
        public_key_from(public_key), encode(letter), *_context(chain_id, signer.participant_id, reader)
    )


def read(
    reader: EcdsaSigner, chain_id: bytes, waiting: Waiting, public_key: bytes, checker: SignatureChecker
) -> Letter | None:
    """The letter, if it is one to `reader`, signed with the sender's key `public_key`; else None."""
    own, sender = reader.participant_id, waiting.sender
    try:
        plain = open_seal(reader.private_key, waiting.sealed, *_context(chain_id, sender, own))
        letter = decode_letter(plain)
    except (SealRefused, MalformedMessageError):
        return None
    if (letter.sender, letter.reader) != (sender, own):
        return None
    if not checker.check(public_key, _signed(letter, chain_id), letter.signature):
        return None
    return letter


def _context(chain_id: bytes, sender: bytes, reader: bytes) -> tuple[bytes, bytes]:
    return TAG_LETTER + chain_id, sender + reader


async def leave(client: Client, nodes: Iterable[bytes], reader: bytes, sealed: bytes) -> None:
    """Leave a letter at all of these validators that are connected.

    Raises:
        ClientError: no f+1 of them took it, so that maybe no honest one has it.
    """
    argument = encode(Posted(reader, sealed))
    await _asked(client, nodes, POST, argument, "took the letter")


async def collect(client: Client, nodes: Iterable[bytes], forget: tuple[bytes, ...] = ()) -> list[Waiting]:
    """Letters that wait at these validators, each once, those in `forget` thrown away there.

    Raises:
        ClientError: fewer than f+1 of them answered.
    """
    argument = encode_forget(forget)
    found: dict[bytes, Waiting] = {}
    for answer in await _asked(client, nodes, LETTERS, argument, "answered"):
        # What a liar makes up does not open; what it leaves out comes from the others.
        with contextlib.suppress(MalformedMessageError):
            found |= {letter.digest: letter for letter in decode_letters(answer)}
    return list(found.values())


async def _asked(
    client: Client, nodes: Iterable[bytes], topic: str, argument: bytes, done: str
) -> list[bytes]:
    """What the nodes answer that do within `ANSWER_S_MAX`; at least f+1, or `ClientError`."""

    async def ask(node: bytes) -> bytes | str:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await client.query(node, topic, argument)
        except ClientError as error:
            return str(error)
        except TimeoutError:
            return f"{node.hex()} does not answer"

    answers = await asyncio.gather(*map(ask, nodes))
    good = [answer for answer in answers if isinstance(answer, bytes)]
    if len(good) <= client.fault_limit:
        why = next((f": {answer}" for answer in answers if isinstance(answer, str)), "")
        raise ClientError(f"{len(good)} validators {done}, {client.fault_limit + 1} are needed{why}")
    return good
