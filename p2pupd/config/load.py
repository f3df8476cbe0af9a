"""Where settings come from: files, environment, flags, in this order; the last one counts.

`/etc/p2pupd/config.toml`, then `/etc/p2pupd/conf.d/*.toml` by name, then the environment
(`P2PUPD_SECTION__KEY=value`), then flags. With another configuration file, its drop-ins are in
`conf.d` beside it.
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Final

from p2pupd.config.schema import Settings
from p2pupd.config.structure import Mistake, structure, suggestion
from p2pupd.errors import ConfigError

DEFAULT_FILE: Final = Path("/etc/p2pupd/config.toml")
ENVIRONMENT_PREFIX: Final = "P2PUPD_"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings and where each value that is not a default came from.

    `again` reads everything once more, from the same places; it raises as `load_config` does.
    """

    settings: Settings
    origins: Mapping[str, str]
    again: Callable[[], "Config"]

    @property
    def control_socket(self) -> Path:
        """Where the control API is."""
        return self.settings.control_socket


@dataclass(frozen=True, slots=True)
class Location:
    """Where the control API of the daemon is that runs with a configuration.

    `mistakes` are those of the configuration, a line each; `certain`: none of them can have to do
    with the place.
    """

    socket: Path
    mistakes: str = ""
    certain: bool = True


PLACE: Final = frozenset({"device.state_dir", "control.socket"})
"""The keys that decide where the control API is."""


class _Layers:
    """Tables laid over each other, remembering who set each key.

    `lost`: something that could not be read may have set any key. `wrong` are the dotted keys that
    have a mistake.
    """

    def __init__(self) -> None:
        self.lost = False
        self.tables: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.folders: dict[str, Path] = {}
        self.mistakes: list[str] = []
        self.wrong: set[str] = set()

    def lay(self, section: str, key: str, value: Any, origin: str, folder: Path) -> None:
        self.tables.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin
        self.folders[f"{section}.{key}"] = folder

    def folder_of(self, dotted: str) -> Path:
        section, _, rest = dotted.partition(".")
        key = rest.partition(".")[0].partition("[")[0]
        return self.folders.get(f"{section}.{key}", Path.cwd())

    def mistake(self, found: Mistake) -> None:
        key, wrong = found
        self.wrong.add(key)
        self.lost = self.lost or key in PLACE
        section, _, rest = key.partition(".")
        first = rest.partition(".")[0].partition("[")[0]
        origin = self.origins.get(f"{section}.{first}")
        self.mistakes.append(f"{origin + ': ' if origin else ''}{key} {wrong}")


def load_config(
    config_file: Path | None = None,
    *,
    state_dir: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read everything. Raises one ConfigError that tells every mistake, a line each.

    A `config_file` that is named must exist; the default one may be missing.
    """
    layers = _laid(config_file, state_dir, overrides, environment)
    settings = _compose(layers)
    if layers.mistakes:
        raise ConfigError("\n".join(layers.mistakes))
    again = partial(
        load_config,
        config_file,
        state_dir=state_dir,
        overrides=overrides,
        environment=environment,
    )
    return Config(settings, layers.origins, again)


def find_control(
    config_file: Path | None = None,
    *,
    state_dir: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Location:
    """Where the daemon is, whatever is wrong with the rest of its configuration.

    Raises ConfigError where the path cannot be a socket's.
    """
    layers = _laid(config_file, state_dir, overrides, environment)
    place = _compose(layers).control_socket
    return Location(place, "\n".join(layers.mistakes), certain=not layers.lost)


def _laid(
    config_file: Path | None,
    state_dir: Path | None,
    overrides: Sequence[str],
    environment: Mapping[str, str] | None,
) -> _Layers:
    layers = _Layers()
    _lay_files(layers, config_file)
    _lay_environment(layers, os.environ if environment is None else environment)
    if state_dir is not None:
        layers.lay("device", "state_dir", str(state_dir), "--state-dir", Path.cwd())
    for each in overrides:
        _lay_override(layers, each)
    return layers


def _lay_files(layers: _Layers, config_file: Path | None) -> None:
    main = config_file or DEFAULT_FILE
    _lay_file(layers, main, optional=config_file is None)
    for each in _drop_ins(layers, main.parent / "conf.d"):
        _lay_file(layers, each)


def _drop_ins(layers: _Layers, directory: Path) -> list[Path]:
    """In their order. The directory may be missing."""
    try:
        return sorted(each for each in directory.iterdir() if each.match("*.toml"))
    except FileNotFoundError:
        return []
    except OSError as error:
        layers.mistakes.append(f"{directory}: cannot be read: {error.strerror}")
        layers.lost = True
        return []


def _lay_file(layers: _Layers, path: Path, *, optional: bool = False) -> None:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        if optional and isinstance(error, FileNotFoundError):
            return
        layers.mistakes.append(f"{path}: cannot be read: {error.strerror or error}")
        layers.lost = True
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        layers.mistakes.append(f"{path}: is not TOML: {error}")
        layers.lost = True
        return
    for section, table in tables.items():
        if not isinstance(table, dict):
            layers.mistakes.append(f"{path}: {section} stands outside of any [section]")
            layers.lost = True
            continue
        for key, value in table.items():
            layers.lay(section, key, value, str(path), path.absolute().parent)


def _lay_environment(layers: _Layers, environment: Mapping[str, str]) -> None:
    for name, value in sorted(environment.items()):
        section, found, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if name.startswith(ENVIRONMENT_PREFIX) and found:
            layers.lay(section, key, _literal(value), f"environment {name}", Path.cwd())


def _lay_override(layers: _Layers, text: str) -> None:
    dotted, found, value = text.partition("=")
    section, dot, key = dotted.strip().partition(".")
    if not (found and dot and key):
        layers.mistakes.append(f"--set {text}: write section.key=value")
        layers.lost = True
        return
    layers.lay(section, key, _literal(value), "--set", Path.cwd())


def _literal(text: str) -> Any:
    """A list or table in TOML's notation, otherwise the text itself."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _compose(layers: _Layers) -> Settings:
    sections: dict[str, Callable[[], Any]] = {
        each.name: each.default_factory  # type: ignore[misc]
        for each in fields(Settings)
    }
    for name in layers.tables.keys() - sections.keys():
        for key in layers.tables[name]:
            layers.mistake((f"{name}.{key}", "is in no known section" + suggestion(name, sections)))
    made: dict[str, Any] = {}
    for name, kind in sections.items():
        value, mistakes = structure(
            kind,  # type: ignore[arg-type]
            layers.tables.get(name, {}),
            f"{name}.",
            layers.folder_of,
        )
        for each in mistakes:
            layers.mistake(each)
        made[name] = value
    settings = Settings(**made)
    for key, wrong in settings.together():
        if key not in layers.wrong:
            layers.mistake((key, wrong))
    return settings
