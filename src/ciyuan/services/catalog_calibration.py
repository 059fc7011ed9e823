"""The shipped calibration: what `services.factory_fit` wrote into calibration.toml, and the same text made from a fit.

| table | holds |
|---|---|
| constants | the constants of the physics |
| levels | noise, stretch, and by level its groups as lines "key: means; standard deviations" |
| votes | told speculation: by series "key: number+ number- ..." (+ drafted), by state "key: runs drafted" |
| recipes | disaggregated layouts that were run, one a line |
| first_token | constants of the time to first token, of aggregated and disaggregated layouts |
| offline | log factors of saturated throughput, "kind word: mean; standard deviation" |

Groups are lines of text and not tables, as there are over a thousand: the file stays small and quick to read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources.abc import Traversable

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration import LEVELS, Calibration, Effect
from ciyuan.factory.calibration_fit import Fitted
from ciyuan.factory.campaigns import Votes
from ciyuan.factory.constants import Constants
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.offline import OfflineFactors
from ciyuan.factory.prefill import Prompting, PromptingPair
from ciyuan.factory.recipes import Recipe, Recipes
from ciyuan.services.catalog_table import FACTS, Section, top_table

FILE = "calibration.toml"
HEAD = (
    "# The calibration of the token factory's physics: factory/{constants,calibration,campaigns,recipes,prefill,offline}.py.",
    "# Written by `python -m ciyuan.services.factory_fit`; do not edit by hand. How: docs/spec/factory_physics.md.",
)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A calibration with what it was learnt from: rows of each file, the source, the day of the last run."""

    fitted: Fitted
    recipes: Recipes
    offline: OfflineFactors
    rows: Mapping[str, int]
    source: str
    observed_on: str


def shipped(folder: Traversable = FACTS) -> Shipped:
    """The calibration of a folder of facts; that of the package is read once."""
    return _of_package() if folder is FACTS else _read(folder)


@cache
def _of_package() -> Shipped:
    return _read(FACTS)


def _read(folder: Traversable) -> Shipped:
    with top_table(FILE, "constants", folder) as table:
        source, observed_on = table.sourced()
        with table.table("rows") as counts:
            rows = {name: counts.whole(name) for name in ("serving", "offline")}
        with table.table("values") as values:
            constants = Constants(**{field.name: values.number(field.name) for field in fields(Constants)})
    with top_table(FILE, "levels", folder) as table:
        table.sourced()
        noise, stretch = table.number("noise"), table.number("stretch")
        effects = {level.name: _effects(table, level.name, len(level.columns)) for level in LEVELS}
    with top_table(FILE, "votes", folder) as table:
        table.sourced()
        votes = Votes(_series(table), {key: _pair(table, text) for key, text in _lines(table, "states")})
    with top_table(FILE, "recipes", folder) as table:
        table.sourced()
        recipes = Recipes(tuple(_recipe(table, line) for line in table.texts("told")))
    with top_table(FILE, "first_token", folder) as table:
        table.sourced()
        prompting = PromptingPair(_prompting(table, "mixed"), _prompting(table, "apart"))
    with top_table(FILE, "offline", folder) as table:
        table.sourced()
        offline = _offline(table)
    fitted = Fitted(constants, Calibration(effects, noise, stretch), votes, prompting)
    return Shipped(fitted, recipes, offline, rows, source, observed_on)


def _prompting(table: Section, key: str) -> Prompting:
    with table.table(key) as values:
        return Prompting(**{field.name: values.number(field.name) for field in fields(Prompting)})


def _lines(table: Section, key: str) -> Iterator[tuple[str, str]]:
    """The lines "key: text" of a list."""
    for line in table.texts(key):
        name, colon, text = line.partition(": ")
        if not colon:
            raise _bad(table, line)
        yield name, text


def _bad(table: Section, line: str) -> Malformed:
    return Malformed(f"{table.place}, a line", found=line, expected="a line as its fit writes it",
                     remedy="Write the file anew with python -m ciyuan.services.factory_fit.")  # fmt: skip


