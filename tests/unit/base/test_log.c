/* The log: form of a line, what is escaped, and that no destination is ever waited for (F-025). */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "support/test.h"

static char dir[] = "/tmp/nj-test-log-XXXXXX";
static char path[PATH_MAX];
static const struct nj_clock_fake fake = {.wall_ns = 1700000000000000000};

static int set_up(void **state)
{
    (void)state;
    nj_clock_set_fake(&fake);
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const struct nj_log_settings back = {.types = NJ_LOG_DEFAULT, .to_stderr = true};
    enum nj_err err = nj_log_configure(&back);
    (void)unlink(path);
    return err == NJ_OK ? rmdir(dir) : -1;
}

static void to_file(unsigned types, const char *format)
{
    (void)unlink(path);
    struct nj_log_settings settings = {
        .types = types, .file = path, .timestamp = true, .timestamp_format = format};
    assert_int_equal(nj_log_configure(&settings), NJ_OK);
}

static void assert_log(const char *want)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_file_read(path, 1000000, false, &buf), NJ_OK);
    assert_int_equal(nj_buf_append(&buf, "", 1), NJ_OK);
    assert_string_equal((const char *)buf.data, want);
    nj_buf_fini(&buf);
}

static void a_line_has_the_originals_form(void **state)
{
    (void)state;
    to_file(NJ_LOG_DEFAULT, NULL);
    nj_log(NJ_LOG_NOTICE, "Opening ipv4 listen socket on port %d.", 1883);
    nj_log(NJ_LOG_DEBUG, "not wanted");
    nj_log(NJ_LOG_ERROR, "Error: %s", "x");
    assert_log("1700000000: Opening ipv4 listen socket on port 1883.\n1700000000: Error: x\n");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
}

static void types_are_filtered_and_can_be_asked_for(void **state)
{
    (void)state;
    to_file(NJ_LOG_SUBSCRIBE | NJ_LOG_WEBSOCKETS, NULL);
    assert_true(nj_log_wants(NJ_LOG_SUBSCRIBE));
    assert_false(nj_log_wants(NJ_LOG_ERROR));
    nj_log(NJ_LOG_ERROR, "no");
    nj_log(NJ_LOG_WEBSOCKETS, "yes");
    assert_log("1700000000: yes\n");
    to_file(0, NULL);
    nj_log(NJ_LOG_ERROR, "no");
    assert_log("");
}

static void the_time_stamp_can_be_formatted_or_left_out(void **state)
{
    (void)state;
    to_file(NJ_LOG_ALL, "%Y-%m");
    nj_log(NJ_LOG_INFO, "a");
    assert_log("2023-11: a\n");
    to_file(NJ_LOG_ALL, "%Y%n%Y"); /* no second line by the format either */
    nj_log(NJ_LOG_INFO, "a");
    assert_log("2023\\x0a2023: a\n");
    (void)unlink(path);
    struct nj_log_settings settings = {.types = NJ_LOG_ALL, .file = path};
    assert_int_equal(nj_log_configure(&settings), NJ_OK);
    nj_log(NJ_LOG_INFO, "a");
    assert_log("a\n");
}

static void B_024_peers_cannot_forge_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        {"a\nb", "a\\x0ab"},
        {"\r\x1b[31m\t", "\\x0d\\x1b[31m\\x09"},
        {"\x7f", "\\x7f"},
        {"ä€😀 ok", "ä€😀 ok"},
        {"\xc2\x85", "\\xc2\\x85"}, /* C1 control */
        {"\xe2\x80\xae"
         "txt",
         "\\xe2\\x80\\xaetxt"},                       /* right-to-left override */
        {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},          /* line separator */
        {"\xe2\x80\xa9", "\\xe2\\x80\\xa9"},          /* paragraph separator */
        {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},          /* isolate */
        {"\xff\xc3", "\\xff\\xc3"},                   /* not UTF-8; cut short */
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* overlong */
        {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"}, /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        to_file(NJ_LOG_ALL, NULL);
        nj_log(NJ_LOG_NOTICE, "%s", rows[i].text);
        char want[200];
        (void)snprintf(want, sizeof(want), "1700000000: %s\n", rows[i].want);
        assert_log(want);
    }
}

