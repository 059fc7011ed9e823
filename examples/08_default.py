"""A member does not pay; who does? Run it from the project's folder:  .venv/bin/python examples/08_default.py"""

from ciyuan.basics.money import format_micro
from ciyuan.basics.rows import code_of
from ciyuan.clearing.messages import ClearingEvent, Layer
from ciyuan.simulation.drill import DrillTerms, play_drill


def main() -> None:
    played = play_drill(
        DrillTerms(members=8, seed=7, jump_log=-0.22)
    )  # a hardware generation: -0.22 off the log of prices
    names = {member.number: member.name for member in played.members} | {0: "the house"}
    print(f"{names[played.defaulter]} is called, does not pay, and is closed out")
    loss = 0
    for kind, _, who, *words in played.events.tolist():
        code = code_of(kind)
        if code == ClearingEvent.AUCTION_CLOSED:
            print(f"auction {who}: {words[2]} lots awarded, {words[3]} torn up")
        elif code == ClearingEvent.LOSS_COVERED:
            layer, payer, amount, left, _ = words
            print(
                f"  {Layer(layer).name:12} {names[payer]:13} pays {format_micro(amount, 2):>10}, left {format_micro(left, 2):>10}"
            )
            loss += amount
        elif code == ClearingEvent.CLOSED_OUT:
            print(
                f"owed beyond its margin: {format_micro(words[0], 2)} USD, not covered: {format_micro(words[1], 2)}"
            )
            print(f"the layers sum to it: {loss + words[1] == words[0]}")


if __name__ == "__main__":
    main()
