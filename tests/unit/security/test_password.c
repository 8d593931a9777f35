/* Password hashes: known answers, what is refused, and that every byte counts. */
#include <argon2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "security/password.h"
#include "support/test.h"

#define SALT12 "AAECAwQFBgcICQoL"
#define SALT64                                                                                     \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
#define KEY_7_101                                                                                  \
    "Xr99N9ym9ys8TWxis5ajETJq6EVYzmc6nb8t3pUYnPBbCAbICS4xejTltonXWCtJNBvA+By+TXUqU6qCblO00w=="
#define KEY_6_12                                                                                   \
    "JqsxEv/ucyxjA5DKsQ+Y8CDWaQDNQI9FpAkmfwAqWfwZLk/JEGgM0EpylrJHAZKKyFQjJeZ3nFaHjPzOzPPmPw=="

/* Made by Python's hashlib from "secret". */
static const char *const known[] = {
    "$6$" SALT12 "$" KEY_6_12,
    "$6$" SALT64
    "$wEYf8F4/yHDmlCt3YmMXwFi//Ux0IOce8NucN+r/9QAuqoVaYz7SU9131YSsyqLHn9NUpM/F4yTaDANhOFpYTQ==",
    "$7$101$" SALT12 "$" KEY_7_101,
    "$7$1000$" SALT64
    "$j5aX3DstWRgO5cjjfvKvsf7Z/KK812T4wGDMih+DCHQg8P7++fmj4sZcMp1smkEafZL0QZ29tE5ezahL/nyffw==",
};

static bool verify(const char *hash, struct nj_bytes password)
{
    return nj_password_verify(nj_bytes_of(hash), password);
}

static bool is_valid(const char *hash)
{
    return nj_password_hash_is_valid(nj_bytes_of(hash));
}

static void c6_hashes_of_mosquitto_are_verified(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_true(is_valid(known[i]));
        assert_true(verify(known[i], NJ_BYTES_LIT("secret")));
        assert_false(verify(known[i], NJ_BYTES_LIT("Secret")));
        assert_false(verify(known[i], NJ_BYTES_LIT("secret\0x")));
        assert_false(verify(known[i], NJ_BYTES_LIT("")));
        assert_false(verify(known[i], nj_bytes(NULL, 0)));
    }
}

/* As Mosquitto 2.1 makes it: 46 MiB, one pass, salt and tag of 64 bytes. */
static void c6_argon2id_of_mosquitto_is_verified(void **state)
{
    (void)state;
    char hash[NJ_HASH_TEXT_MAX];
    uint8_t salt[64];
    memset(salt, 7, sizeof(salt));
    assert_int_equal(
        argon2id_hash_encoded(1, 47104, 1, "secret", 6, salt, sizeof(salt), 64, hash, sizeof(hash)),
        ARGON2_OK);
    assert_true(is_valid(hash));
    assert_int_equal(nj_password_memory_kib(nj_bytes_of(hash)), 47104);
    assert_true(verify(hash, NJ_BYTES_LIT("secret")));
    assert_false(verify(hash, NJ_BYTES_LIT("secreT")));
}

static void new_hashes_verify_and_differ(void **state)
{
    (void)state;
    static const struct nj_hash_cost costs[] = {
        {NJ_HASH_SHA512, 0}, {NJ_HASH_PBKDF2, 1000}, {NJ_HASH_ARGON2ID, 1}};
    static const char *const starts[] = {"$6$", "$7$1000$", "$argon2id$v=19$m=19456,t=1,p=1$"};
    for (size_t i = 0; i < 3; i++) {
        char first[NJ_HASH_TEXT_MAX];
        char second[NJ_HASH_TEXT_MAX];
        assert_int_equal(nj_password_hash(NJ_BYTES_LIT("p:w"), &costs[i], first), NJ_OK);
        assert_int_equal(nj_password_hash(NJ_BYTES_LIT("p:w"), &costs[i], second), NJ_OK);
        assert_string_not_equal(first, second);
        assert_memory_equal(first, starts[i], strlen(starts[i]));
        assert_true(is_valid(first));
        assert_true(verify(first, NJ_BYTES_LIT("p:w")));
        assert_false(verify(first, NJ_BYTES_LIT("p:W")));
    }
}

