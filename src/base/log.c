/* See log.h. One lock around the settings; a line is built outside it and written with one call to
 * each destination, which is never waited for. */
#include "base/log.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define TEXT_MAX 1500
/* Worst case: every byte of the text becomes \xNN. */
#define LINE_MAX_BYTES (TEXT_MAX * 4 + 96)

/* Owner: this file. */
static _Atomic unsigned wanted = NJ_LOG_DEFAULT;
static _Atomic uint64_t dropped;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct nj_log_settings current = {
    .types = NJ_LOG_DEFAULT, .to_stderr = true, .timestamp = true, .syslog_facility = -1};
static char *current_file;
static char *current_format;
static int file_fd = -1;
static bool syslog_open;

bool nj_log_wants(enum nj_log_type type)
{
    return (atomic_load_explicit(&wanted, memory_order_relaxed) & (unsigned)type) != 0;
}

uint64_t nj_log_dropped(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}

/* Length of the valid UTF-8 sequence at `at` without control characters, or 0. */
static size_t printable_len(const unsigned char *at)
{
    if (at[0] >= 0x20 && at[0] < 0x7f) {
        return 1;
    }
    size_t len = at[0] >= 0xc2 && at[0] < 0xe0   ? 2
                 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                 : 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* C1 controls, overlong forms and surrogates are not text; nor are the marks that turn the
     * direction of writing (U+202A–202E, U+2066–2069), which can disguise a name. */
    if ((len == 2 && at[0] == 0xc2 && at[1] < 0xa0) ||
        (len == 3 && at[0] == 0xe0 && at[1] < 0xa0) ||
        (len == 3 && at[0] == 0xed && at[1] >= 0xa0) ||
        (len == 4 && at[0] == 0xf0 && at[1] < 0x90)) {
        return 0;
    }
    bool turns = len == 3 && at[0] == 0xe2 &&
                 ((at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) ||
                  (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
    return turns ? 0 : len;
}

static size_t escape(const char *text, char *out)
{
    size_t len = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t n = printable_len(at);
        if (n) {
            memcpy(out + len, at, n);
            len += n;
            at += n;
        } else {
            len += (size_t)snprintf(out + len, 5, "\\x%02x", *at);
            at++;
        }
    }
    out[len] = '\0';
    return len;
}

static size_t stamp(char *out, size_t size)
{
    time_t now = (time_t)nj_clock_wall_s();
    if (!current.timestamp) {
        return 0;
    }
    if (!current_format) {
        return (size_t)snprintf(out, size, "%lld: ", (long long)now);
    }
    struct tm parts;
    (void)localtime_r(&now, &parts);
    size_t len = strftime(out, size - 2, current_format, &parts);
    memcpy(out + len, ": ", 2);
    return len + 2;
}

static void put(int fd, const char *line, size_t len)
{
    ssize_t done;
    do {
        done = write(fd, line, len);
    } while (done < 0 && errno == EINTR);
    if (done != (ssize_t)len) {
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    }
}

static int syslog_level(enum nj_log_type type)
{
    switch (type) {
    case NJ_LOG_ERROR:
        return LOG_ERR;
    case NJ_LOG_WARNING:
        return LOG_WARNING;
    case NJ_LOG_NOTICE:
        return LOG_NOTICE;
    case NJ_LOG_INFO:
        return LOG_INFO;
    default:
        return LOG_DEBUG;
    }
}

void nj_log(enum nj_log_type type, const char *fmt, ...)
{
    if (!nj_log_wants(type)) {
        return;
    }
    char text[TEXT_MAX];
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    (void)pthread_mutex_lock(&lock);
    size_t head = stamp(line, 80);
    size_t len = head + escape(text, line + head);
    line[len] = '\n';
    if (current.to_stderr) {
        put(STDERR_FILENO, line, len + 1);
    }
    if (current.to_stdout) {
        put(STDOUT_FILENO, line, len + 1);
    }
    if (file_fd >= 0) {
        put(file_fd, line, len + 1);
    }
    line[len] = '\0';
    if (syslog_open) {
        syslog(syslog_level(type), "%s", line + head);
    }
    nj_log_topic_fn topic_fn = current.to_topic ? current.topic_fn : NULL;
    void *topic_arg = current.topic_arg;
    (void)pthread_mutex_unlock(&lock);
    if (topic_fn) {
        topic_fn(topic_arg, type, line, len);
    }
}

/* Never a FIFO without reader or a device that blocks: O_NONBLOCK, and appends only. */
static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
}

static void set_syslog(const struct nj_log_settings *settings)
{
    if (syslog_open) {
        closelog();
        syslog_open = false;
    }
    if (settings->to_syslog) {
        int facility =
            settings->syslog_facility < 0 ? LOG_DAEMON : (16 + settings->syslog_facility) << 3;
        openlog("nightjar", LOG_PID, facility);
        syslog_open = true;
    }
}

enum nj_err nj_log_configure(const struct nj_log_settings *settings)
{
    int fd = -1;
    if (settings->file) {
        fd = open_file(settings->file);
        if (fd < 0) {
            return NJ_ESYS;
        }
    }
    (void)pthread_mutex_lock(&lock);
    if (file_fd >= 0) {
        (void)close(file_fd);
    }
    file_fd = fd;
    nj_free(current_file);
    nj_free(current_format);
    current_file = settings->file ? nj_strdup(settings->file) : NULL;
    current_format = settings->timestamp_format ? nj_strdup(settings->timestamp_format) : NULL;
    current = *settings;
    set_syslog(settings);
    atomic_store_explicit(&wanted, settings->types, memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
    return NJ_OK;
}

enum nj_err nj_log_reopen(void)
{
    enum nj_err err = NJ_OK;
    (void)pthread_mutex_lock(&lock);
    if (current_file) {
        int fd = open_file(current_file);
        if (fd < 0) {
            err = NJ_ESYS;
        } else {
            (void)close(file_fd);
            file_fd = fd;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return err;
}
