"""Walks every candidate from its proposal to its end: gate, training queue, measuring, verdict.

Three kinds of workers go side by side: one thread proposes and gates, Ray's trainers train (they ask through the
searcher), and one thread per device measures. What is found is in the journal before anything here acts on it, so a
study that was killed goes on from there. A candidate's fault ends the candidate, a device's fault is the farm's
business, anything else stops the study with everything kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from dccdka.packing import Artifact, read_artifact
from dccdka.recipe import Recipe
from harness.config import RecipeSettings
from harness.errors import CandidateError, DoesNotFit, HarnessError
from harness.farm.device import OpenDevice
from harness.farm.farm import Farm, Group, NoDeviceLeft
from harness.farm.measuring import VerificationSet, run_on_device
from harness.results.journal import Journal
from harness.results.objectives import Objectives
from harness.results.records import Candidate, State
from harness.search.gate import Gate
from harness.search.optimizer import Optimizer

LOOK_AHEAD = 2  # candidates that wait for a trainer: few, so that proposals know the latest results


@dataclass(frozen=True)
class Plan:
    """What the coordinator works with; all of it outlives the coordinator."""

    journal: Journal
    optimizer: Optimizer
    gate: Gate
    farm: Farm
    objectives: Objectives
    verification: VerificationSet
    candidates: int
    options: RecipeSettings = field(default_factory=RecipeSettings)


class Coordinator:
    """stop may be set by anyone; then nothing new begins and what is unfinished stays resumable."""

    def __init__(self, plan: Plan, stop: threading.Event) -> None:
        self._plan = plan
        self._stop = stop
        self._lock = threading.Condition()
        self._known: dict[str, Candidate] = {}
        self._to_gate: deque[str] = deque()
        self._ready: deque[str] = deque()
        self._proposing = True
        self._training: set[str] = set()
        self._measuring: set[str] = set()
        self._shares: dict[str, float] = {}
        self._error: BaseException | None = None
        self._device_pool = ThreadPoolExecutor(max_workers=plan.farm.size, thread_name_prefix="measure")
        self._verdicts = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verdict")
        self._proposer = threading.Thread(target=self._guarded, args=(self._propose_and_gate,), name="propose")

    # --- for the study ---

    def start(self) -> None:
        """Takes up what the journal holds, each candidate where it was left, and begins to propose."""
        for candidate in self._plan.journal.candidates():
            self._take_up(candidate)
        self._proposing = bool(self._to_gate) or len(self._known) < self._plan.candidates
        if self._proposing:
            self._proposer.start()

    def anything_to_train(self) -> bool:
        """Whether trainers may be needed: not when only devices have to be visited again."""
        with self._lock:
            return self._proposing or bool(self._ready)

    def trainers_ended(self) -> None:
        """No trainer is left: what waits for one now would wait for ever."""
        with self._lock:
            waiting = self._proposing or self._ready or self._training
        if waiting and not self._stop.is_set():
            self._fail(HarnessError("Ray ended while candidates were waiting to be trained; --resume goes on"))

    def wait(self) -> None:
        """Returns when every candidate has come to its end (or the study is being stopped); raises what went wrong."""
        with self._lock:
            while (self._proposing or self._ready or self._training or self._measuring) and not self._stop.is_set():
                self._lock.wait(timeout=0.5)
        if self._proposer.ident is not None:
            self._proposer.join()
        self._device_pool.shutdown(wait=True, cancel_futures=True)
        self._verdicts.shutdown(wait=True)
        if self._error is not None:
            raise self._error

    def candidates(self) -> list[Candidate]:
        with self._lock:
            return sorted(self._known.values(), key=lambda candidate: candidate.number)

    def stages(self) -> dict[str, str]:
        """Where each unfinished candidate is, for people."""
        with self._lock:
            training = {c: f"training {self._shares.get(c, 0.0):.0%}" for c in self._training}
            return (
                dict.fromkeys(self._ready, "waits for a trainer")
                | training
                | dict.fromkeys(self._measuring, "measuring")
            )

    # --- for the searcher ---

    def next_to_train(self) -> Candidate | None:
        """The next candidate that passed the gate; None while there is none."""
        with self._lock:
            if self._stop.is_set() or not self._ready:
                return None
            candidate = self._known[self._ready.popleft()]
            self._training.add(candidate.id)
            self._lock.notify_all()
            return candidate

    @property
    def nothing_left_to_train(self) -> bool:
        with self._lock:
            return self._stop.is_set() or not (self._proposing or self._ready)

    def training_progressed(self, candidate_id: str, share: float) -> None:
        with self._lock:
            self._shares[candidate_id] = share

    def training_ended(self, candidate_id: str, crashed: bool) -> None:
        """The trainer has journaled its result, or has crashed without one."""
        candidate = self._refresh(candidate_id)
        if candidate.state == "accepted" and crashed:
            why = candidate.reason or "its process was killed (out of memory?)"
            self._fail(HarnessError(f"training of candidate {candidate_id} ended without a result: {why}"))
        elif candidate.state == "failed":
            self._plan.optimizer.tell_failed(candidate_id)
        elif candidate.state == "trained":
            self._begin_measuring(candidate)
        with self._lock:
            self._training.discard(candidate_id)
            self._lock.notify_all()

    # --- proposing and gating: one thread ---

    def _take_up(self, candidate: Candidate) -> None:
        self._known[candidate.id] = candidate
        if candidate.state == "done":
            self._plan.optimizer.tell_done(candidate.id, self._values(candidate))
        elif candidate.state == "refused":
            self._plan.optimizer.tell_refused(candidate.id, violation=1.0)
        elif candidate.state == "failed":
            self._plan.optimizer.tell_failed(candidate.id)
        elif candidate.training is not None:  # trained, or unmeasured because devices were lost: they may be back
            self._begin_measuring(candidate)
        elif candidate.gate is not None:
            self._ready.append(candidate.id)
        else:
            self._to_gate.append(candidate.id)

    def _propose_and_gate(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                if len(self._ready) >= LOOK_AHEAD:
                    self._lock.wait(timeout=0.5)
                    continue
                waiting = self._to_gate.popleft() if self._to_gate else None
            if waiting is None and len(self._known) >= self._plan.candidates:
                break
            self._check_at_gate(self._known[waiting] if waiting else self._propose())
        with self._lock:
            self._proposing = False
            self._lock.notify_all()

    def _propose(self) -> Candidate:
        number = len(self._known) + 1
        candidate_id = f"c{number:03d}"
        recipe = self._plan.optimizer.ask(candidate_id)
        self._plan.journal.propose(candidate_id, number, self._plan.options.recipe(recipe).to_dict())
        return self._refresh(candidate_id)

    def _check_at_gate(self, candidate: Candidate) -> None:
        try:
            found = self._plan.gate.check(Recipe.from_dict(dict(candidate.recipe)), candidate.id)
        except DoesNotFit as error:
            self._end(candidate.id, "refused", str(error), error.violation)
        except CandidateError as error:
            self._end(candidate.id, "failed", f"at the gate: {error}")
        except NoDeviceLeft as error:
            if not self._stop.is_set():  # else nothing was found out: it stays proposed
                self._end(candidate.id, "unmeasured", f"at the gate: {error}")
        else:
            self._plan.journal.accept(candidate.id, found)
            self._refresh(candidate.id)
            with self._lock:
                self._ready.append(candidate.id)
                self._lock.notify_all()

    # --- measuring: one thread per device, and one that gives the verdict ---

    def _begin_measuring(self, candidate: Candidate) -> None:
        assert candidate.training is not None
        artifact = read_artifact(self._plan.journal.artifact(candidate.training.artifact_sha256))
        with self._lock:
            self._measuring.add(candidate.id)
        visits = {
            group: self._device_pool.submit(self._visit, candidate.id, artifact, group)
            for group in self._plan.farm.groups()
        }
        self._verdicts.submit(self._guarded, self._conclude, candidate.id, visits)

    def _visit(self, candidate_id: str, artifact: Artifact, group: Group) -> None:
        journal, verification = self._plan.journal, self._plan.verification

        def measure_unless_known(device: OpenDevice) -> None:
            key = (artifact.sha256, group.profile, group.emulated, device.firmware, verification.settings)
            if journal.find_run(*key) is None:
                journal.record_run(run_on_device(device, artifact, verification))

        self._plan.farm.run(group, f"measures {candidate_id}", measure_unless_known)

    def _conclude(self, candidate_id: str, visits: dict[Group, Future[None]]) -> None:
        faults: dict[Group, CandidateError | NoDeviceLeft] = {}
        for group, visit in visits.items():
            try:
                visit.result()
            except (CandidateError, NoDeviceLeft) as error:
                faults[group] = error
            except CancelledError:
                return
        if not self._stop.is_set():
            self._judge(self._refresh(candidate_id), faults)
        with self._lock:
            self._measuring.discard(candidate_id)
            self._lock.notify_all()

    def _judge(self, candidate: Candidate, faults: dict[Group, CandidateError | NoDeviceLeft]) -> None:
        reason = "; ".join(str(error) for error in faults.values()) or None
        wrong = [error for error in faults.values() if isinstance(error, CandidateError)]
        if wrong:
            misfit = next((error for error in wrong if isinstance(error, DoesNotFit)), None)
            self._end(candidate.id, "refused" if misfit else "failed", reason, misfit.violation if misfit else None)
        elif self._plan.objectives.of(candidate) is None:
            self._end(candidate.id, "unmeasured", reason)
        else:
            self._plan.journal.set_state(candidate.id, "done", reason)
            self._plan.optimizer.tell_done(candidate.id, self._values(self._refresh(candidate.id)))

    # --- shared ---

    def _values(self, candidate: Candidate) -> Sequence[float]:
        values = self._plan.objectives.of(candidate)
        if values is None:
            raise HarnessError(f"candidate {candidate.id} is done but its measurements on the target are missing")
        return values

    def _end(self, candidate_id: str, state: State, reason: str | None, violation: float | None = None) -> None:
        self._plan.journal.set_state(candidate_id, state, reason)
        self._refresh(candidate_id)
        if violation is not None:
            self._plan.optimizer.tell_refused(candidate_id, violation)
        else:
            self._plan.optimizer.tell_failed(candidate_id)

    def _refresh(self, candidate_id: str) -> Candidate:
        candidate = self._plan.journal.candidate(candidate_id)
        with self._lock:
            self._known[candidate_id] = candidate
            self._lock.notify_all()
        return candidate

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """Runs work of a thread of ours: what it raises stops the study and is raised again by wait()."""
        try:
            work(*arguments)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._stop.set()
            self._lock.notify_all()
