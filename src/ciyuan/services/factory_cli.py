"""The factory on the command line: `ciyuan factory curve | plan | cost | value | simulate | accuracy | headlines`."""

import typer

from ciyuan.services.accuracy_cli import EXAMPLE as ACCURACY_EXAMPLE
from ciyuan.services.accuracy_cli import accuracy
from ciyuan.services.cost_cli import EXAMPLE as COST_EXAMPLE
from ciyuan.services.cost_cli import cost
from ciyuan.services.curve_cli import EXAMPLE as CURVE_EXAMPLE
from ciyuan.services.curve_cli import curve
from ciyuan.services.plan_cli import HEADLINES_EXAMPLE, PLAN_EXAMPLE, headlines, plan
from ciyuan.services.simulate_cli import EXAMPLE as SIMULATE_EXAMPLE
from ciyuan.services.simulate_cli import simulate
from ciyuan.services.value_cli import EXAMPLE as VALUE_EXAMPLE
from ciyuan.services.value_cli import value

factory_app = typer.Typer(
    help="Token factories: what chips make of megawatts, what a million tokens cost, which tiers to make.",
    no_args_is_help=True,
    add_completion=False,
)
factory_app.command(epilog=CURVE_EXAMPLE)(curve)
factory_app.command(epilog=PLAN_EXAMPLE)(plan)
factory_app.command(epilog=COST_EXAMPLE)(cost)
factory_app.command(epilog=VALUE_EXAMPLE)(value)
factory_app.command(epilog=SIMULATE_EXAMPLE)(simulate)
factory_app.command(epilog=ACCURACY_EXAMPLE)(accuracy)
factory_app.command(epilog=HEADLINES_EXAMPLE)(headlines)