static void long_lines_are_cut_and_stay_one_line(void **state)
{
    (void)state;
    static char text[70000];
    memset(text, '\n', sizeof(text) - 1);
    to_file(NJ_LOG_ALL, NULL);
    nj_log(NJ_LOG_NOTICE, "%s", text);
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_file_read(path, 1000000, false, &buf), NJ_OK);
    assert_in_range(buf.len, 4000, PIPE_BUF);
    assert_ptr_equal(memchr(buf.data, '\n', buf.len), buf.data + buf.len - 1);
    nj_buf_fini(&buf);
}

static void a_failed_change_keeps_the_old_settings(void **state)
{
    (void)state;
    to_file(NJ_LOG_ALL, NULL);
    struct nj_log_settings bad = {.types = 0, .file = "/proc/nj-no-such-dir/log"};
    assert_int_equal(nj_log_configure(&bad), NJ_ESYS);
    nj_log(NJ_LOG_INFO, "still here");
    assert_log("1700000000: still here\n");
}

static void rotation_opens_the_file_again(void **state)
{
    (void)state;
    to_file(NJ_LOG_ALL, NULL);
    nj_log(NJ_LOG_INFO, "first");
    char moved[PATH_MAX + 8];
    (void)snprintf(moved, sizeof(moved), "%s.1", path);
    assert_int_equal(rename(path, moved), 0);
    nj_log(NJ_LOG_INFO, "into the moved file");
    assert_int_equal(nj_log_reopen(), NJ_OK);
    nj_log(NJ_LOG_INFO, "second");
    assert_log("1700000000: second\n");
    assert_int_equal(unlink(moved), 0);
}

static void L_096_a_link_planted_as_log_is_not_followed(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    struct nj_log_settings settings = {.types = NJ_LOG_ALL, .file = path};
    assert_int_equal(nj_log_configure(&settings), NJ_ESYS);
    (void)unlink(path);
}

/* Points stderr at `fd` while `lines` lines are logged; how many were dropped. */
static uint64_t log_to_stderr(int fd, int lines)
{
    struct nj_log_settings settings = {.types = NJ_LOG_ALL, .to_stderr = true};
    int saved = dup(STDERR_FILENO);
    uint64_t before = nj_log_dropped();
    assert_int_equal(nj_log_configure(&settings), NJ_OK);
    (void)dup2(fd, STDERR_FILENO);
    for (int i = 0; i < lines; i++) {
        nj_log(NJ_LOG_INFO, "%01000d", i);
    }
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    return nj_log_dropped() - before;
}

static void F_025_a_full_pipe_drops_and_counts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* blocking, as a supervisor's would be */
    uint64_t dropped = log_to_stderr(ends[1], 200);
    assert_in_range(dropped, 1, 199);
    char text[2003];
    ssize_t got = read(ends[0], text, sizeof(text));
    assert_int_equal(got, sizeof(text));
    assert_int_equal(text[1000], '\n');
    assert_int_equal(text[2001], '\n'); /* whole lines only */
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void F_025_a_stuck_socket_drops_and_counts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    uint64_t dropped = log_to_stderr(ends[1], 2000);
    assert_in_range(dropped, 1, 1999);
    (void)close(ends[0]);
    assert_int_equal(log_to_stderr(ends[1], 3), 3); /* closed: no SIGPIPE */
    (void)close(ends[1]);
}

static void F_025_a_fifo_without_reader_is_refused_at_once(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    struct nj_log_settings settings = {.types = NJ_LOG_ALL, .file = path};
    assert_int_equal(nj_log_configure(&settings), NJ_ESYS);
    (void)unlink(path);
}

