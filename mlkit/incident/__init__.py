"""Incidents: an unlabelled fault from the lessons, or none. What is wrong, since when, what now?

`make` writes the folder that a team has when the pager goes; `judge` looks at a diagnosis. The
same seed, level and words give the same incident, whose truth lies in no file.
"""

import os
from pathlib import Path
from typing import Any

from mlkit.incident.judge import Answer, answer, cost, verdict
from mlkit.incident.plans import NEVER, WORDS, Incident, Level, Seed, causes, draw, happen, words
from mlkit.incident.ticket import REPAIRS, check_folder, refuse, write_folder
from mlkit.params import check_values, load

__all__ = ["REPAIRS", "WORDS", "Answer", "Incident", "command", "incident", "judged", "listing"]


def incident(
    *, seed: Seed, level: Level = 1, only: list[str] | None = None, params: dict[str, Any]
) -> Incident:
    """Return an incident in memory, the truth among its tables.

    Parameters
    ----------
    seed: of the world and of what is wrong in it
    level: 1, one of two suspects; 2, any fault; 3, a part of the rows and a false lead
    only: the challenges that it may come from
    params: as `mlkit.params.load` returns them, for the world

    Raises
    ------
    ValueError: a value out of range, an unknown word, or a world too small for an incident
    """
    check_values("incident", {"seed": seed, "level": level}, incident)
    return happen(draw(seed, level, words(only)), params["worlds"]["shop"])


def command(
    root: Path,
    *,
    seed: int | None,
    level: Level,
    only: list[str] | None,
    folder: Path | None,
    answers: dict[str, str | None],
) -> int:
    """Make an incident or judge an answer to it; print what happens and return the exit status.

    Parameters
    ----------
    root: the project, for its params.yaml and its work/
    folder: of the incident; by default work/incident-SEED-LEVEL
    answers: cause, onset and repair: all of them, or none to make the incident

    Returns
    -------
    0 when the incident was made or all of the answer is right, else 1.

    Raises
    ------
    ValueError: a value out of range, half an answer, a folder that exists
    FileNotFoundError: no params.yaml
    """
    if seed is None:
        raise ValueError("--seed is missing: expected a whole number >= 0, such as --seed 3")
    check_values("incident", {"seed": seed, "level": level}, incident)
    given = _given(answers, words(only))
    folder = folder or Path(os.path.relpath(root / "work" / f"incident-{seed}-{level}"))
    if not given:
        refuse(folder)
    params = load(root / "params.yaml")
    print(f"a shop of {params['worlds']['shop']['n_users']} customers is running ...", flush=True)
    made = incident(seed=seed, level=level, only=only, params=params)
    if given:
        check_folder(made, folder)
        return judged(made, given)
    print(f"{folder.as_posix()}: {write_folder(made, folder)} tables; begin with its README.md")
    return 0


def _given(answers: dict[str, str | None], only: tuple[str, ...]) -> Answer | None:
    """Return the answer, or nothing where none is given.

    Raises
    ------
    ValueError: a part is missing or cannot be
    """
    there = {part: text for part, text in answers.items() if text is not None}
    if not there:
        return None
    missing = [f"--{part}" for part in answers if part not in there]
    if missing:
        raise ValueError(
            f"half an answer: {' and '.join(missing)} missing; an answer has a cause, an onset and "
            "a repair, each of which may be none"
        )
    return answer(there["cause"], there["onset"], there["repair"], only=only)


def judged(made: Incident, given: Answer) -> int:
    """Print what is right and what a diagnosis costs; return 0 when all is right, else 1."""
    parts, price = verdict(made, given), cost(made, given)
    for part in parts:
        mark = "right" if part.right else "wrong"
        print(f"{part.name:<7} {mark:<6} got {part.got}, want {part.want}")
    print(
        f"{price['what']}: {price['left']:.3f} left alone, {price['yours']:.3f} with your repair, "
        f"{price['right']:.3f} with the right one"
    )
    for note in _notes(made, given):
        print(note)
    return 0 if all(part.right for part in parts) else 1


def _notes(made: Incident, given: Answer) -> list[str]:
    plan, known = made.plan, causes(made.plan.only)
    notes = [f"{plan.cause.name}: {known[plan.cause.name]}"] if plan.cause else []
    if plan.cause and plan.cause.severity < 1:
        notes[0] += f"; {plan.cause.severity:.0%} of the rows"
    if plan.lead:
        fell = ", for which you fell" if given.cause == plan.lead.name else ""
        notes.append(f"false lead{fell}: {plan.lead.name}, {known[plan.lead.name]}")
    if plan.twin:
        notes.append("the study looked unusual and was honest")
    return notes


def listing(only: list[str] | None) -> str:
    """Return the causes and repairs that an answer may name, one a line.

    Raises
    ------
    ValueError: an unknown word
    """
    known = {"none": "nothing is wrong", **causes(words(only))}
    wide = max(map(len, known)) + 2
    lines = ["causes (the word may be left out where one challenge alone has it)"]
    for name, says in known.items():
        never = f" (never the cause: {NEVER[name]})" if name in NEVER else ""
        lines.append(f"  {name:<{wide}}{says}{never}")
    lines += ["", "repairs"]
    return "\n".join(lines + [f"  {name:<{wide}}{says}" for name, says in REPAIRS.items()])
