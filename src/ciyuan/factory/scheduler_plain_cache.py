"""The prefix cache as plain as can be: what `scheduler_cache` compiles, with dictionaries."""

from collections.abc import Sequence

from ciyuan.factory.scheduler_terms import TOKEN_PARTS, Eviction


class PlainCache:
    """Blocks with their tokens, how often each is held and used, and those nobody holds, oldest first."""

    def __init__(self, eviction: Eviction) -> None:
        self.eviction = eviction
        self.tokens: dict[int, int] = {}
        self.holders: dict[int, int] = {}
        self.uses: dict[int, int] = {}
        self.spare: dict[int, None] = {}
        self.spare_reused: dict[int, None] = {}

    def beginning(self, blocks: Sequence[int]) -> list[int]:
        """The longest beginning of a prompt that is here."""
        known: list[int] = []
        for block in blocks:
            if block not in self.tokens:
                break
            known.append(block)
        return known

    def is_spare(self, block: int) -> bool:
        """Whether nobody holds a block that is here."""
        return self.holders[block] == 0

    def hold(self, block: int) -> None:
        """One more uses a block that is here."""
        self.holders[block] += 1
        self.uses[block] += 1
        self.spare.pop(block, None)
        self.spare_reused.pop(block, None)

    def add(self, block: int, tokens: int) -> None:
        """A block that was not here, held by the one who brings it."""
        self.tokens[block], self.holders[block], self.uses[block] = tokens, 1, 1

    def let_go(self, blocks: Sequence[int]) -> None:
        """End the use of a prompt's beginning, the last block first."""
        for block in reversed(blocks):
            self.holders[block] -= 1
            if self.holders[block] == 0:
                reused = self.eviction is Eviction.REUSED_LAST and self.uses[block] > 1
                (self.spare_reused if reused else self.spare)[block] = None

    def evict_one(self) -> None:
        """Drop the spare block whose turn it is."""
        spare = self.spare or self.spare_reused
        block = next(iter(spare))
        del spare[block], self.tokens[block]

    @property
    def parts(self) -> int:
        """Memory of every block that is here."""
        return sum(self.tokens.values()) * TOKEN_PARTS

    @property
    def spare_parts(self) -> int:
        """Memory of the blocks that nobody holds."""
        return sum(self.tokens[block] for block in (*self.spare, *self.spare_reused)) * TOKEN_PARTS
