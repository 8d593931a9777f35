/* Databases that are not what they should be (ledger B-280, B-281, F-023): the store starts with
 * what is sound, sets the rest aside, and never ends the process. */
#include <sys/stat.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model.h"
#include "store/lmdb_check.h"
#include "support/test.h"

#define PAGE            4096u
#define GROUPS_TOGETHER 50

static struct model model;
static struct rig rig;
static struct nj_buf image;

static void path_of(char *path, size_t size, const char *name)
{
    (void)snprintf(path, size, "%s/%s", rig.path, name);
}

static void write_image(const uint8_t *data, size_t len)
{
    char path[160];
    path_of(path, sizeof(path), "data.mdb");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    (void)close(fd);
}

/* A database with something of everything, also its file's bytes. Made in many transactions,
 * however much one takes: when the newest state is damaged, the one before may be what is used. */
static int make_database(void **state)
{
    (void)state;
    char path[160];
    rig_init(&rig);
    model_init(&model, 77);
    assert_int_equal(rig_open(&rig), NJ_OK);
    uint64_t cookie = 0;
    for (int i = 0; i < 3000; i++) {
        struct model_group group;
        model_group_make(&model, &group);
        cookie = rig_submit(&rig, 0, group.ops, group.count, NULL);
        model_group_fini(&group);
        if (i % GROUPS_TOGETHER == 0) {
            assert_int_equal(rig_wait(&rig, 0, cookie), NJ_OK);
        }
    }
    assert_int_equal(rig_wait(&rig, 0, cookie), NJ_OK);
    rig_close(&rig);
    path_of(path, sizeof(path), "data.mdb");
    nj_buf_init(&image);
    assert_int_equal(nj_file_read(path, 1 << 30, true, &image), NJ_OK);
    return 0;
}

static int drop_database(void **state)
{
    (void)state;
    nj_buf_fini(&image);
    rig_fini(&rig);
    return 0;
}

static enum nj_err take_session(void *arg, const struct nj_store_session *session,
                                const struct nj_store_backlog *backlog)
{
    unsigned *count = arg;
    (void)backlog;
    assert_true(session->owner != 0);
    count[0]++;
    return NJ_OK;
}

static enum nj_err take_subscription(void *arg, uint64_t owner, struct nj_bytes filter,
                                     uint64_t value, uint32_t share)
{
    (void)owner;
    (void)value;
    (void)share;
    unsigned *count = arg;
    assert_memory_equal(filter.ptr, "f/", 2);
    count[1]++;
    return NJ_OK;
}

static enum nj_err take_will(void *arg, uint64_t owner, struct nj_message *message,
                             uint64_t delay_s)
{
    (void)arg;
    (void)owner;
    (void)delay_s;
    assert_int_equal(message->topic_len, 4);
    return NJ_OK;
}

static enum nj_err take_retained(void *arg, struct nj_message *message,
                                 const struct nj_store_origin *origin)
{
    (void)origin;
    unsigned *count = arg;
    assert_true(message->topic_len >= 3);
    count[2]++;
    return NJ_OK;
}

/* Opens, loads and reads everything, and writes one more group. Returns how many records it saw. */
static unsigned use(void)
{
    unsigned count[3] = {0};
    struct nj_store_highest highest;
    const struct nj_store_loader loader = {
        .arg = count,
        .session = take_session,
        .subscription = take_subscription,
        .will = take_will,
        .retained = take_retained,
    };
    rig.failed = 0;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(nj_store_load(rig.store, &loader, &highest), NJ_OK);
    for (int i = 0; i < MODEL_OWNERS; i++) {
        const struct nj_store_read read = {.owner = model.owners[i].number,
                                           .max_rows = 100,
                                           .max_bytes = 1 << 20,
                                           .with_flights = true};
        struct nj_store_rows *rows = rig_read(&rig, &read);
        count[2] += rows->count;
        nj_store_rows_free(rows);
    }
    const struct nj_store_op op = {.kind = NJ_STORE_RETAIN_CLEAR, .bytes = NJ_BYTES_LIT("none")};
    (void)rig_do(&rig, &op, 1);
    rig_close(&rig);
    return count[0] + count[1] + count[2];
}

static void remove_set_aside(void)
{
    char path[400];
    DIR *dir = opendir(rig.path);
    assert_non_null(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strncmp(entry->d_name, "damaged-", 8) == 0) {
            (void)snprintf(path, sizeof(path), "%s/%s/data.mdb", rig.path, entry->d_name);
            (void)unlink(path);
            (void)snprintf(path, sizeof(path), "%s/%s", rig.path, entry->d_name);
            (void)rmdir(path);
        }
    }
    (void)closedir(dir);
}

