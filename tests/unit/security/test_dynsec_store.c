/* Dynamic security on disk: what was answered is there after a crash at any point, what was refused
 * is not, and nobody's work is thrown away. */
#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "security/dynsec.h"
#include "security/dynsec_first.h"
#include "security/dynsec_journal.h"
#include "support/test.h"

static char dir[64];
static char path[128];

static const char start_text[] =
    "{\"changeIndex\":1,\"defaultACLAccess\":{},\"clients\":[{\"username\":\"u\"}],"
    "\"groups\":[],\"roles\":[]}";

/* ---- a folder for each test */

static const char *beside(const char *ending)
{
    static char names[4][160];
    static unsigned next;
    char *name = names[next++ % 4];
    (void)snprintf(name, 160, "%s%s", path, ending);
    return name;
}

static int open_dir(void **state)
{
    const struct nj_log_settings quiet = {.types = 0};
    (void)state;
    assert_int_equal(nj_log_configure(&quiet), NJ_OK);
    /* Thousands of syncs: in memory, where there is such a place. */
    (void)snprintf(dir, sizeof(dir), "%s/nj-dynsec-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/ds.json", dir);
    return 0;
}

static int close_dir(void **state)
{
    static const char *const endings[] = {"", ".last", ".journal", ".rejected", ".pw", ".init"};
    (void)state;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        (void)unlink(beside(endings[i]));
    }
    return rmdir(dir);
}

static bool is_there(const char *name)
{
    return access(name, F_OK) == 0;
}

static void put(const char *name, const char *text)
{
    assert_int_equal(nj_file_replace(name, text, strlen(text), 0600), NJ_OK);
}

static struct nj_buf get(const char *name)
{
    struct nj_buf buf = {NULL, 0, 0};
    if (is_there(name)) {
        assert_int_equal(nj_file_read(name, 1 << 20, false, &buf), NJ_OK);
    }
    return buf;
}

/* ---- the module */

static char error[1024];

static enum nj_err try_open(enum nj_dynsec_recover recover, struct nj_dynsec **out)
{
    const struct nj_dynsec_options options = {
        .path = path,
        .knows_all_keys = true,
        .recover = recover,
        .cost = {NJ_HASH_PBKDF2, 1},
        .password = "long enough for a first start",
    };
    return nj_dynsec_open(&options, out, error, sizeof(error));
}

static struct nj_dynsec *open_module(void)
{
    struct nj_dynsec *dynsec;
    if (try_open(NJ_DYNSEC_RECOVER_NOT, &dynsec) != NJ_OK) {
        print_error("%s\n", error);
        fail();
    }
    return dynsec;
}

/* One change: a new role. */
static enum nj_err add_role(struct nj_dynsec *dynsec, unsigned number)
{
    char name[32];
    char why[600];
    struct nj_dynsec_edit edit;
    struct nj_dynsec_role role;
    memset(&role, 0, sizeof(role));
    (void)snprintf(name, sizeof(name), "role-%u", number);
    role.name = nj_bytes_of(name);
    assert_int_equal(nj_dynsec_edit_init(&edit, nj_dynsec_state(dynsec)), NJ_OK);
    assert_int_equal(nj_dynsec_step_role(&edit, &role), NJ_OK);
    assert_int_equal(nj_dynsec_step_index(&edit), NJ_OK);
    enum nj_err err = nj_dynsec_commit(dynsec, &edit, why, sizeof(why));
    nj_dynsec_edit_fini(&edit);
    if (err != NJ_OK) {
        assert_non_null(strstr(why, "cannot be written: "));
    }
    return err;
}

static bool has_role(const struct nj_dynsec *dynsec, unsigned number)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "role-%u", number);
    return nj_dynsec_role(nj_dynsec_state(dynsec), nj_bytes_of(name)) != NULL;
}

static unsigned count_roles(const struct nj_dynsec *dynsec)
{
    return (unsigned)nj_pmap_count(&nj_dynsec_state(dynsec)->roles);
}

/* ---- first starts */

static void C7_a_first_start_makes_an_administrator_and_nobody_else(void **state)
{
    (void)state;
    struct nj_dynsec *dynsec = open_module();
    struct stat info;
    assert_int_equal(nj_pmap_count(&nj_dynsec_state(dynsec)->clients), 1);
    const struct nj_dynsec_client *admin =
        nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("admin"));
    assert_true(nj_password_verify(admin->hash, NJ_BYTES_LIT("long enough for a first start")));
    assert_true(nj_dynsec_client_may_control(nj_dynsec_state(dynsec), admin));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600); /* L-095 */
    assert_false(is_there(beside(".pw")));
    nj_dynsec_close(dynsec);
    dynsec = open_module();
    assert_int_equal(nj_pmap_count(&nj_dynsec_state(dynsec)->clients), 1);
    nj_dynsec_close(dynsec);
}

