/* Password files: whole or not at all (L-053, B-270, B-271), and their editing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "security/password_file.h"
#include "support/test.h"

#define H                                                                                          \
    "$6$AAECAwQFBgcICQoL$JqsxEv/ucyxjA5DKsQ+Y8CDWaQDNQI9FpAkmfwAqWfwZLk/"                          \
    "JEGgM0EpylrJHAZKKyFQjJeZ3nFaHjPzOzPPmPw=="
#define H2                                                                                         \
    "$7$101$AAECAwQFBgcICQoL$Xr99N9ym9ys8TWxis5ajETJq6EVYzmc6nb8t3pUYnPBbCAbICS4xejTltonXWCtJNBvA" \
    "+By+TXUqU6qCblO00w=="

static struct nj_passwords *parse(const char *text)
{
    struct nj_passwords *passwords = NULL;
    char error[256] = "";
    if (nj_passwords_parse(nj_bytes_of(text), "pw", &passwords, error, sizeof(error)) != NJ_OK) {
        fail_msg("%s", error);
    }
    return passwords;
}

static void refuses_bytes(struct nj_bytes text, const char *wanted)
{
    struct nj_passwords *passwords = NULL;
    char error[256] = "";
    assert_int_equal(nj_passwords_parse(text, "pw", &passwords, error, sizeof(error)),
                     NJ_EMALFORMED);
    if (!strstr(error, wanted)) {
        fail_msg("'%s' instead of '%s'", error, wanted);
    }
}

static void refuses(const char *text)
{
    refuses_bytes(nj_bytes_of(text), "Error: Unable to decode line in password file pw, line ");
}

static bool has(const struct nj_passwords *passwords, const char *user)
{
    return nj_passwords_find(passwords, nj_bytes_of(user)) != NULL;
}

static void users_are_found_byte_by_byte(void **state)
{
    (void)state;
    struct nj_passwords *passwords = parse("bob:" H "\neve of x:" H2 "\n");
    assert_int_equal(nj_passwords_count(passwords), 2);
    const struct nj_password_entry *bob = nj_passwords_find(passwords, NJ_BYTES_LIT("bob"));
    assert_non_null(bob);
    assert_true(nj_bytes_equal(bob->hash, nj_bytes_of(H)));
    assert_true(has(passwords, "eve of x"));
    assert_false(has(passwords, "Bob"));
    assert_false(has(passwords, ""));
    assert_false(has(passwords, "bo"));
    assert_null(nj_passwords_find(passwords, nj_bytes(NULL, 0)));
    assert_int_not_equal(bob->id, nj_passwords_find(passwords, NJ_BYTES_LIT("eve of x"))->id);
    nj_passwords_free(passwords);
}

static void blank_lines_comments_and_line_ends_are_no_matter(void **state)
{
    (void)state;
    struct nj_passwords *passwords =
        parse("\xef\xbb\xbf# users\r\n\r\n \t\n bob :\t" H " \r\n#x:y\n\neve:" H2);
    assert_int_equal(nj_passwords_count(passwords), 2);
    assert_true(has(passwords, "bob"));
    assert_true(has(passwords, "eve"));
    nj_passwords_free(passwords);
    passwords = parse("");
    assert_int_equal(nj_passwords_count(passwords), 0);
    assert_false(has(passwords, ""));
    nj_passwords_free(passwords);
}

static void the_id_of_an_entry_follows_its_hash(void **state)
{
    (void)state;
    struct nj_passwords *one = parse("bob:" H "\n");
    struct nj_passwords *same = parse("eve:" H2 "\nbob:" H "\n");
    struct nj_passwords *other = parse("bob:" H2 "\n");
    uint64_t id = nj_passwords_find(one, NJ_BYTES_LIT("bob"))->id;
    assert_int_equal(nj_passwords_find(same, NJ_BYTES_LIT("bob"))->id, id);
    assert_int_not_equal(nj_passwords_find(other, NJ_BYTES_LIT("bob"))->id, id);
    assert_int_not_equal(id, 0);
    nj_passwords_free(one);
    nj_passwords_free(same);
    nj_passwords_free(other);
}

static void l053_a_bad_line_refuses_the_whole_file(void **state)
{
    (void)state;
    refuses("user\n");
    refuses("user:\n");
    refuses("user: \n");
    refuses(":" H "\n");
    refuses(" :" H "\n");
    refuses(":\n");
    refuses("user:$x$\n");
    refuses("user:secret\n");
    refuses("user:" H ":x\n");
    refuses("us\xff:" H "\n");
    refuses("user:" H "\r\rx\n");
    refuses_bytes(nj_bytes_of("a:" H "\n\nb:" H "\nuser\n"),
                  "Error: Unable to decode line in password file pw, line 4: no colon");
}

static void l053_a_nul_refuses_the_file(void **state)
{
    (void)state;
    refuses_bytes(NJ_BYTES_LIT("a\0b:" H "\n"), "line 1");
    refuses_bytes(NJ_BYTES_LIT("a:" H "\0\n"), "line 1");
    refuses_bytes(NJ_BYTES_LIT("a:" H "\n\0\n"), "line 2");
}

static void b270_a_user_twice_refuses_the_file(void **state)
{
    (void)state;
    refuses_bytes(NJ_BYTES_LIT("a:" H "\nb:" H "\n a:" H2 "\n"), "line 3: duplicate user name");
}

static void b271_a_file_cut_within_its_last_line_is_refused(void **state)
{
    (void)state;
    static const char text[] = "a:" H "\nb:" H2;
    size_t first = strlen("a:" H "\n");
    for (size_t len = first + 1; len < sizeof(text) - 1; len++) {
        refuses_bytes(nj_bytes(text, len), "line 2");
    }
}

static void b270_a_million_users_are_read(void **state)
{
    (void)state;
    struct nj_buf text;
    nj_buf_init(&text);
    for (unsigned i = 0; i < 1000000; i++) {
        assert_int_equal(nj_buf_printf(&text, "user%u:" H "\n", i), NJ_OK);
    }
    struct nj_passwords *passwords = NULL;
    char error[256] = "";
    assert_int_equal(
        nj_passwords_parse(nj_buf_bytes(&text), "pw", &passwords, error, sizeof(error)), NJ_OK);
    assert_int_equal(nj_passwords_count(passwords), 1000000);
    assert_true(has(passwords, "user0"));
    assert_true(has(passwords, "user999999"));
    assert_false(has(passwords, "user1000000"));
    nj_passwords_free(passwords);
    nj_buf_fini(&text);
}

static void files_are_loaded_by_path_and_links_may_be_forbidden(void **state)
{
    (void)state;
    char dir[] = "/tmp/nj-pw-XXXXXX";
    char file[64];
    char link_path[64];
    char error[256];
    struct nj_passwords *passwords;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(file, sizeof(file), "%s/pw", dir);
    (void)snprintf(link_path, sizeof(link_path), "%s/link", dir);
    assert_int_equal(nj_passwords_load(file, false, &passwords, error, sizeof(error)), NJ_ENOENT);
    assert_non_null(strstr(error, "Unable to open password_file \""));
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    (void)fputs("bob:" H "\n", out);
    (void)fclose(out);
    assert_int_equal(symlink(file, link_path), 0);
    assert_int_equal(nj_passwords_load(link_path, false, &passwords, error, sizeof(error)), NJ_OK);
    nj_passwords_free(nj_passwords_ref(passwords));
    assert_true(has(passwords, "bob"));
    nj_passwords_free(passwords);
    assert_int_not_equal(nj_passwords_load(link_path, true, &passwords, error, sizeof(error)),
                         NJ_OK);
    (void)unlink(link_path);
    (void)unlink(file);
    (void)rmdir(dir);
}

static void without_memory_a_file_is_refused(void **state)
{
    (void)state;
    struct nj_passwords *passwords = NULL;
    char error[256] = "";
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    enum nj_err err =
        nj_passwords_parse(NJ_BYTES_LIT("bob:" H "\n"), "pw", &passwords, error, sizeof(error));
    nj_fault_disarm();
    assert_int_equal(err, NJ_ENOMEM);
    assert_null(passwords);
    assert_true(strlen(error) > 0);
}

/* ---- editing */

