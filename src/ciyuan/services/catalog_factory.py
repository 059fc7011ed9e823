"""The catalogue of the token factory: models, systems and software, read strictly out of their fact files.

| function | file | gives |
|---|---|---|
| `models` | models.toml | by code |
| `systems` | systems.toml | by code; each of a chip of chips.toml |
| `software` | software.toml | the day of each release, by software |
| `names` | all of these | what other names mean: of chips, models, precisions |

A name that nothing resolves is Malformed, naming what there is: nothing is guessed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Protocol, TypeVar

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import Cooling, System
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Attention, Model, Precision
from ciyuan.factory.software import Backend, Software
from ciyuan.factory.span import Span
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_table import FACTS, Section, known, member, top_tables


class _Fact(Protocol):
    """What has a name of its own and others."""

    @property
    def code(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


_Named = TypeVar("_Named", bound=_Fact)


def models(folder: Traversable = FACTS) -> dict[str, Model]:
    """The models by code."""
    return {code: _model(code, table) for code, table in top_tables("models.toml", folder)}


def _model(code: str, table: Section) -> Model:
    linear = _group(table, "linear", ("layers", "key", "value", "scalars", "state"))
    latent = _group(table, "mla", ("query_rank", "kv_rank", "nope", "rope", "value"))
    shared = _group(table, "shared", ("query_rank", "output_rank", "output_groups"))
    index = _group(table, "index", ("heads", "size"))
    dense = _group(table, "dense", ("layers", "width"))
    experts = _group(table, "experts", ("layers", "count", "per_token", "width"), ("shared",))
    return Model(
        code=code,
        name=table.text("name"),
        family=table.text("family"),
        hidden=table.whole("hidden"),
        vocabulary=table.whole("vocabulary"),
        tied_embeddings=_flag(table, "tied_embeddings"),
        context_tokens_max=table.whole("context_tokens_max"),
        attention=member(Attention, table.text("attention"), f"{table.place}, attention"),
        spans=tuple(_span(entry) for entry in table.tables("spans")),
        linear_layers=linear["layers"],
        heads=table.whole("heads"),
        kv_heads=_whole(table, "kv_heads"),
        head_size=_whole(table, "head_size"),
        gated_attention=_flag(table, "gated_attention"),
        query_rank=latent["query_rank"] or shared["query_rank"],
        kv_rank=latent["kv_rank"],
        nope_size=latent["nope"],
        rope_size=latent["rope"],
        value_size=latent["value"],
        output_rank=shared["output_rank"],
        output_groups=shared["output_groups"],
        index_heads=index["heads"],
        index_size=index["size"],
        linear_key=linear["key"],
        linear_value=linear["value"],
        linear_scalars=linear["scalars"],
        linear_state=linear["state"],
        mlp_matrices=_whole(table, "mlp_matrices", 3),
        dense_layers=dense["layers"],
        dense_width=dense["width"],
        moe_layers=experts["layers"],
        experts=experts["count"],
        experts_per_token=experts["per_token"],
        shared_experts=experts["shared"],
        expert_width=experts["width"],
        attention_bits_at_4=_whole(table, "attention_bits_at_4"),
        dense_bits_at_4=_whole(table, "dense_bits_at_4"),
        native_precision=member(
            Precision, table.text("native_precision"), f"{table.place}, native_precision"
        ),
        draft_layers=_whole(table, "draft_layers"),
        other_parameters=table.figure("other_parameters") or 0.0,
        parameters_published=table.number("parameters_published"),
        active_published=table.number("active_published"),
        source=table.text("source"),
        observed_on=table.day("observed_on"),
        aliases=table.texts("aliases") if "aliases" in table else (),
    )


def _span(entry: Section) -> Span:
    return Span(
        layers=entry.whole("layers"),
        window=_whole(entry, "window"),
        stride=_whole(entry, "stride", 1),
        local=_whole(entry, "local"),
        chosen=_whole(entry, "chosen"),
    )


def _group(
    table: Section, key: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, int]:
    """The whole numbers of a table inside `table`; all 0 where the model has no such part."""
    if key not in table:
        return dict.fromkeys((*needed, *optional), 0)
    with table.table(key) as inner:
        return {name: inner.whole(name) for name in needed} | {name: _whole(inner, name) for name in optional}


def _whole(table: Section, key: str, otherwise: int = 0) -> int:
    return table.whole(key) if key in table else otherwise


def _flag(table: Section, key: str) -> bool:
    return table.flag(key) if key in table else False


def systems(folder: Traversable = FACTS) -> dict[str, System]:
    """The systems by code."""
    known_chips = chips(folder)
    found = {}
    for code, table in top_tables("systems.toml", folder):
        found[code] = System(
            code=code,
            name=table.text("name"),
            chip=known(known_chips, table.text("chip"), f"{table.place}, chip", "chips.toml").code,
            gpus=table.whole("gpus"),
            cooling=member(Cooling, table.text("cooling"), f"{table.place}, cooling"),
            scale_up_gpus=table.whole("scale_up_gpus"),
            idle_w=table.figure("idle_w"),
            host_w=table.figure("host_w"),
            load_w=table.figure("load_w"),
            basis=table.text("basis"),
            announced=_flag(table, "announced"),
            source=table.text("source"),
            observed_on=table.day("observed_on"),
        )
    return found


def software(folder: Traversable = FACTS) -> dict[Software, str]:
    """The day of each release, as ISO text: published, or the first day that a run of it is known."""
    found = {}
    for _, table in top_tables("software.toml", folder):
        backend = member(Backend, table.text("backend"), f"{table.place}, backend")
        frame = table.text("frame") if "frame" in table else ""
        table.sourced()
        for entry in table.tables("releases"):
            found[Software(backend, frame, entry.text("version"))] = entry.day("day")
    return found


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean that others use. Each method raises Malformed for a name that nothing resolves."""

    _chips: Mapping[str, Chip]
    _models: Mapping[str, Model]

    def chip(self, name: str) -> Chip:
        """The chip of a code, an alias or a result table's name; letters of either case, spaces and dashes alike."""
        return _find(self._chips, name, "chip", "chips.toml", _plain)

    def accelerator(self, name: str) -> Chip:
        """The chip of an accelerator as submitters of benchmark results write it: an alias, or a name with one designation."""
        if _plain(name) in self._chips:
            return self._chips[_plain(name)]
        found = {match.group(1).lower() for match in re.finditer(_DESIGNATION, name, re.IGNORECASE)}
        form = re.search(r"nvl(?!\d)|pcie", name.lower())
        return self.chip(f"{found.pop()}{form.group(0) if form else ''}" if len(found) == 1 else name)

    def model(self, name: str) -> Model:
        """The model of a code or an alias."""
        return _find(self._models, name, "model", "models.toml", str.lower)

    def precision(self, name: str, model: Model) -> Precision:
        """The precision in which a run kept `model`; empty: the maker's own.

        fp4 of a model that its maker ships in MXFP4 is that: no other 4-bit checkpoint of it is in use (fp8 is its cache then).
        """
        low = name.strip().lower()
        if not low:
            return model.native_precision
        if model.native_precision is Precision.MXFP4 and low in {"fp4", "fp8", "mxfp4"}:
            return Precision.MXFP4
        if low not in _PRECISIONS:
            raise Malformed(f"precision of {model.code}", found=name, expected=f"one of {', '.join(_PRECISIONS)}",
                            remedy="Mend the word.")  # fmt: skip
        return _PRECISIONS[low]


