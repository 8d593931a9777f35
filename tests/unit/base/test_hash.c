/* SipHash-1-3 against values of an independent implementation, and the process key. */
#include <string.h>

#include "base/hash.h"
#include "support/test.h"

static void siphash13_gives_known_values(void **state)
{
    (void)state;
    /* CPython's hash() of bytes under the zero key (PYTHONHASHSEED=0, siphash13). */
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"a", 0x407448d2b89b1813},
        {"abc", 0xc03bc3a0042630f2},
        {"abcdefg", 0x6db12aae9070f506},
        {"abcdefgh", 0x3f7b849c0b8e35ea},
        {"abcdefghi", 0xf89b34a3d11eb6e5},
        {"sensors/room/1/temperature/celsius", 0xf740f44a2fa4f620},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(nj_siphash13(nj_bytes_of(rows[i].text), 0, 0), rows[i].hash);
    }
    /* The first vector published with the algorithm: key 00 01 … 0f, no input. */
    assert_int_equal(nj_siphash13(nj_bytes_of(NULL), 0x0706050403020100, 0x0f0e0d0c0b0a0908),
                     0xabac0158050fc4dc);
}

static void unaligned_input_hashes_the_same(void **state)
{
    (void)state;
    uint8_t room[64];
    uint64_t want = nj_siphash13(NJ_BYTES_LIT("a topic of some length"), 1, 2);
    for (size_t shift = 0; shift < 16; shift++) {
        memcpy(room + shift, "a topic of some length", 22);
        assert_int_equal(nj_siphash13(nj_bytes(room + shift, 22), 1, 2), want);
    }
}

static void the_process_key_is_drawn_once_and_seeds_separate(void **state)
{
    (void)state;
    struct nj_bytes text = NJ_BYTES_LIT("client-1");
    uint64_t first = nj_hash_bytes(text); /* without nj_hash_init */
    nj_hash_init();
    nj_hash_init();
    assert_int_equal(nj_hash_bytes(text), first);
    assert_true(first != nj_siphash13(text, 0, 0));
    assert_int_equal(nj_hash_seeded(text, 0), first);
    assert_true(nj_hash_seeded(text, 1) != first);
    assert_true(nj_hash_seeded(text, 1) != nj_hash_seeded(text, 2));
    assert_int_equal(nj_hash_seeded(text, 7), nj_hash_seeded(text, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash13_gives_known_values),
        cmocka_unit_test(unaligned_input_hashes_the_same),
        cmocka_unit_test(the_process_key_is_drawn_once_and_seeds_separate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