static void edits(const char *text, const char *user, const char *hash, const char *wanted,
                  bool was_there_wanted)
{
    struct nj_buf out;
    bool was_there = !was_there_wanted;
    nj_buf_init(&out);
    enum nj_err err =
        hash ? nj_password_text_set(nj_bytes_of(text), nj_bytes_of(user), nj_bytes_of(hash), &out,
                                    &was_there)
             : nj_password_text_remove(nj_bytes_of(text), nj_bytes_of(user), &out, &was_there);
    assert_int_equal(err, NJ_OK);
    assert_int_equal(was_there, was_there_wanted);
    if (!nj_bytes_equal(nj_buf_bytes(&out), nj_bytes_of(wanted))) {
        fail_msg("'%.*s' instead of '%s'", (int)out.len, (const char *)out.data, wanted);
    }
    nj_buf_fini(&out);
}

static void editing_keeps_order_and_comments(void **state)
{
    (void)state;
    edits("# x\na:1\n\nb:2\n", "a", "3", "# x\na:3\n\nb:2\n", true);
    edits("# x\na:1\n\nb:2\n", "c", "3", "# x\na:1\n\nb:2\nc:3\n", false);
    edits("a:1\nb:2", "c", "3", "a:1\nb:2\nc:3\n", false);
    edits("", "c", "3", "c:3\n", false);
    edits("a:1\r\n#a:1\n a :2\nb:2\n", "a", NULL, "#a:1\nb:2\n", true);
    edits("a:1\nb:2\na:4\n", "a", "3", "a:3\nb:2\n", true);
    edits("a:1\n", "b", NULL, "a:1\n", false);
    edits("\xef\xbb\xbf"
          "a:1\n",
          "a", "3",
          "\xef\xbb\xbf"
          "a:3\n",
          true);
    /* Only the first mark is none of a name. */
    edits("\xef\xbb\xbf\xef\xbb\xbf"
          "a:1\n",
          "a", "3",
          "\xef\xbb\xbf\xef\xbb\xbf"
          "a:1\na:3\n",
          false);
}