_DESIGNATION = r"(?<![a-z0-9])(MI\d{3}X|GB\d00|GH200|[ABHV]\d00|L40S|L4)(?![a-z0-9])"
_PRECISIONS = {
    "bf16": Precision.BF16,
    "bfloat16": Precision.BF16,
    "fp16": Precision.BF16,
    "fp32": Precision.BF16,
    "fp8": Precision.FP8,
    "int8": Precision.INT8,
    "fp4": Precision.FP4,
    "nvfp4": Precision.FP4,
    "mxfp4": Precision.MXFP4,
    "int4": Precision.INT4,
    "uint4": Precision.INT4,
}


def names(folder: Traversable = FACTS) -> Names:
    """What names mean, by codes and aliases. Raises Malformed for a name of two facts."""
    return Names(
        _by_name(chips(folder), "chips.toml", _plain), _by_name(models(folder), "models.toml", str.lower)
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_name(facts: Mapping[str, _Named], file: str, fold: Callable[[str], str]) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for code, fact in facts.items():
        for name in (code, *fact.aliases):
            if found.get(fold(name), fact) is not fact:
                raise Malformed(f"{file}, [{code}], aliases", found=name,
                                expected=f"a name that {found[fold(name)].code} does not have",
                                remedy="Take it out of one of them.")  # fmt: skip
            found[fold(name)] = fact
    return found


def _find(facts: Mapping[str, _Named], name: str, kind: str, file: str, fold: Callable[[str], str]) -> _Named:
    if fold(name) not in facts:
        codes = dict.fromkeys(one.code for one in facts.values())
        raise Malformed(kind, found=name, expected=f"a name in {file}: {', '.join(codes)}, or an alias there",
                        remedy=f"Mend the name, or add it to {file}.")  # fmt: skip
    return facts[fold(name)]