static int open_daemon(const char *at)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, at, strlen(at) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void F_025_syslog_gone_stuck_or_restarted_does_not_hold_us_up(void **state)
{
    (void)state;
    (void)unlink(path);
    struct nj_log_settings settings = {
        .types = NJ_LOG_ALL, .to_syslog = true, .syslog_facility = 2, .syslog_path = path};
    uint64_t before = nj_log_dropped();
    assert_int_equal(nj_log_configure(&settings), NJ_OK);
    nj_log(NJ_LOG_ERROR, "nobody there");
    assert_int_equal(nj_log_dropped(), before + 1);

    int daemon = open_daemon(path);
    nj_log(NJ_LOG_WARNING, "hel\nlo");
    char text[PIPE_BUF];
    ssize_t got = recv(daemon, text, sizeof(text) - 1, 0);
    assert_true(got > 0);
    text[got] = '\0';
    assert_int_equal(strncmp(text, "<148>", 5), 0); /* local2 = 18, warning = 4 */
    char want[64];
    (void)snprintf(want, sizeof(want), " nightjar[%ld]: hel\\x0alo", (long)getpid());
    assert_non_null(strstr(text, want));

    (void)close(daemon);
    (void)unlink(path);
    daemon = open_daemon(path);
    before = nj_log_dropped();
    nj_log(NJ_LOG_INFO, "to the new one");
    assert_int_equal(nj_log_dropped(), before);
    assert_true(recv(daemon, text, sizeof(text), 0) > 0);
    for (int i = 0; i < 10000; i++) {
        nj_log(NJ_LOG_INFO, "nobody reads");
    }
    assert_true(nj_log_dropped() > before);
    (void)close(daemon);
    (void)unlink(path);
}

static char seen[200];

static void take_line(void *arg, enum nj_log_type type, const char *line, size_t len)
{
    (void)snprintf(seen, sizeof(seen), "%s|%d|%zu|%s", (const char *)arg, (int)type, len, line);
}

static void the_topic_destination_gets_the_line(void **state)
{
    (void)state;
    static char arg[] = "arg";
    struct nj_log_settings settings = {.types = NJ_LOG_ALL,
                                       .timestamp = true,
                                       .to_topic = true,
                                       .topic_fn = take_line,
                                       .topic_arg = arg};
    assert_int_equal(nj_log_configure(&settings), NJ_OK);
    nj_log(NJ_LOG_NOTICE, "x\ty");
    assert_string_equal(seen, "arg|4|18|1700000000: x\\x09y");
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 500; i++) {
        nj_log(NJ_LOG_INFO, "%s %d", (const char *)arg, i);
    }
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    static char names[4][16] = {"aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", "dddddddddd"};
    struct nj_thread threads[4];
    to_file(NJ_LOG_ALL, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nj_thread_start(&threads[i], "writer", write_lines, names[i]), NJ_OK);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(nj_log_reopen(), NJ_OK);
    }
    for (int i = 0; i < 4; i++) {
        nj_thread_join(&threads[i]);
    }
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_file_read(path, 10000000, false, &buf), NJ_OK);
    size_t lines = 0;
    size_t start = 0;
    for (size_t i = 0; i < buf.len; i++) {
        if (buf.data[i] == '\n') {
            assert_int_equal(memcmp(buf.data + start, "1700000000: ", 12), 0);
            assert_int_equal(buf.data[start + 12], buf.data[start + 21]);
            start = i + 1;
            lines++;
        }
    }
    assert_int_equal(lines, 2000);
    nj_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_originals_form),
        cmocka_unit_test(types_are_filtered_and_can_be_asked_for),
        cmocka_unit_test(the_time_stamp_can_be_formatted_or_left_out),
        cmocka_unit_test(B_024_peers_cannot_forge_lines),
        cmocka_unit_test(long_lines_are_cut_and_stay_one_line),
        cmocka_unit_test(a_failed_change_keeps_the_old_settings),
        cmocka_unit_test(rotation_opens_the_file_again),
        cmocka_unit_test(L_096_a_link_planted_as_log_is_not_followed),
        cmocka_unit_test(F_025_a_full_pipe_drops_and_counts),
        cmocka_unit_test(F_025_a_stuck_socket_drops_and_counts),
        cmocka_unit_test(F_025_a_fifo_without_reader_is_refused_at_once),
        cmocka_unit_test(F_025_syslog_gone_stuck_or_restarted_does_not_hold_us_up),
        cmocka_unit_test(the_topic_destination_gets_the_line),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