static void C7_passwords_come_from_file_environment_or_chance(void **state)
{
    struct nj_dynsec *dynsec;
    char init[160];
    struct nj_dynsec_options options = {
        .path = path, .cost = {NJ_HASH_PBKDF2, 1}, .password = "short", .with_democlient = true};
    (void)state;
    /* Too short: nothing is made, not even something random. */
    assert_int_equal(nj_dynsec_open(&options, &dynsec, error, sizeof(error)), NJ_EINVAL);
    assert_non_null(strstr(error, "shorter than 12"));
    assert_false(is_there(path));
    assert_false(is_there(beside(".pw")));
    (void)snprintf(init, sizeof(init), "%s", beside(".init"));
    put(init, "from a file\r\nsecond line\n");
    options.password_file = init;
    assert_int_equal(nj_dynsec_open(&options, &dynsec, error, sizeof(error)), NJ_OK);
    assert_true(
        nj_password_verify(nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("admin"))->hash,
                           NJ_BYTES_LIT("from a file")));
    nj_dynsec_close(dynsec);
    assert_int_equal(unlink(path), 0);
    (void)unlink(beside(".last"));
    options.password_file = NULL;
    options.password = NULL;
    assert_int_equal(nj_dynsec_open(&options, &dynsec, error, sizeof(error)), NJ_OK);
    assert_int_equal(nj_pmap_count(&nj_dynsec_state(dynsec)->clients), 2);
    struct nj_buf pw = get(beside(".pw"));
    assert_int_equal(pw.len, 6 + 20 + 1 + 11 + 20 + 1);
    assert_true(
        nj_password_verify(nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("admin"))->hash,
                           nj_bytes(pw.data + 6, 20)));
    nj_buf_fini(&pw);
    nj_dynsec_close(dynsec);
}

static void A3_1_init_makes_a_file_once(void **state)
{
    const struct nj_hash_cost cost = {NJ_HASH_PBKDF2, 1};
    const struct nj_dynsec_init init = {NJ_BYTES_LIT("a"), NJ_BYTES_LIT("p"), "admin", cost};
    (void)state;
    assert_int_equal(nj_dynsec_init_file(path, &init, error, sizeof(error)), NJ_OK);
    assert_int_equal(nj_dynsec_init_file(path, &init, error, sizeof(error)), NJ_EEXIST);
    assert_int_equal(nj_dynsec_set_file_password(path, NJ_BYTES_LIT("a"), NJ_BYTES_LIT("q"), &cost,
                                                 error, sizeof(error)),
                     NJ_OK);
    assert_int_equal(nj_dynsec_set_file_password(path, NJ_BYTES_LIT("b"), NJ_BYTES_LIT("q"), &cost,
                                                 error, sizeof(error)),
                     NJ_ENOENT);
    struct nj_dynsec *dynsec = open_module();
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    assert_int_equal(nj_dynsec_set_file_password(path, NJ_BYTES_LIT("a"), NJ_BYTES_LIT("r"), &cost,
                                                 error, sizeof(error)),
                     NJ_EBUSY);
    const struct nj_dynsec_client *a = nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("a"));
    assert_true(nj_password_verify(a->hash, NJ_BYTES_LIT("q")));
    nj_dynsec_close(dynsec);
}

/* ---- crashes: the files as they are at some moment, in a process that starts anew */

struct image {
    struct nj_buf file;
    struct nj_buf last;
    struct nj_buf journal;
};

/* Without the room behind its records. */
static struct nj_buf get_journal(void)
{
    struct nj_buf text = get(beside(".journal"));
    while (text.len && !text.data[text.len - 1]) {
        text.len--;
    }
    return text;
}

static struct image take_image(void)
{
    return (struct image){get(path), get(beside(".last")), get_journal()};
}

static void restore_one(const char *name, const struct nj_buf *buf, size_t len)
{
    (void)unlink(name);
    if (buf->data) {
        assert_int_equal(nj_file_replace(name, buf->data, len, 0600), NJ_OK);
    }
}

static void restore(const struct image *image)
{
    restore_one(path, &image->file, image->file.len);
    restore_one(beside(".last"), &image->last, image->last.len);
    restore_one(beside(".journal"), &image->journal, image->journal.len);
}

static void image_fini(struct image *image)
{
    nj_buf_fini(&image->file);
    nj_buf_fini(&image->last);
    nj_buf_fini(&image->journal);
}

