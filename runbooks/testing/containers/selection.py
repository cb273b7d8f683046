"""Which Mailman a test run is about: the image, its Pythons, the site layouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import images
from runbooks.testing.containers.box import SITES, Box, BoxError, Mailman, ask_mailman

LAYOUTS = tuple(SITES)
#: What `--mailman-image` may be for images that are made here.
OWN = (None, "packaged", "standin")
NO_RECORD = (
    "--record keeps what GNU Mailman did, and the stand-in is not GNU Mailman: "
    "give --mailman-image packaged, or NAME:TAG of an image that has it"
)


@dataclass(frozen=True)
class Slot:
    """A container that tests may run on.

    `service` is its name in compose.yaml. `python` is the version that Mailman's programs
    run on, None for an image that has not been asked yet.
    """

    service: str
    layout: str
    python: str | None

    @property
    def id(self) -> str:
        return f"python{self.python}-{self.layout}" if self.python else self.layout


def slots(option: str | None, layouts: Iterable[str] = LAYOUTS) -> list[Slot]:
    """The containers that `--mailman-image OPTION` may turn out to have, before anything is asked.

    Without the option it is the packaged Mailman on the first Python and the stand-in on the other,
    or the stand-in on both.
    """
    pythons: list[str | None] = [None]
    if option in (None, "standin"):
        pythons = list(images.STANDIN_PYTHONS)
    elif option == "packaged":
        pythons = ["2.7"]
    return [
        Slot(f"python3-{layout}" if place else layout, layout, python)
        for place, python in enumerate(pythons)
        for layout in layouts
    ]


def crosswise(possible: list[Slot]) -> list[Slot]:
    """Of these containers each Python and each layout, and not each Python on each layout.

    What is so on both layouts and on both Pythons need not be shown of all four pairs.
    """
    pythons = sorted({slot.python or "" for slot in possible}, reverse=True)
    layouts = sorted({slot.layout for slot in possible})
    if len(pythons) != 2 or len(layouts) != 2:
        return possible
    # The older Python on "multi", the other on "single".
    return [
        slot for slot in possible if pythons.index(slot.python or "") != layouts.index(slot.layout)
    ]


@dataclass(frozen=True)
class Subject:
    """One image under test and the Mailman in it."""

    image: images.Image
    mailman: Mailman

    def describe(self, layouts: Iterable[str]) -> str:
        what = "the stand-in, not GNU Mailman" if self.mailman.is_standin else "GNU Mailman"
        return (
            f"Mailman {self.mailman.version} ({what}) on Python {self.mailman.python}, "
            f"layouts {', '.join(layouts)}, image {self.image.name}"
        )


def choose(
    option: str | None, engine: engines.Engine, say: Callable[[str], None]
) -> dict[str, Subject]:
    """The images of the run, by the environment variable that gives each to compose.yaml.

    Raises ImageError or BoxError with one line for a person.
    """
    if option is None:
        try:
            found = [images.packaged(engine, say)]
        except images.ImageError as problem:
            say(f"no packaged Mailman ({problem}): the stand-in is used")
            found = list(images.standin(engine, say).values())
        else:
            found += python3_standin(engine, say)
    elif option == "packaged":
        found = [images.packaged(engine, say)]
    elif option == "standin":
        found = list(images.standin(engine, say).values())
    else:
        found = [images.named(option, say)]
    variables = ("MAILMAN_IMAGE", "MAILMAN_PYTHON3_IMAGE")
    subjects = {
        variable: Subject(image, ask_mailman(image.id))
        for variable, image in zip(variables, found, strict=False)
    }
    if option == "standin" and not all(one.mailman.is_standin for one in subjects.values()):
        raise BoxError("the stand-in's image does not say that it is the stand-in")
    return subjects


def python3_standin(engine: engines.Engine, say: Callable[[str], None]) -> list[images.Image]:
    """What answers as Mailman 2.2 on Python 3, which no package has; nothing where it cannot be."""
    try:
        return [image for version, image in images.standin(engine, say).items() if version >= "3"]
    except images.ImageError as problem:
        say(f"no stand-in for Mailman 2.2 on Python 3 ({problem}): it is left out")
        return []


def refuse_standin(subjects: dict[str, Subject]) -> None:
    """For a run that is to make records. Raises BoxError where it would be on the stand-in."""
    if any(subject.mailman.is_standin for subject in subjects.values()):
        raise BoxError(NO_RECORD)


def sent(subjects: dict[str, Subject]) -> dict[str, dict[str, object]]:
    """The images of the run as plain data, for the workers of a parallel run."""
    return {variable: dataclasses.asdict(subject) for variable, subject in subjects.items()}


def received(data: dict[str, dict[str, Any]]) -> dict[str, Subject]:
    """What `sent` sent."""
    return {
        variable: Subject(
            images.Image(**subject["image"]),
            Mailman(
                **{**subject["mailman"], "interpreter": tuple(subject["mailman"]["interpreter"])}
            ),
        )
        for variable, subject in data.items()
    }


def subject_of(slot: Slot, subjects: dict[str, Subject]) -> Subject | None:
    """The image that a slot's container has in this run; None when there is none in this run."""
    second = slot.service.startswith("python3-")
    return subjects.get("MAILMAN_PYTHON3_IMAGE" if second else "MAILMAN_IMAGE")


def skip_without(box: Box, programs: Iterable[str], option: str | None) -> None:
    """Skip the test if somebody else's image lacks one of `programs`."""
    lacking = [name for name in programs if box.sh(f"command -v {name}").rc != 0]
    # Ours have everything: without it they are broken.
    if lacking and option not in OWN:
        pytest.skip(f"the image has no {', '.join(lacking)}")
