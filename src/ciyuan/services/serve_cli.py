"""`ciyuan serve`: open a gateway on this machine."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.basics.errors import Malformed
from ciyuan.services import compiled as door
from ciyuan.services.door.registry_command import STORE, AsJson, Store

if TYPE_CHECKING:
    from ciyuan.services.door.serving import Gateway, ServeOrder

STATUS = (
    "Exit status: 0 drained and closed, 1 calls were cut off, 2 malformed input, 3 damaged journal, "
    "5 failed disk or database."
)
EXAMPLE = (
    "Example:  ciyuan serve --suppliers suppliers.toml    then point a client at http://127.0.0.1:8080/v1"
)


def serve(
    suppliers: Annotated[Path, typer.Option(help="The suppliers' file (TOML); see examples/gateway.")],
    store: Store = STORE,
    host: Annotated[str, typer.Option(help="Address for clients.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port for clients; 0: any free one.")] = 8080,
    admin_host: Annotated[str, typer.Option(help="Address for metrics and status.")] = "127.0.0.1",
    admin_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for metrics and status; 0: any free one.")
    ] = 9090,
    process: Annotated[
        int,
        typer.Option(min=0, max=15, help="This process's number among those that share a PostgreSQL store."),
    ] = 0,
    firewall: Annotated[
        bool,
        typer.Option("--firewall/--no-firewall", help="Search requests and answers for what must not leave."),
    ] = True,
    words: Annotated[
        Path | None, typer.Option(help="File of the company's own words that must not leave, one a line.")
    ] = None,
    refuse_opaque: Annotated[
        bool,
        typer.Option(
            "--refuse-opaque", help="Refuse what the firewall cannot read: pictures and files in the body."
        ),
    ] = False,
    audit_percent: Annotated[
        float, typer.Option(min=0, max=100, help="Share of calls whose tokens are counted again.")
    ] = 10.0,
    drain_s: Annotated[float, typer.Option(min=0, help="How long calls may still run after SIGTERM.")] = 60.0,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compiled/--interpreted",
            envvar=door.ENVIRONMENT,
            help="Run the door that `make compile` made, or the one of the sources; without either: the former, if it is there.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve OpenAI's and Anthropic's APIs in front of suppliers, with prepaid balances, budgets and exact bills."""
    door.use(door.Choice(compiled))
    from ciyuan.services.door.serving import ServeOrder, environment

    lines = () if words is None else _lines_of(words)
    order = ServeOrder(
        store=store,
        suppliers=suppliers,
        host=host,
        port=port,
        admin_host=admin_host,
        admin_port=admin_port,
        process=process,
        firewall=firewall,
        words=tuple(line.strip() for line in lines if line.strip()),
        opaque_allowed=not refuse_opaque,
        drain_s=drain_s,
        audit_share=round(audit_percent * 100),
        environ=environment(),
    )
    raise typer.Exit(_run(order, as_json=as_json))


def _lines_of(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").split("\n"))
    except (OSError, UnicodeDecodeError) as fault:
        raise Malformed(f"words {path}", found=type(fault).__name__, expected="a text file in UTF-8, a word or phrase a line",
                        remedy="Check the path and who may read it.") from None  # fmt: skip


def _run(order: "ServeOrder", *, as_json: bool) -> int:
    import uvloop

    from ciyuan.services.door.serving import serve as serving

    def ready(gateway: "Gateway") -> None:
        _print_ready(gateway, as_json=as_json)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serving(order, ready))


def _print_ready(gateway: "Gateway", *, as_json: bool) -> None:
    from ciyuan.services.door.serving import shown_store

    port, admin_port = gateway.ports
    order, offers = gateway.order, gateway.catalogue.offers
    if as_json:
        where = f"http://{order.host}:{port}/v1", f"http://{order.admin_host}:{admin_port}"
        print(json.dumps({"serving": where[0], "admin": where[1], "port": port, "admin_port": admin_port,
                          "store": shown_store(order.store), "door": door.running()}), flush=True)  # fmt: skip
        return
    for seed in gateway.catalogue.seeds:
        print(seed)
    print(f"store    {shown_store(order.store)}, {gateway.host.applied:,} rows in the journal")
    print(f"models   {', '.join(model.name for model in offers.models())}")
    print(f"firewall {'on' if order.firewall else 'off'}")
    stale = door.running() == "interpreted" and door.is_stale()
    print(
        f"door     {door.running()}{' (what was compiled is of other sources: make compile)' if stale else ''}"
    )
    print(f"admin    http://{order.admin_host}:{admin_port}/status, /metrics")
    print(f"serving  http://{order.host}:{port}/v1    (Ctrl-C: drain and end)", flush=True)
