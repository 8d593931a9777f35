/* Fuzzes the keys of the store: what a damaged or foreign database may hold in their place, and the
 * keys of two texts.
 *
 * Oracle: a key is read only in its exact form, and made again from what was read it is the same;
 * keys sort as their numbers do; different texts have different keys. */
#include "fuzz/fuzz.h"
#include "store/record.h"

static struct nj_bytes bytes_of(const struct nj_record_key *key)
{
    need(key->len <= NJ_RECORD_KEY_MAX);
    return nj_bytes(key->bytes, key->len);
}

static void read_any(struct nj_bytes key)
{
    struct nj_record_key again;
    uint64_t first;
    uint64_t second;
    uint16_t packet_id;
    bool is_number = nj_record_key_read_u64(key, &first) == NJ_OK;
    need(is_number == (key.len == 8));
    if (is_number) {
        again = nj_record_key_u64(first);
        need(nj_bytes_equal(bytes_of(&again), key));
    }
    bool is_pair = nj_record_key_read_pair(key, &first, &second) == NJ_OK;
    need(is_pair == (key.len == 16));
    if (is_pair) {
        again = nj_record_key_pair(first, second);
        need(nj_bytes_equal(bytes_of(&again), key));
    }
    if (nj_record_key_read_incoming(key, &first, &packet_id) == NJ_OK) {
        again = nj_record_key_incoming(first, packet_id);
        need(nj_bytes_equal(bytes_of(&again), key));
    }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void sort(const uint64_t numbers[4])
{
    struct nj_record_key a = nj_record_key_pair(numbers[0], numbers[1]);
    struct nj_record_key b = nj_record_key_pair(numbers[2], numbers[3]);
    int wanted = numbers[0] != numbers[2]   ? (numbers[0] > numbers[2] ? 1 : -1)
                 : numbers[1] != numbers[3] ? (numbers[1] > numbers[3] ? 1 : -1)
                                            : 0;
    need(a.len == b.len && sign(memcmp(a.bytes, b.bytes, a.len)) == wanted);
}

static void name_two(uint64_t owner, struct nj_bytes one, struct nj_bytes other)
{
    bool is_same = nj_bytes_equal(one, other);
    struct nj_record_key a = nj_record_key_topic(one);
    struct nj_record_key b = nj_record_key_topic(other);
    need(nj_bytes_equal(bytes_of(&a), bytes_of(&b)) == is_same);
    a = nj_record_key_sub(owner, one);
    b = nj_record_key_sub(owner, other);
    need(nj_bytes_equal(bytes_of(&a), bytes_of(&b)) == is_same);
    b = nj_record_key_sub(owner + 1, one);
    need(!nj_bytes_equal(bytes_of(&a), bytes_of(&b)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t numbers[4] = {0};
    memcpy(numbers, data, size < sizeof(numbers) ? size : sizeof(numbers));
    read_any(nj_bytes(data, size));
    sort(numbers);
    if (size > 1) {
        /* Cut at a place that the first byte chooses; the whole against each half, too. */
        size_t cut = 1 + data[0] * (size - 1) / 255;
        struct nj_bytes one = nj_bytes(data + 1, cut - 1);
        struct nj_bytes other = nj_bytes(data + cut, size - cut);
        name_two(numbers[0], one, other);
        name_two(numbers[0], one, nj_bytes(data + 1, size - 1));
        name_two(numbers[0], other, nj_bytes(data + 1, size - 1));
    }
    return 0;
}
