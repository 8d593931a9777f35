/* Reading whole files and replacing them: under every fault the old file stays (L-096, B-351). */
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "support/test.h"

static char dir[] = "/tmp/nj-test-file-XXXXXX";
static char path[PATH_MAX];
static char other[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    (void)snprintf(other, sizeof(other), "%s/other", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(dir);
}

static void write_plain(const char *to, const char *text)
{
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *of, const char *want)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_file_read(of, 1000000, false, &buf), NJ_OK);
    assert_true(nj_bytes_equal(nj_buf_bytes(&buf), nj_bytes_of(want)));
    nj_buf_fini(&buf);
}

static int entries(void)
{
    int count = 0;
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    while (readdir(listing) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        count++;
    }
    (void)closedir(listing);
    return count - 2;
}

static void reads_append_and_keep_to_the_limit(void **state)
{
    (void)state;
    write_plain(path, "12345");
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_buf_append(&buf, "<", 1), NJ_OK);
    assert_int_equal(nj_file_read(path, 5, true, &buf), NJ_OK);
    assert_true(nj_bytes_equal(nj_buf_bytes(&buf), NJ_BYTES_LIT("<12345")));
    assert_int_equal(nj_file_read(path, 4, false, &buf), NJ_ETOOBIG);
    assert_int_equal(buf.len, 6);
    nj_buf_fini(&buf);
}

static void refuses_what_is_no_regular_file(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_file_read(dir, 100, false, &buf), NJ_EINVAL);
    assert_int_equal(nj_file_read("/dev/zero", 100, false, &buf), NJ_EINVAL);
    assert_string_equal(nj_file_why(NJ_EINVAL), "not a regular file");
    (void)unlink(path);
    assert_int_equal(nj_file_read(path, 100, false, &buf), NJ_ENOENT);
    assert_string_equal(nj_file_why(NJ_ENOENT), "No such file or directory");
    assert_string_equal(nj_file_why(NJ_ETOOBIG), "too large");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(nj_file_read(path, 100, false, &buf), NJ_EINVAL); /* and does not wait */
    assert_int_equal(nj_file_replace(path, "x", 1, 0600), NJ_EINVAL);
    (void)unlink(path);
    assert_int_equal(nj_file_replace(dir, "x", 1, 0600), NJ_EINVAL);
    assert_int_equal(nj_file_replace("/dev/null", "x", 1, 0600), NJ_EINVAL);
    nj_buf_fini(&buf);
}

static void follows_links_unless_told_not_to(void **state)
{
    (void)state;
    write_plain(other, "target");
    assert_int_equal(symlink(other, path), 0);
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_file_read(path, 100, true, &buf), NJ_ESYS);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(nj_file_read(path, 100, false, &buf), NJ_OK);
    nj_buf_fini(&buf);
    /* A secret mounted as a link stays a link. */
    assert_int_equal(nj_file_replace(path, "new", 3, 0600), NJ_OK);
    struct stat info;
    assert_int_equal(lstat(path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_content(other, "new");
    (void)unlink(path);
    (void)unlink(other);
}

static void replace_creates_and_keeps_the_mode(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(nj_file_replace(path, "one", 3, 0640), NJ_OK);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(nj_file_replace(path, "two", 3, 0600), NJ_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0604);
    assert_content(path, "two");
    assert_int_equal(nj_file_replace(path, NULL, 0, 0600), NJ_OK);
    assert_content(path, "");
    assert_int_equal(entries(), 1);
    (void)unlink(path);
    assert_int_equal(nj_file_replace("/proc/nj-no-such-dir/x", "x", 1, 0600), NJ_ENOENT);
}

static void under_every_fault_the_old_file_stays_and_nothing_is_left(void **state)
{
    (void)state;
    static const struct {
        enum nj_fault_kind kind;
        uint64_t nth;
        enum nj_err err;
        int cause;
        const char *after;
    } rows[] = {
        {NJ_FAULT_OPEN, 1, NJ_ESYS, EMFILE, "old"},    {NJ_FAULT_OPEN, 2, NJ_ESYS, EMFILE, "old"},
        {NJ_FAULT_WRITE, 1, NJ_ENOSPC, ENOSPC, "old"}, {NJ_FAULT_SYNC, 1, NJ_EIO, EIO, "old"},
        {NJ_FAULT_RENAME, 1, NJ_ESYS, EROFS, "old"},   {NJ_FAULT_SYNC, 2, NJ_EIO, EIO, "new"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_plain(path, "old");
        nj_fault_arm(rows[i].kind, rows[i].nth, false);
        enum nj_err err = nj_file_replace(path, "new", 3, 0600);
        int cause = errno;
        nj_fault_disarm();
        assert_int_equal(err, rows[i].err);
        assert_int_equal(cause, rows[i].cause);
        assert_content(path, rows[i].after);
        assert_int_equal(entries(), 1);
    }
}

static void read_faults_leave_the_buffer_as_it_was(void **state)
{
    (void)state;
    write_plain(path, "text");
    static const struct {
        enum nj_fault_kind kind;
        enum nj_err err;
    } rows[] = {{NJ_FAULT_OPEN, NJ_ESYS}, {NJ_FAULT_READ, NJ_ESYS}, {NJ_FAULT_ALLOC, NJ_ENOMEM}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_buf buf;
        nj_buf_init(&buf);
        nj_fault_arm(rows[i].kind, 1, true);
        enum nj_err err = nj_file_read(path, 100, false, &buf);
        nj_fault_disarm();
        assert_int_equal(err, rows[i].err);
        assert_int_equal(buf.len, 0);
        nj_buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_append_and_keep_to_the_limit),
        cmocka_unit_test(refuses_what_is_no_regular_file),
        cmocka_unit_test(follows_links_unless_told_not_to),
        cmocka_unit_test(replace_creates_and_keeps_the_mode),
        cmocka_unit_test(under_every_fault_the_old_file_stays_and_nothing_is_left),
        cmocka_unit_test(read_faults_leave_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
