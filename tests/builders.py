"""Values for tests: a release, a record, facts, each with everything that can be left out."""

from dataclasses import replace
from typing import Any

from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import DeviceFacts, Installed
from p2pupd.model.ids import ComponentId, DeploymentId, ManifestDigest, Sha256
from p2pupd.model.release import (
    Artifact,
    ArtifactFormat,
    Image,
    InstallerKind,
    Release,
    UpdateKind,
)

COMPONENT = ComponentId("gateway-os")
HARDWARE = "acme-gw2"


def a_release(number: int = 7, **changes: Any) -> Release:
    """Release `number` of the test component, one MiB, for the test hardware."""
    digest = Sha256(f"{number:064x}")
    release = Release(
        target=f"gateway/{COMPONENT}/{COMPONENT}-1.{number}.img",
        component=COMPONENT,
        version=f"1.{number}",
        release=number,
        kind=UpdateKind.FIRMWARE,
        hardware_ids=(HARDWARE,),
        installer=InstallerKind.SLOTS,
        format=ArtifactFormat.RAW,
        artifact=Artifact(1 << 20, digest, digest, 1 << 14),
        image=Image(1 << 20, digest),
    )
    return replace(release, **changes)


def a_pack(number: int = 7, **changes: Any) -> Release:
    """The same, carried as a chunk pack of half the image's length."""
    image = Image(2 << 20, Sha256(f"{number + 1000:064x}"))
    return a_release(number, format=ArtifactFormat.PACK1, image=image, **changes)


def installed(number: int, **changes: Any) -> Installed:
    """Release `number` as it sits in a slot."""
    return replace(Installed(COMPONENT, f"1.{number}", number, f"{number:064x}"), **changes)


def facts(**changes: Any) -> DeviceFacts:
    """A roomy device that runs release 6."""
    roomy = DeviceFacts(
        hardware_ids=(HARDWARE,),
        component=COMPONENT,
        installer="slots",
        installed=installed(6),
        store_free=1 << 30,
        spare_capacity=1 << 30,
    )
    return replace(roomy, **changes)


def a_record(phase: Phase, **changes: Any) -> Deployment:
    """Deployment 1 of release 7 in `phase`, from slot A to slot B."""
    record = Deployment(
        DeploymentId("1"),
        phase,
        "usb:/stick",
        ManifestDigest("d" * 64),
        started=1000.0,
        changed=1000.0,
        release=a_release(),
        slot="B",
        previous_slot="A",
    )
    return replace(record, **changes)
