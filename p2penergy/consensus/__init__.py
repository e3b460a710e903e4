"""The consensus core: PBFT whose view number is read off a clock (docs/consensus.md). Pure.

A reader's path, each file one concern:

1. `ports`, `effects`: what the core asks of the world, what it takes and gives.
2. `rules`: every small rule that matters, in one place; `schedule`: Equation (1), slots and views;
   `committee`: C_h, f, Q; `drawing`: which of them serve; `certificates`: PC and CC;
   `chain`: what a valid block is.
3. `replica`: `step`, the dispatch, the loop to a fixed point. Everything else is called from there:
   `admission` (refuse first), `justify` (J0, J1), `view_change` (ENTER), `proposing` (PROPOSE),
   `voting` (PREPARE, COMMIT), `prepared` (PREPARED), `deciding` (DECIDE), `sync` (catch-up),
   `restart`, `timers`.
4. What they work on: `work` (context of a step), `instance` (one height), `votes` (bounded buffers),
   `evidence`, `catch_up` and `fetch` (whom to ask), `errors`.
5. `risk` and `cautions` stand apart: the capture probability of a sampled committee, and what a node says of
   it at its start. `headers` follows certified headers without a state.
"""

from p2penergy.consensus.replica import Replica
from p2penergy.consensus.rules import Rules

__all__ = ["Replica", "Rules"]
