"""The replica: one verb, `step(event, now_ms) -> Effects`.

Lives here: the dispatch, which refuses first and then calls the part that knows the rule, and the loop
that draws every conclusion of a step. Never here: IO, time, randomness, the rules themselves. Owns the
invariant that a step ends at a fixed point: nothing that could be concluded from what is known now is
left for a later event. Implements CONSENSUS sections 1 to 7.
"""

from collections.abc import Mapping

from p2penergy.committees import Roll
from p2penergy.consensus import (
    admission,
    bounds,
    deciding,
    justify,
    prepared,
    proposing,
    restart,
    sync,
    timers,
    view_change,
    voting,
)
from p2penergy.consensus.bounds import Held
from p2penergy.consensus.chain import Chain
from p2penergy.consensus.committee import Committee
from p2penergy.consensus.effects import Adopted, Effects, Event, Received, Restored
from p2penergy.consensus.errors import InvariantError, RefusedError
from p2penergy.consensus.ports import Application, RevealSource
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.work import Means, Work
from p2penergy.genesis import Genesis
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    Stage,
    Status,
    SyncResponse,
    ViewChange,
    Vote,
)
from p2penergy.signing import KeyOf, SignatureChecker, Signer

SETTLE_ROUNDS_MAX = 4096


class Replica:
    """One node's consensus core; pure, driven by whoever does its IO.

    The driver verifies signatures (`signing.check_message`) of what `checkable` leaves of a message,
    answers SYNC and HEADERS requests from its store, makes `Effects` true in their order, and ticks at
    `Effects.wake_at_ms`. Any exception but those documented means a broken invariant: the driver halts and
    keeps its data.
    """

    def __init__(
        self,
        identity: Signer,
        genesis: Genesis,
        application: Application,
        reveals: RevealSource,
        checker: SignatureChecker,
        restored: Restored,
        *,
        rules: Rules | None = None,
    ) -> None:
        means = Means(identity, genesis, application, reveals, rules or Rules())
        chain = Chain(genesis, application, checker, means.rules, restored.tip)
        self._work = Work(means, chain)
        restart.restore(self._work, restored)

    # ---- what others may read ---------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The height worked on: tip + 1."""
        return self._work.instance.height

    @property
    def view(self) -> int:
        """The view entered; first(h) - 1 while none is."""
        return self._work.instance.view

    @property
    def first(self) -> int:
        """first(h): slot of the tip, plus 1."""
        return self._work.instance.first

    @property
    def tip_height(self) -> int:
        """Height of the last decided block; 0 at genesis."""
        return self._work.chain.tip_height

    @property
    def tip_slot(self) -> int:
        """Slot in the header of the last decided block."""
        return self._work.chain.tip_slot

    @property
    def tip_digest(self) -> bytes:
        """Digest of the last decided block; the chain id at genesis."""
        return self._work.chain.tip_digest

    @property
    def tip(self) -> Decided | None:
        """The last decided block with its certificate."""
        return sync.tip_of(self._work)

    @property
    def is_deciding(self) -> bool:
        """Whether the view entered has a proposal that is not decided yet."""
        instance = self._work.instance
        return instance.view in instance.votes.proposals

    @property
    def counters(self) -> Mapping[str, int]:
        """How often what happened; refusals as `refused_CODE`."""
        return self._work.counters

    @property
    def buffered_messages(self) -> int:
        """How many messages are held, for watching the bounds."""
        return len(self._work.instance.votes) + len(self._work.early)

    @property
    def held(self) -> tuple[Held, ...]:
        """Every buffer with its bound."""
        return bounds.held(self._work)

    @property
    def proposal_bytes_max(self) -> int:
        """How large a proposal may get; the driver lowers it to what its own measurements allow."""
        return self._work.proposal_bytes_max

    @proposal_bytes_max.setter
    def proposal_bytes_max(self, bytes_max: int) -> None:
        self._work.proposal_bytes_max = bytes_max

    def committee(self, height: int) -> Committee:
        """The committee of the tip's height or of the height worked on; KeyError for others."""
        return self._work.chain.committee_at(height)

    def named(self, stage: Stage) -> tuple[Roll, ...]:
        """The stage's committees of the next heights, as far as decided headers name them."""
        return self._work.chain.named(stage)

    def leader(self, height: int, view: int) -> bytes:
        """leader(h, v) at the height worked on, v >= first(h); KeyError for other heights."""
        if height != self.height or view < self.first:
            raise KeyError(f"leaders are known for height {self.height} from view {self.first} on")
        return self._work.chain.schedule.leader(view)

    def start_ms(self, view: int) -> int:
        """When a view of the height worked on begins, unix milliseconds."""
        return self._work.chain.schedule.start_ms(view)

    # ---- what the driver calls --------------------------------------------------------------------

    def admit(self, message: Message, peer: bytes) -> str | None:
        """Why not to spend a signature check on `message`: a refusal code, or None. No side effects."""
        return admission.refusal(self._work, message, peer)

    def checkable(self, message: Message) -> tuple[Message, KeyOf]:
        """What to verify and step with of an admitted message, and with whose keys.

        Votes are checked with the keys that their height's committee was drawn with. A decision above the
        working height, or a vote above the next, can't be verified, since others may be members by then, or
        have other keys: what is left of it is its sender's claim of a height.
        """
        return admission.checkable(self._work, message)

    def start(self, now_ms: int) -> Effects:
        """Once, before the first step: the stored bytes again, and a question for the others' height."""
        self._work.begin(now_ms)
        restart.send_again(self._work)
        sync.ask_for_status(self._work)
        return self._finish()

    def step(self, event: Event, now_ms: int) -> Effects:
        """Take one event; `now_ms` is unix milliseconds by the node's own clock."""
        work = self._work
        work.begin(now_ms)
        work.instance.to_look_at |= work.instance.untimely
        match event:
            case Received():
                self._receive(event)
            case Adopted():
                self._guarded(event.peer, lambda: sync.on_adopted(work, event))
            case _:
                pass
        return self._finish()

    # ---- inside a step ----------------------------------------------------------------------------

    def _finish(self) -> Effects:
        self._settle()
        view_change.resend_if_due(self._work)
        sync.poll(self._work)
        self._work.effects.wake_at_ms = timers.wake_at_ms(self._work)
        return self._work.effects

    def _settle(self) -> None:
        """Draw conclusions until there are none left."""
        work = self._work
        for _ in range(SETTLE_ROUNDS_MAX):
            if deciding.decide_if_ready(work) or self._replay_early():
                continue
            if view_change.by_clock(work) or view_change.by_weak(work):
                continue
            if work.instance.to_look_at:
                view = min(work.instance.to_look_at)
                work.instance.to_look_at.discard(view)
                voting.look(work, view)
                continue
            if not proposing.propose(work):
                return
        raise InvariantError("a step does not come to rest")

    def _replay_early(self) -> bool:
        """Judge what was held for the height that has now begun."""
        work = self._work
        if not work.early_is_due:
            return False
        work.early_is_due = False
        height = work.instance.height
        # A PRE-PREPARE may move the view; the clock's comes first, as for messages that come later.
        view_change.by_clock(work)
        for event in work.early.take():
            message = event.message.message
            if isinstance(message, PrePrepare | Prepare | Commit | ViewChange) and message.height == height:
                self._receive(event)
        return True

    def _guarded(self, peer: bytes, handle: "sync.Handler") -> None:
        try:
            handle()
        except RefusedError as refused:
            self._work.refuse(refused.code, peer)

    def _receive(self, event: Received) -> None:
        message, peer, work = event.message.message, event.peer, self._work
        code = admission.refusal(work, message, peer)
        if code is not None:
            work.refuse(code, peer)
            return
        self._guarded(peer, lambda: self._dispatch(event, message, peer))

    def _dispatch(self, event: Received, message: Message, peer: bytes) -> None:
        work = self._work
        match message:
            case PrePrepare() | Prepare() | Commit() | ViewChange():
                self._on_vote(message, event)
            case Decided():
                if message.certificate.height > work.instance.height:
                    sync.note_claim(work, peer, message.certificate.height)
                else:
                    sync.on_decided(work, message)
            case SyncResponse():
                sync.on_sync_response(work, message, peer)
            case BlockRequest():
                sync.on_block_request(work, message, peer)
            case BlockResponse():
                sync.on_block_response(work, message)
            case Status():
                sync.on_status(work, message, peer)
            case _:
                raise InvariantError(f"{type(message).__name__} passed admission")

    def _on_vote(self, vote: Vote, event: Received) -> None:
        work, height = self._work, self._work.instance.height
        if vote.height < height:
            sync.send_tip(work, event.peer)
            return
        if vote.height > height:
            sync.note_claim(work, event.peer, vote.height - 1)
            if vote.height > height + 1 or not work.early.add(vote, event):
                raise RefusedError("height_window" if vote.height > height + 1 else "buffer_full")
            return
        evidence = work.instance.watch.note(vote)
        if evidence is not None:
            work.effects.evidence.append(evidence)
            work.counters["evidence"] += 1
        held = work.instance.votes.held(vote)
        if held is not None and held.view == vote.view:
            raise RefusedError("conflicting")
        match vote:
            case PrePrepare():
                self._on_pre_prepare(vote)
            case Prepare():
                self._on_counted(work.instance.votes.prepares.add(vote), vote)
            case Commit():
                self._on_counted(work.instance.votes.commits.add(vote), vote)
            case ViewChange():
                self._on_view_change(vote)

    def _on_pre_prepare(self, message: PrePrepare) -> None:
        work, instance = self._work, self._work.instance
        proposal = justify.judge(message, work.chain, work.rules, instance.blocks.get)
        instance.add_block(proposal.known)
        work.fetch.forget(proposal.known.digest)
        prepared.learn_from_others(work, message.certificate)
        if message.view >= instance.view:
            instance.votes.proposals[message.view] = proposal
            instance.to_look_at.add(message.view)

    def _on_counted(self, held: bool, vote: Prepare | Commit) -> None:
        if not held:
            raise RefusedError("buffer_full")
        self._work.instance.to_look_at.add(vote.view)

    def _on_view_change(self, change: ViewChange) -> None:
        work, instance = self._work, self._work.instance
        if not work.rules.view_change_counts(change, instance.height, change.view):
            raise RefusedError("bad_prepared_view")
        if not justify.is_proven(change, work.chain, work.rules):
            raise RefusedError("bad_certificate")
        instance.votes.view_changes[change.sender] = change
        prepared.learn_from_others(work, change.certificate)