static void l058_defaults_for_new_hashes_are_strong(void **state)
{
    (void)state;
    char hash[NJ_HASH_TEXT_MAX];
    const struct nj_hash_cost argon2 = {.kind = NJ_HASH_ARGON2ID};
    const struct nj_hash_cost pbkdf2 = {.kind = NJ_HASH_PBKDF2};
    assert_int_equal(nj_password_hash(NJ_BYTES_LIT("x"), &argon2, hash), NJ_OK);
    assert_non_null(strstr(hash, "$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_int_equal(nj_password_hash(NJ_BYTES_LIT("x"), &pbkdf2, hash), NJ_OK);
    assert_non_null(strstr(hash, "$7$210000$"));
}

static void l060_no_byte_of_a_password_is_lost(void **state)
{
    (void)state;
    uint8_t password[74];
    memset(password, 'p', sizeof(password));
    static const struct nj_hash_cost costs[] = {
        {NJ_HASH_SHA512, 0}, {NJ_HASH_PBKDF2, 1}, {NJ_HASH_ARGON2ID, 1}};
    for (size_t i = 0; i < 3; i++) {
        char hash[NJ_HASH_TEXT_MAX];
        assert_int_equal(nj_password_hash(NJ_BYTES_LIT("p\0x"), &costs[i], hash), NJ_OK);
        assert_true(verify(hash, NJ_BYTES_LIT("p\0x")));
        assert_false(verify(hash, NJ_BYTES_LIT("p\0y")));
        assert_false(verify(hash, NJ_BYTES_LIT("p")));
        assert_int_equal(nj_password_hash(nj_bytes(password, 73), &costs[i], hash), NJ_OK);
        assert_true(verify(hash, nj_bytes(password, 73)));
        assert_false(verify(hash, nj_bytes(password, 72)));
        assert_false(verify(hash, nj_bytes(password, 74)));
    }
}

static void an_empty_password_can_be_hashed(void **state)
{
    (void)state;
    char hash[NJ_HASH_TEXT_MAX];
    const struct nj_hash_cost cost = {NJ_HASH_ARGON2ID, 1};
    assert_int_equal(nj_password_hash(NJ_BYTES_LIT(""), &cost, hash), NJ_OK);
    assert_true(verify(hash, NJ_BYTES_LIT("")));
    assert_true(verify(hash, nj_bytes(NULL, 0)));
    assert_false(verify(hash, NJ_BYTES_LIT("x")));
}

#define TAG32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void b270_hashes_that_cannot_be_verified_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "$",
        "x",
        "secret",
        "$5$" SALT12 "$" KEY_6_12,
        "$6$",
        "$6$$",
        "$6$" SALT12,
        "$6$" SALT12 "$",
        "$6$$" KEY_6_12,
        "$6$AAAA$" KEY_6_12,
        "$6$" SALT12 "$" SALT12,
        "$6$" SALT12 "$" KEY_6_12 "$",
        "$6$" SALT12 "$" KEY_6_12 "x",
        "$6$" SALT12 "$!" KEY_6_12,
        "$6$AAECAwQFBgcI CQo$" KEY_6_12,
        "$6$AAECAwQFBgcICQo=$" KEY_6_12,
        "$7$" SALT12 "$" KEY_7_101,
        "$7$0$" SALT12 "$" KEY_7_101,
        "$7$-1$" SALT12 "$" KEY_7_101,
        "$7$+1$" SALT12 "$" KEY_7_101,
        "$7$1e3$" SALT12 "$" KEY_7_101,
        "$7$ 1$" SALT12 "$" KEY_7_101,
        "$7$10000001$" SALT12 "$" KEY_7_101,
        "$7$2147483648$" SALT12 "$" KEY_7_101,
        "$7$4294967297$" SALT12 "$" KEY_7_101,
        "$7$99999999999999999999$" SALT12 "$" KEY_7_101,
        "$argon2id$",
        "$argon2i$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$m=64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=16$m=64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=7,t=1,p=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=64,t=0,p=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=64,t=1,p=0$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=64,t=1,p=17$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=64,t=1,p=9$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=64,t=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m= 64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32,
        "$argon2id$v=19$m=64,t=1,p=1$AAAA$" TAG32,
        "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoL$",
        "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoL$AAAA",
        "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32 "=",
        "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcI*QoL$" TAG32,
        "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32 "$x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (is_valid(bad[i]) || verify(bad[i], NJ_BYTES_LIT("secret"))) {
            fail_msg("accepted %s", bad[i]);
        }
    }
    assert_true(is_valid("$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_false(nj_password_hash_is_valid(NJ_BYTES_LIT("$6$" SALT12 "$\0" KEY_6_12)));
}

static void l059_absurd_costs_are_refused(void **state)
{
    (void)state;
    assert_false(is_valid("$argon2id$v=19$m=4194304,t=1,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_false(is_valid("$argon2id$v=19$m=1048577,t=1,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_false(is_valid("$argon2id$v=19$m=1048576,t=5,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_false(is_valid("$argon2id$v=19$m=64,t=1001,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_false(is_valid("$argon2id$v=19$m=64,t=4294967295,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_true(is_valid("$argon2id$v=19$m=1048576,t=1,p=1$AAECAwQFBgcICQoL$" TAG32));
    assert_true(is_valid("$7$10000000$" SALT12 "$" KEY_7_101));
    char hash[NJ_HASH_TEXT_MAX];
    const struct nj_hash_cost slow = {NJ_HASH_PBKDF2, 10000001};
    const struct nj_hash_cost large = {NJ_HASH_ARGON2ID, 1000000};
    assert_int_equal(nj_password_hash(NJ_BYTES_LIT("x"), &slow, hash), NJ_EINVAL);
    assert_int_equal(nj_password_hash(NJ_BYTES_LIT("x"), &large, hash), NJ_EINVAL);
}

/* A file whose end is missing must not let in with less. */
static void b271_a_hash_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char made[2][NJ_HASH_TEXT_MAX];
    uint8_t salt[64] = {1};
    const struct nj_hash_cost cost = {NJ_HASH_ARGON2ID, 1};
    assert_int_equal(nj_password_hash(NJ_BYTES_LIT("x"), &cost, made[0]), NJ_OK);
    assert_int_equal(
        argon2id_hash_encoded(1, 64, 1, "x", 1, salt, sizeof(salt), 64, made[1], NJ_HASH_TEXT_MAX),
        ARGON2_OK);
    const char *const whole[] = {known[0], known[1], known[2], known[3], made[0], made[1]};
    for (size_t i = 0; i < 6; i++) {
        assert_true(is_valid(whole[i]));
        for (size_t len = 0; len < strlen(whole[i]); len++) {
            /* In a block of its own, so that reading too far is seen. */
            uint8_t *copy = nj_alloc(len + 1);
            memcpy(copy, whole[i], len);
            copy = nj_realloc(copy, len ? len : 1);
            assert_false(nj_password_hash_is_valid(nj_bytes(copy, len)));
            nj_free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c6_hashes_of_mosquitto_are_verified),
        cmocka_unit_test(c6_argon2id_of_mosquitto_is_verified),
        cmocka_unit_test(new_hashes_verify_and_differ),
        cmocka_unit_test(l058_defaults_for_new_hashes_are_strong),
        cmocka_unit_test(l060_no_byte_of_a_password_is_lost),
        cmocka_unit_test(an_empty_password_can_be_hashed),
        cmocka_unit_test(b270_hashes_that_cannot_be_verified_are_refused),
        cmocka_unit_test(l059_absurd_costs_are_refused),
        cmocka_unit_test(b271_a_hash_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