static void a_sound_database_passes(void **state)
{
    (void)state;
    struct nj_lmdb_check check;
    write_image(image.data, image.len);
    int dir = open(rig.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(nj_lmdb_check_file(dir, "data.mdb", &check, NULL, NULL), NJ_OK);
    assert_true(check.pages > 10);
    assert_int_equal(check.lost, 0);
    assert_int_equal(check.damaged, 0);
    (void)close(dir);
    assert_true(use() > 100);
}

static unsigned rounds(unsigned usual)
{
    const char *text = getenv("NIGHTJAR_DAMAGE_ROUNDS");
    return text ? (unsigned)strtoul(text, NULL, 10) : usual;
}

/* Flips, zeroed and swapped pages, torn ends. */
static void f023_starts_with_what_is_sound(void **state)
{
    (void)state;
    unsigned all = 0;
    write_image(image.data, image.len);
    all = use();
    unsigned count = rounds(150);
    for (unsigned round = 0; round < count; round++) {
        uint8_t *copy = nj_alloc(image.len);
        size_t len = image.len;
        size_t pages = len / PAGE;
        memcpy(copy, image.data, len);
        size_t at = (size_t)model_random(&model, pages) * PAGE;
        size_t other = (size_t)model_random(&model, pages) * PAGE;
        switch (round % 6) {
        case 0:
        case 1: /* in the heads of pages, where it hurts most */
            copy[at + model_random(&model, 64)] ^= (uint8_t)(1u << model_random(&model, 8));
            break;
        case 2:
            for (int i = 0; i < 20; i++) {
                copy[model_random(&model, len)] ^= (uint8_t)(1u << model_random(&model, 8));
            }
            break;
        case 3:
            memset(copy + at, 0, PAGE);
            break;
        case 4:
            memcpy(copy + at, image.data + other, PAGE);
            memcpy(copy + other, image.data + at, PAGE);
            break;
        default:
            len = (size_t)model_random(&model, len);
            break;
        }
        write_image(copy, len);
        nj_free(copy);
        unsigned seen = use();
        assert_true(seen <= all + 200);
        remove_set_aside();
    }
}

static void starts_with_files_that_are_no_database(void **state)
{
    (void)state;
    uint8_t junk[3 * PAGE];
    memset(junk, 0, sizeof(junk));
    write_image(junk, sizeof(junk));
    assert_int_equal(use(), 0);
    for (size_t i = 0; i < sizeof(junk); i++) {
        junk[i] = (uint8_t)model_random(&model, 256);
    }
    write_image(junk, sizeof(junk));
    assert_int_equal(use(), 0);
    write_image(junk, 1);
    assert_int_equal(use(), 0);
    write_image(junk, 0);
    assert_int_equal(use(), 0);
    remove_set_aside();
}

static void a_lost_branch_does_not_lose_what_hangs_below(void **state)
{
    (void)state;
    write_image(image.data, image.len);
    unsigned all = use();
    /* Every branch page is destroyed: the leaves are found by their checksums. */
    uint8_t *copy = nj_alloc(image.len);
    memcpy(copy, image.data, image.len);
    unsigned destroyed = 0;
    for (size_t at = 2 * PAGE; at + PAGE <= image.len; at += PAGE) {
        if (copy[at + 10] == 1 && copy[at + 11] == 0) {
            memset(copy + at, 0xee, PAGE);
            destroyed++;
        }
    }
    write_image(copy, image.len);
    nj_free(copy);
    assert_true(destroyed > 0);
    unsigned seen = use();
    assert_true(seen * 10 >= all * 9);
    remove_set_aside();
}

static void f027_refuses_a_directory_that_is_not_its_own(void **state)
{
    (void)state;
    struct rig other;
    char link[128];
    write_image(image.data, image.len);
    assert_int_equal(rig_open(&rig), NJ_OK);
    rig_init(&other);
    other.options.path = rig.path;
    assert_int_equal(rig_open(&other), NJ_EBUSY); /* B-281: locked by another */
    rig_close(&rig);
    (void)snprintf(link, sizeof(link), "%s/link", other.path);
    assert_int_equal(symlink(rig.path, link), 0);
    other.options.path = link;
    assert_int_equal(rig_open(&other), NJ_EACCES);
    (void)snprintf(link, sizeof(link), "%s/no/such/parent", other.path);
    assert_int_equal(rig_open(&other), NJ_EACCES);
    rig_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_database_passes),
        cmocka_unit_test(f023_starts_with_what_is_sound),
        cmocka_unit_test(starts_with_files_that_are_no_database),
        cmocka_unit_test(a_lost_branch_does_not_lose_what_hangs_below),
        cmocka_unit_test(f027_refuses_a_directory_that_is_not_its_own),
    };
    return cmocka_run_group_tests(tests, make_database, drop_database);
}