static void an_answered_change_survives_a_crash_at_once(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(add_role(dynsec, i), NJ_OK);
        if (i == 9) {
            assert_true(nj_dynsec_settle(dynsec)); /* the rest comes after a save */
        }
        struct image image = take_image();
        nj_dynsec_close(dynsec);
        restore(&image);
        image_fini(&image);
        dynsec = open_module();
        assert_int_equal(count_roles(dynsec), i + 1);
    }
    nj_dynsec_close(dynsec);
    assert_false(is_there(beside(".journal")));
}

static void a_journal_cut_at_any_byte_gives_whole_changes(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    size_t ends[5];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(add_role(dynsec, i), NJ_OK);
        struct nj_buf journal = get_journal();
        ends[i] = journal.len;
        nj_buf_fini(&journal);
    }
    struct image image = take_image();
    nj_dynsec_close(dynsec);
    for (size_t len = 0; len <= image.journal.len; len++) {
        unsigned expected = 0;
        while (expected < 4 && ends[expected] <= len) {
            expected++;
        }
        restore(&image);
        restore_one(beside(".journal"), &image.journal, len);
        dynsec = open_module();
        assert_int_equal(count_roles(dynsec), expected);
        nj_dynsec_close(dynsec);
        /* And as it is with room: what was not written is zeros. */
        struct nj_buf cut = {NULL, 0, 0};
        assert_int_equal(nj_buf_append(&cut, image.journal.data, len), NJ_OK);
        assert_int_equal(nj_buf_reserve(&cut, 400), NJ_OK);
        memset(cut.data + len, 0, 400);
        restore(&image);
        restore_one(beside(".journal"), &cut, len + 400);
        nj_buf_fini(&cut);
        dynsec = open_module();
        assert_int_equal(count_roles(dynsec), expected);
        nj_dynsec_close(dynsec);
    }
    image_fini(&image);
}

static void damage_before_the_end_of_the_journal_is_told(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(add_role(dynsec, i), NJ_OK);
    }
    struct image image = take_image();
    nj_dynsec_close(dynsec);
    for (size_t at = 0; at < image.journal.len; at += 7) {
        struct nj_dynsec *again;
        image.journal.data[at] ^= 0x10;
        restore(&image);
        image.journal.data[at] ^= 0x10;
        enum nj_err err = try_open(NJ_DYNSEC_RECOVER_NOT, &again);
        if (err == NJ_OK) {
            /* Only what nobody can tell from a last record that was cut. */
            assert_true(count_roles(again) <= 2);
            nj_dynsec_close(again);
            continue;
        }
        assert_int_equal(err, NJ_EMALFORMED);
        assert_non_null(strstr(error, "--recover json"));
        assert_int_equal(try_open(NJ_DYNSEC_RECOVER_JSON, &again), NJ_OK);
        nj_dynsec_close(again);
    }
    image_fini(&image);
}

/* From the n-th call on nothing works any more; what happened before is what a crash leaves. */
static void a_crash_at_any_system_call_loses_no_answered_change(void **state)
{
    static const enum nj_fault_kind kinds[] = {NJ_FAULT_WRITE, NJ_FAULT_SYNC, NJ_FAULT_RENAME,
                                               NJ_FAULT_OPEN};
    (void)state;
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        for (uint64_t nth = 1; nth < 16; nth++) {
            bool answered[4];
            (void)unlink(beside(".last"));
            (void)unlink(beside(".journal"));
            put(path, start_text);
            struct nj_dynsec *dynsec = open_module();
            nj_fault_arm(kinds[kind], nth, true);
            for (unsigned i = 0; i < 4; i++) {
                answered[i] = add_role(dynsec, i) == NJ_OK;
                assert_int_equal(has_role(dynsec, i), answered[i]);
                if (i == 1) {
                    (void)nj_dynsec_settle(dynsec);
                }
            }
            nj_dynsec_close(dynsec);
            nj_fault_disarm();
            dynsec = open_module();
            for (unsigned i = 0; i < 4; i++) {
                assert_true(!answered[i] || has_role(dynsec, i));
                /* What was refused stays undone; after a failed sync nobody can know. */
                assert_true(answered[i] || !has_role(dynsec, i) || kinds[kind] == NJ_FAULT_SYNC);
            }
            nj_dynsec_close(dynsec);
        }
    }
}

