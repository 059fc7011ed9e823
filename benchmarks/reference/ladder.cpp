// What C++ does with the benchmark's flow: matching alone, in the shape that the exchange has too.
//
// A dense ladder of 4,096 ticks a side, orders at a tick in a list by index, a bitset of two levels for the next tick with orders,
// dense slots that are used again (the last freed first), a dense table from order number to slot, trades into memory that is there.
//
//     ladder FILE PREFILL ROUNDS
//
// FILE holds int32 rows (kind, order, tick, lots), orders numbered 1, 2, 3 ...; the first PREFILL of them are applied before the clock
// starts, in each of the ROUNDS. Printed: CPU nanoseconds a message (the best round), trades, lots traded, digest of the trades.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace {

constexpr int32_t kTicks = 4096;
constexpr int32_t kWords = kTicks / 64;
constexpr int32_t kNone = -1;

enum Kind : int32_t { kBuy = 0, kSell = 1, kCancel = 2, kAmend = 3 };

struct Message {
    int32_t kind, order, tick, lots;
};

struct Order {
    int32_t left, tick, side, next, previous, number, spare_1, spare_2;
};

struct Level {
    int32_t head, tail, lots, orders;
};

struct Trade {
    int32_t maker, taker, tick, lots;
};

class Ladder {
  public:
    explicit Ladder(size_t orders)
        : slots_(orders + 1), slot_of_(orders + 1, 0), levels_(2 * kTicks), trades_(2 * orders + 1) {}

    void clear() {
        std::fill(slot_of_.begin(), slot_of_.end(), 0);
        std::fill(levels_.begin(), levels_.end(), Level{0, 0, 0, 0});
        std::fill(&bits_[0][0], &bits_[0][0] + 2 * kWords, uint64_t{0});
        summary_[0] = summary_[1] = 0;
        best_[kBuy] = kNone;
        best_[kSell] = kTicks;
        free_ = 0;
        fresh_ = 1;
        traded_ = 0;
    }

    void play(const Message* from, const Message* to) {
        for (; from != to; ++from) {
            const Message& message = *from;
            switch (message.kind) {
                case kBuy: add<kBuy>(message); break;
                case kSell: add<kSell>(message); break;
                case kCancel: cancel(message.order); break;
                default: amend(message); break;
            }
        }
    }

    const Trade* trades() const { return trades_.data(); }
    size_t traded() const { return traded_; }

  private:
    template <int side>
    void add(const Message& message) {
        int32_t left = match<side>(message.order, message.tick, message.lots);
        if (left == 0) return;
        int32_t slot = free_;
        if (slot != 0)
            free_ = slots_[slot].next;
        else
            slot = fresh_++;
        slots_[slot].number = message.order;
        slot_of_[message.order] = slot;
        seat(slot, side, message.tick, left);
    }

    template <int side>
    int32_t match(int32_t taker, int32_t limit, int32_t left) {
        constexpr int other = 1 - side;
        while (left > 0 && (side == kBuy ? best_[other] <= limit : best_[other] >= limit)) {
            const int32_t tick = best_[other];
            Level& level = levels_[other * kTicks + tick];
            Order& maker = slots_[level.head];
            const int32_t lots = std::min(left, maker.left);
            trades_[traded_++] = Trade{maker.number, taker, tick, lots};
            left -= lots;
            if (lots == maker.left) {
                const int32_t slot = level.head;
                slot_of_[maker.number] = 0;
                unseat(slot);
                slots_[slot].next = free_;
                free_ = slot;
            } else {
                maker.left -= lots;
                level.lots -= lots;
            }
        }
        return left;
    }

    void cancel(int32_t number) {
        const int32_t slot = slot_of_[number];
        if (slot == 0) return;
        slot_of_[number] = 0;
        unseat(slot);
        slots_[slot].next = free_;
        free_ = slot;
    }

    // An order keeps what it has left, and goes last at its new tick; if it crosses there, it trades first.
    void amend(const Message& message) {
        const int32_t slot = slot_of_[message.order];
        if (slot == 0) return;
        const int32_t side = slots_[slot].side;
        unseat(slot);
        const int32_t before = slots_[slot].left;
        const int32_t left = side == kBuy ? match<kBuy>(message.order, message.tick, before)
                                          : match<kSell>(message.order, message.tick, before);
        if (left == 0) {
            slot_of_[message.order] = 0;
            slots_[slot].next = free_;
            free_ = slot;
            return;
        }
        seat(slot, side, message.tick, left);
    }

