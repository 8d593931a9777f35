/* Files of pre-shared keys: whole or not at all (L-053, L-070, B-270). */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "security/psk_file.h"
#include "support/test.h"

static struct nj_psks *parse(const char *text)
{
    struct nj_psks *psks = NULL;
    char error[256] = "";
    if (nj_psks_parse(nj_bytes_of(text), "keys", &psks, error, sizeof(error)) != NJ_OK) {
        fail_msg("%s", error);
    }
    return psks;
}

static void refuses_bytes(struct nj_bytes text, const char *wanted)
{
    struct nj_psks *psks = NULL;
    char error[256] = "";
    assert_int_equal(nj_psks_parse(text, "keys", &psks, error, sizeof(error)), NJ_EMALFORMED);
    if (!strstr(error, wanted)) {
        fail_msg("'%s' instead of '%s'", error, wanted);
    }
    assert_null(psks);
}

static void refuses(const char *text, const char *wanted)
{
    refuses_bytes(nj_bytes_of(text), wanted);
}

static void assert_key(const struct nj_psks *psks, const char *identity, const void *key,
                       size_t len)
{
    struct nj_bytes found = nj_psks_find(psks, nj_bytes_of(identity));
    assert_int_equal(found.len, len);
    assert_memory_equal(found.ptr, key, len);
}

static void L070_keys_keep_every_byte(void **state)
{
    (void)state;
    struct nj_psks *psks = parse("a:00ff\nzero:0000\nodd:abc\none:7\nupper:ABCDEF\n");
    assert_key(psks, "a", "\x00\xff", 2);
    assert_key(psks, "zero", "\x00\x00", 2);
    assert_key(psks, "odd", "\x0a\xbc", 2);
    assert_key(psks, "one", "\x07", 1);
    assert_key(psks, "upper", "\xab\xcd\xef", 3);
    assert_int_equal(nj_psks_count(psks), 5);
    assert_int_equal(nj_psks_short_count(psks), 5);
    assert_null(nj_psks_find(psks, nj_bytes_of("A")).ptr);
    assert_null(nj_psks_find(psks, nj_bytes_of("")).ptr);
    assert_null(nj_psks_find(psks, nj_bytes_of("unknown")).ptr);
    nj_psks_free(psks);
}

static void comments_blanks_and_line_ends_are_as_in_password_files(void **state)
{
    (void)state;
    struct nj_psks *psks = parse("\xef\xbb\xbf# keys\r\n\r\n  \t\n a b :\t00112233 \r\nend:01");
    assert_key(psks, "a b", "\x00\x11\x22\x33", 4);
    assert_key(psks, "end", "\x01", 1);
    nj_psks_free(psks);
    psks = parse("");
    assert_int_equal(nj_psks_count(psks), 0);
    assert_null(nj_psks_find(psks, nj_bytes_of("x")).ptr);
    nj_psks_free(psks);
}

static void L053_L070_a_bad_line_refuses_the_file(void **state)
{
    (void)state;
    refuses("a\n", "line 1: no colon");
    refuses("a:01\nb\n", "line 2: no colon");
    refuses(":01\n", "invalid identity");
    refuses(" :01\n", "invalid identity");
    refuses("a:\n", "not hexadecimal");
    refuses("a:0x12\n", "not hexadecimal");
    refuses("a:12 34\n", "not hexadecimal");
    refuses("a:12g4\n", "not hexadecimal");
    refuses("a:b:12\n", "not hexadecimal");
    refuses("a:01\na:01\n", "line 2: duplicate identity");
    refuses("a\xff:01\n", "invalid identity");
    refuses("a\x01:01\n", "invalid identity");
    refuses_bytes(nj_bytes("a:0\0001\n", 6), "no colon");
    refuses_bytes(nj_bytes("a\0b:01\n", 7), "no colon");
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    char text[2000];
    for (int extra = 0; extra < 2; extra++) {
        int len = snprintf(text, sizeof(text), "%0*d:01\n", NJ_PSK_IDENTITY_MAX + extra, 7);
        assert_true(len > NJ_PSK_IDENTITY_MAX);
        if (extra) {
            refuses(text, "too long");
        } else {
            nj_psks_free(parse(text));
        }
        (void)snprintf(text, sizeof(text), "a:%0*d\n", 2 * NJ_PSK_KEY_MAX + extra, 7);
        if (extra) {
            refuses(text, "too long");
        } else {
            struct nj_psks *psks = parse(text);
            assert_int_equal(nj_psks_find(psks, nj_bytes_of("a")).len, NJ_PSK_KEY_MAX);
            assert_int_equal(nj_psks_short_count(psks), 0);
            nj_psks_free(psks);
        }
    }
}

static void many_keys_are_all_found(void **state)
{
    enum {
        COUNT = 5000
    };
    size_t size = COUNT * 32;
    size_t len = 0;
    char *text = nj_alloc(size);
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        len += (size_t)snprintf(text + len, size - len, "device-%d:%08x\n", i, i);
    }
    struct nj_psks *psks = parse(text);
    for (unsigned i = 0; i < COUNT; i++) {
        char name[32];
        const uint8_t key[4] = {0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        (void)snprintf(name, sizeof(name), "device-%u", i);
        assert_key(psks, name, key, 4);
    }
    nj_psks_free(psks);
    nj_free(text);
}

static void a_file_that_is_not_there_says_why(void **state)
{
    struct nj_psks *psks = NULL;
    char error[256] = "";
    (void)state;
    assert_int_not_equal(nj_psks_load("/nonexistent/keys", false, &psks, error, sizeof(error)),
                         NJ_OK);
    assert_non_null(strstr(error, "/nonexistent/keys"));
    assert_int_not_equal(nj_psks_load("/", false, &psks, error, sizeof(error)), NJ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(L070_keys_keep_every_byte),
        cmocka_unit_test(comments_blanks_and_line_ends_are_as_in_password_files),
        cmocka_unit_test(L053_L070_a_bad_line_refuses_the_file),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(many_keys_are_all_found),
        cmocka_unit_test(a_file_that_is_not_there_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
