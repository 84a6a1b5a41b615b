"""Options of a verb from the fields of a dataclass: `ros2 launch` and `smp up` take the same arguments."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer


def options_of(cls: type, **defaults: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a verb, which takes keywords, one option for each field of `cls`.

    Args:
        cls: dataclass of the options.
        defaults: of this verb, where they are not those of the dataclass.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        kinds = {f.name: Annotated[type(f.default), _option(f.metadata)] for f in fields(cls)}
        verb.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    f.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=defaults.get(f.name, f.default),
                    annotation=kinds[f.name],
                )
                for f in fields(cls)
            ]
        )
        verb.__annotations__ = {**kinds, "return": None}
        return verb

    return decorate


def _option(meta: Any) -> Any:
    unit = f" [{meta['unit']}]" if meta["unit"] else ""
    choices = f" ({', '.join(meta['choices'])})" if meta["choices"] else ""
    text = meta["help"]
    return typer.Option(min=meta["ge"], max=meta["le"], help=f"{text[0].upper()}{text[1:]}{unit}{choices}.")