    void seat(int32_t slot, int32_t side, int32_t tick, int32_t left) {
        Order& order = slots_[slot];
        Level& level = levels_[side * kTicks + tick];
        order.left = left;
        order.tick = tick;
        order.side = side;
        order.next = 0;
        order.previous = level.tail;
        level.lots += left;
        level.orders += 1;
        if (level.tail != 0) {
            slots_[level.tail].next = slot;
        } else {
            level.head = slot;
            bits_[side][tick >> 6] |= uint64_t{1} << (tick & 63);
            summary_[side] |= uint64_t{1} << (tick >> 6);
            best_[side] = side == kBuy ? std::max(best_[side], tick) : std::min(best_[side], tick);
        }
        level.tail = slot;
    }

    void unseat(int32_t slot) {
        Order& order = slots_[slot];
        const int32_t side = order.side, tick = order.tick;
        Level& level = levels_[side * kTicks + tick];
        level.lots -= order.left;
        level.orders -= 1;
        if (order.previous != 0)
            slots_[order.previous].next = order.next;
        else
            level.head = order.next;
        if (order.next != 0)
            slots_[order.next].previous = order.previous;
        else
            level.tail = order.previous;
        if (level.head != 0) return;
        bits_[side][tick >> 6] &= ~(uint64_t{1} << (tick & 63));
        if (bits_[side][tick >> 6] == 0) summary_[side] &= ~(uint64_t{1} << (tick >> 6));
        if (best_[side] == tick) best_[side] = side == kBuy ? highest() : lowest();
    }

    int32_t highest() const {
        if (summary_[kBuy] == 0) return kNone;
        const int32_t word = 63 - __builtin_clzll(summary_[kBuy]);
        return word << 6 | (63 - __builtin_clzll(bits_[kBuy][word]));
    }

    int32_t lowest() const {
        if (summary_[kSell] == 0) return kTicks;
        const int32_t word = __builtin_ctzll(summary_[kSell]);
        return word << 6 | __builtin_ctzll(bits_[kSell][word]);
    }

    std::vector<Order> slots_;
    std::vector<int32_t> slot_of_;
    std::vector<Level> levels_;
    std::vector<Trade> trades_;
    uint64_t bits_[2][kWords];
    uint64_t summary_[2];
    int32_t best_[2];
    int32_t free_ = 0, fresh_ = 1;
    size_t traded_ = 0;
};

double cpu_ns() {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

std::vector<Message> read_flow(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) {
        std::fprintf(stderr, "ladder: cannot open %s\n", path);
        std::exit(2);
    }
    std::fseek(file, 0, SEEK_END);
    const size_t count = static_cast<size_t>(std::ftell(file)) / sizeof(Message);
    std::rewind(file);
    std::vector<Message> flow(count);
    const size_t read = std::fread(flow.data(), sizeof(Message), count, file);
    std::fclose(file);
    flow.resize(read);
    return flow;
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) {
        std::fprintf(stderr, "usage: ladder FILE PREFILL ROUNDS\n");
        return 2;
    }
    const std::vector<Message> flow = read_flow(words[1]);
    const size_t prefill = std::strtoul(words[2], nullptr, 10);
    const long rounds = std::strtol(words[3], nullptr, 10);
    if (flow.size() <= prefill || rounds < 1) {
        std::fprintf(stderr, "ladder: %zu messages, %zu of them before the clock starts, %ld rounds\n", flow.size(), prefill, rounds);
        return 2;
    }
    Ladder ladder(flow.size());
    double best = 1e18;
    for (long round = 0; round < rounds; ++round) {
        ladder.clear();
        ladder.play(flow.data(), flow.data() + prefill);
        const double start = cpu_ns();
        ladder.play(flow.data() + prefill, flow.data() + flow.size());
        best = std::min(best, cpu_ns() - start);
    }
    uint64_t digest = 0, volume = 0;
    for (size_t at = 0; at < ladder.traded(); ++at) {
        const Trade& trade = ladder.trades()[at];
        for (const int32_t word : {trade.maker, trade.taker, trade.lots})
            digest = digest * 2654435761u + static_cast<uint64_t>(word);
        volume += static_cast<uint64_t>(trade.lots);
    }
    std::printf("%.3f %zu %llu %llu\n", best / static_cast<double>(flow.size() - prefill), ladder.traded(),
                static_cast<unsigned long long>(volume), static_cast<unsigned long long>(digest));
    return 0;
}
