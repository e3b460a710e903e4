"""Every reason of a refused certificate is a verdict of the same name."""

from __future__ import annotations

import pytest

from p2penergy.ledger.memberships import VerdictCode, verdict_words
from p2penergy.membership.errors import RefusalCode


@pytest.mark.parametrize("code", list(RefusalCode))
def test_a_refusal_has_a_verdict_and_words(code: RefusalCode) -> None:
    assert verdict_words(VerdictCode[code.name])