static void a_change_that_cannot_be_kept_is_refused_and_the_next_one_works(void **state)
{
    static const enum nj_fault_kind kinds[] = {NJ_FAULT_WRITE, NJ_FAULT_SYNC, NJ_FAULT_RENAME,
                                               NJ_FAULT_OPEN};
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(add_role(dynsec, 10 + i), NJ_OK);
        nj_fault_arm(kinds[i], 1, true);
        enum nj_err err = add_role(dynsec, 20 + i);
        nj_fault_disarm();
        if (err != NJ_OK) { /* an open journal needs neither open nor rename */
            assert_false(has_role(dynsec, 20 + i));
        }
        assert_int_equal(add_role(dynsec, 30 + i), NJ_OK);
    }
    unsigned count = count_roles(dynsec);
    struct image image = take_image();
    nj_dynsec_close(dynsec);
    restore(&image);
    image_fini(&image);
    dynsec = open_module();
    assert_int_equal(count_roles(dynsec), count);
    nj_dynsec_close(dynsec);
}

static void a_journal_that_was_taken_away_is_written_again(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    assert_int_equal(unlink(beside(".journal")), 0);
    assert_int_equal(add_role(dynsec, 2), NJ_OK);
    struct image image = take_image();
    nj_dynsec_close(dynsec);
    restore(&image);
    image_fini(&image);
    dynsec = open_module();
    assert_true(has_role(dynsec, 1) && has_role(dynsec, 2));
    nj_dynsec_close(dynsec);
}

/* ---- files that are not ours */

static void a_bad_file_is_refused_and_the_last_good_copy_is_there(void **state)
{
    struct nj_dynsec *dynsec;
    (void)state;
    put(path, start_text);
    dynsec = open_module();
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    nj_dynsec_close(dynsec);
    put(path, "{\n \"clients\": [\n  {\"username\": 5}]}");
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_NOT, &dynsec), NJ_EMALFORMED);
    assert_non_null(strstr(error, "line 3, column 3: entry 1 of \"clients\""));
    assert_non_null(strstr(error, "--recover"));
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_LAST, &dynsec), NJ_OK);
    assert_true(has_role(dynsec, 1));
    nj_dynsec_close(dynsec);
    assert_true(is_there(beside(".rejected")));
    nj_dynsec_close(open_module()); /* mended */
}

static void a_copy_is_kept_before_the_first_change(void **state)
{
    struct nj_dynsec *dynsec;
    (void)state;
    put(path, start_text);
    nj_dynsec_close(open_module());
    put(path, "{");
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_LAST, &dynsec), NJ_OK);
    assert_non_null(nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("u")));
    nj_dynsec_close(dynsec);
}

/* Between two trims a large file is written once and not twice. */
static void the_copy_and_the_journal_are_everything_at_any_time(void **state)
{
    struct nj_dynsec *dynsec;
    (void)state;
    put(path, start_text);
    dynsec = open_module();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(add_role(dynsec, i), NJ_OK);
        assert_true(nj_dynsec_settle(dynsec));
    }
    struct image image = take_image();
    assert_true(nj_bytes_equal(nj_buf_bytes(&image.last), nj_bytes_of(start_text)));
    nj_dynsec_close(dynsec);
    struct nj_buf file = get(path);
    struct nj_buf last = get(beside(".last"));
    assert_true(nj_bytes_equal(nj_buf_bytes(&file), nj_buf_bytes(&last)));
    nj_buf_fini(&file);
    nj_buf_fini(&last);
    restore(&image);
    put(path, "{");
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_LAST, &dynsec), NJ_OK);
    assert_int_equal(count_roles(dynsec), 3);
    nj_dynsec_close(dynsec);
    image_fini(&image);
}

static void the_journal_has_room_that_is_no_record(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(add_role(dynsec, i), NJ_OK);
    }
    struct image image = take_image();
    nj_buf_fini(&image.journal);
    image.journal = get(beside(".journal"));
    nj_dynsec_close(dynsec);
    struct nj_bytes rest = nj_buf_bytes(&image.journal);
    struct nj_dynsec_record record;
    unsigned changes = 0;
    enum nj_err err;
    assert_int_equal(rest.len % 4096, 0);
    while ((err = nj_dynsec_record_next(&rest, &record)) == NJ_OK) {
        changes += record.kind == NJ_DYNSEC_RECORD_CHANGE;
    }
    assert_int_equal(err, NJ_ENOENT);
    assert_int_equal(changes, 2000);
    for (size_t i = 0; i < rest.len; i++) {
        assert_int_equal(rest.ptr[i], 0);
    }
    restore(&image);
    dynsec = open_module();
    assert_int_equal(count_roles(dynsec), 2000);
    nj_dynsec_close(dynsec);
    image_fini(&image);
}