def _figures(table: Section, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        raise _bad(table, text) from None


def _effects(table: Section, name: str, width: int) -> dict[str, Effect]:
    found = {}
    for key, text in _lines(table, name):
        means, _, spreads = text.partition("; ")
        effect = Effect(_figures(table, means), _figures(table, spreads))
        if not len(effect.means) == len(effect.spreads) == width:
            raise _bad(table, text)
        found[key] = effect
    return found


def _series(table: Section) -> dict[str, tuple[tuple[int, bool], ...]]:
    return {
        key: tuple((int(word[:-1]), word[-1] == "+") for word in text.split())
        for key, text in _lines(table, "series")
    }


def _pair(table: Section, text: str) -> tuple[int, int]:
    figures = _figures(table, text)
    if len(figures) != 2:
        raise _bad(table, text)
    return int(figures[0]), int(figures[1])


def _recipe(table: Section, line: str) -> Recipe:
    words = line.split("|")
    if len(words) != 13:
        raise _bad(table, line)
    chip, backend, precision, shape, speculation = words[:5]
    concurrency, readers, p_tensor, p_data, decoders, d_tensor, d_data, spread = (
        int(word) for word in words[5:]
    )
    prefill, decode = (
        Engine(tensor, data, 1, tensor * data if flag and data > 1 else 1)
        for tensor, data, flag in ((p_tensor, p_data, spread & 1), (d_tensor, d_data, spread & 2))
    )
    if spread & 2 and d_data == 1:
        decode = Engine(d_tensor, d_data, 1, d_tensor)
    if spread & 1 and p_data == 1:
        prefill = Engine(p_tensor, p_data, 1, p_tensor)
    layout = Layout(decode, decoders, prefill, readers)
    return Recipe(chip, backend, precision, shape, concurrency, layout, speculation)


def _offline(table: Section) -> OfflineFactors:
    means: dict[str, dict[str, float]] = {}
    spreads: dict[str, dict[str, float]] = {}
    for key, text in _lines(table, "factors"):
        kind, _, word = key.partition(" ")
        mean, _, spread = text.partition("; ")
        means.setdefault(kind, {})[word] = float(mean)
        spreads.setdefault(kind, {})[word] = float(spread)
    return OfflineFactors(means, spreads)


# Writing.


def as_toml(found: Shipped) -> str:
    """The text of calibration.toml."""
    fitted, said = found.fitted, [f'source = "{found.source}"', f"observed_on = {found.observed_on}"]
    calibration = fitted.calibration
    lines = [
        *HEAD,
        "", "[constants]", *said, "", "[constants.rows]", *(f"{name} = {count}" for name, count in found.rows.items()),
        "", "[constants.values]", *(f"{field.name} = {getattr(fitted.constants, field.name):.5g}" for field in fields(Constants)),
        "", "[levels]", *said, f"noise = {calibration.noise:.4f}", f"stretch = {calibration.stretch:.4f}",
    ]  # fmt: skip
    for level in LEVELS:
        effects = calibration.effects.get(level.name, {})
        lines += _list(level.name, (_effect_line(key, effect) for key, effect in sorted(effects.items())))
    lines += ["", "[votes]", *said]
    lines += _list("series", (_series_line(key, told) for key, told in sorted(fitted.votes.series.items())))
    lines += _list(
        "states",
        (
            f"{key}: {runs} {drafted}"
            for key, (runs, drafted) in sorted(fitted.votes.states.items())
            if drafted
        ),
    )
    lines += ["", "[recipes]", *said, *_list("told", (_recipe_line(recipe) for recipe in found.recipes.told))]
    lines += ["", "[first_token]", *said]
    for name, prompting in (("mixed", fitted.prompting.mixed), ("apart", fitted.prompting.apart)):
        figures = (f"{field.name} = {getattr(prompting, field.name):.5g}" for field in fields(Prompting))
        lines += ["", f"[first_token.{name}]", *figures]
    lines += ["", "[offline]", *said, *_list("factors", _offline_lines(found.offline))]
    return "\n".join(lines) + "\n"


def _list(key: str, lines: Iterable[str]) -> list[str]:
    return [f"{key} = [", *(f'"{line}",' for line in lines), "]"]


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _effect_line(key: str, effect: Effect) -> str:
    return f"{key}: {' '.join(map(_short, effect.means))}; {' '.join(map(_short, effect.spreads))}"


def _series_line(key: str, told: Iterable[tuple[int, bool]]) -> str:
    words = (f"{number}+" if drafted else f"{number}-" for number, drafted in told)
    return f"{key}: {' '.join(words)}"


def _recipe_line(recipe: Recipe) -> str:
    layout = recipe.layout
    prefill, decode = layout.prefill or layout.decode, layout.decode
    spread = (prefill.expert > 1) + 2 * (decode.expert > 1)
    words = (
        *(
            recipe.chip,
            recipe.backend,
            recipe.precision,
            recipe.shape,
            recipe.speculation,
            recipe.concurrency,
        ),
        *(layout.prefill_workers, prefill.tensor, prefill.data),
        *(layout.decode_workers, decode.tensor, decode.data, spread),
    )
    return "|".join(str(word) for word in words)


def _offline_lines(offline: OfflineFactors) -> Iterator[str]:
    for kind, words in sorted(offline.means.items()):
        for word, mean in sorted(words.items()):
            yield f"{kind} {word}: {mean:.4f}; {offline.spreads[kind][word]:.4f}"