static void b270_names_that_a_file_cannot_hold_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a:b", "a\nb", " a", "a ", "\ta", "#a", "a\x7f", "\xff"};
    static const char good[][8] = {"a", "a b", "a#", "+", "\xc3\xa9", "a/b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(nj_password_user_is_valid(nj_bytes_of(bad[i])));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct nj_buf text;
        nj_buf_init(&text);
        assert_true(nj_password_user_is_valid(nj_bytes_of(good[i])));
        assert_int_equal(nj_buf_printf(&text, "%s:%s%c", good[i], H, 0), NJ_OK);
        struct nj_passwords *passwords = parse((const char *)text.data);
        nj_buf_fini(&text);
        assert_true(has(passwords, good[i]));
        nj_passwords_free(passwords);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_byte_by_byte),
        cmocka_unit_test(blank_lines_comments_and_line_ends_are_no_matter),
        cmocka_unit_test(the_id_of_an_entry_follows_its_hash),
        cmocka_unit_test(l053_a_bad_line_refuses_the_whole_file),
        cmocka_unit_test(l053_a_nul_refuses_the_file),
        cmocka_unit_test(b270_a_user_twice_refuses_the_file),
        cmocka_unit_test(b271_a_file_cut_within_its_last_line_is_refused),
        cmocka_unit_test(b270_a_million_users_are_read),
        cmocka_unit_test(files_are_loaded_by_path_and_links_may_be_forbidden),
        cmocka_unit_test(without_memory_a_file_is_refused),
        cmocka_unit_test(editing_keeps_order_and_comments),
        cmocka_unit_test(b270_names_that_a_file_cannot_hold_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