static void a_file_edited_while_stopped_counts(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    nj_dynsec_close(dynsec);
    put(path, "{\"clients\":[{\"username\":\"new\"}]}");
    dynsec = open_module();
    assert_non_null(nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("new")));
    assert_false(has_role(dynsec, 1));
    nj_dynsec_close(dynsec);
}

static void B_279_a_file_changed_meanwhile_is_not_overwritten(void **state)
{
    static const char by_hand[] = "{\"clients\":[{\"username\":\"by-hand\"}]}";
    struct nj_dynsec *dynsec;
    (void)state;
    put(path, start_text);
    dynsec = open_module();
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    assert_true(nj_dynsec_settle(dynsec));
    put(path, by_hand);
    assert_int_equal(add_role(dynsec, 2), NJ_OK);
    assert_false(nj_dynsec_settle(dynsec));
    nj_dynsec_close(dynsec);
    struct nj_buf text = get(path);
    assert_true(nj_bytes_equal(nj_buf_bytes(&text), nj_bytes_of(by_hand)));
    nj_buf_fini(&text);
    struct image image = take_image();
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_NOT, &dynsec), NJ_EMALFORMED);
    assert_non_null(strstr(error, "--recover json or --recover journal"));
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_JSON, &dynsec), NJ_OK);
    assert_non_null(nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("by-hand")));
    assert_int_equal(count_roles(dynsec), 0);
    nj_dynsec_close(dynsec);
    restore(&image);
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_JOURNAL, &dynsec), NJ_OK);
    assert_true(has_role(dynsec, 1) && has_role(dynsec, 2));
    nj_dynsec_close(dynsec);
    text = get(beside(".rejected"));
    assert_true(nj_bytes_equal(nj_buf_bytes(&text), nj_bytes_of(by_hand)));
    nj_buf_fini(&text);
    image_fini(&image);
}

static void a_file_that_cannot_be_replaced_is_rewritten(void **state)
{
    (void)state;
    put(path, start_text);
    struct nj_dynsec *dynsec = open_module();
    struct stat before;
    struct stat after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    nj_fault_arm(NJ_FAULT_RENAME, 1, false); /* the file's does not work, the copy's does */
    assert_true(nj_dynsec_settle(dynsec));
    nj_fault_disarm();
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* A crash in the middle: half of it is new, and the copy has all of it. */
    struct image image = take_image();
    assert_int_equal(nj_bytes_equal(nj_buf_bytes(&image.file), nj_buf_bytes(&image.last)), 1);
    nj_dynsec_close(dynsec);
    for (size_t len = 0; len < image.file.len; len += 11) {
        restore(&image);
        restore_one(path, &image.file, len);
        dynsec = open_module();
        assert_true(has_role(dynsec, 1));
        nj_dynsec_close(dynsec);
    }
    image_fini(&image);
}

static void a_missing_file_with_traces_is_no_first_start(void **state)
{
    struct nj_dynsec *dynsec;
    (void)state;
    put(path, start_text);
    dynsec = open_module();
    assert_int_equal(add_role(dynsec, 1), NJ_OK);
    nj_dynsec_close(dynsec);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_NOT, &dynsec), NJ_EMALFORMED);
    assert_non_null(strstr(error, "is gone"));
    assert_int_equal(try_open(NJ_DYNSEC_RECOVER_LAST, &dynsec), NJ_OK);
    assert_true(has_role(dynsec, 1));
    nj_dynsec_close(dynsec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define EACH(name) cmocka_unit_test_setup_teardown(name, open_dir, close_dir)
        EACH(C7_a_first_start_makes_an_administrator_and_nobody_else),
        EACH(C7_passwords_come_from_file_environment_or_chance),
        EACH(A3_1_init_makes_a_file_once),
        EACH(an_answered_change_survives_a_crash_at_once),
        EACH(a_journal_cut_at_any_byte_gives_whole_changes),
        EACH(damage_before_the_end_of_the_journal_is_told),
        EACH(a_crash_at_any_system_call_loses_no_answered_change),
        EACH(a_change_that_cannot_be_kept_is_refused_and_the_next_one_works),
        EACH(a_journal_that_was_taken_away_is_written_again),
        EACH(a_bad_file_is_refused_and_the_last_good_copy_is_there),
        EACH(a_copy_is_kept_before_the_first_change),
        EACH(the_copy_and_the_journal_are_everything_at_any_time),
        EACH(the_journal_has_room_that_is_no_record),
        EACH(a_file_edited_while_stopped_counts),
        EACH(B_279_a_file_changed_meanwhile_is_not_overwritten),
        EACH(a_file_that_cannot_be_replaced_is_rewritten),
        EACH(a_missing_file_with_traces_is_no_first_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
