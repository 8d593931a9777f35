/* See log.h. One lock around the settings; the text is formatted outside it, and the line is
 * written with one call to each destination, which is never waited for. Syslog is spoken here and
 * not through syslog(3), which waits when the daemon does not read. */
#include "base/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
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

#define TEXT_MAX  1500
#define STAMP_MAX 400
/* A pipe takes this much in one piece or not at all, so lines of several writers never mix. */
#define LINE_MAX_BYTES PIPE_BUF

/* Owner: this file. */
static _Atomic unsigned wanted = NJ_LOG_DEFAULT;
static _Atomic uint64_t dropped;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct nj_log_settings current = {
    .types = NJ_LOG_DEFAULT, .to_stderr = true, .timestamp = true, .syslog_facility = -1};
static char *current_file;
static char *current_format;
static int file_fd = -1;
static int syslog_fd = -1;
static char *current_syslog; /* path of its socket */

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
    /* C1 controls, overlong forms and surrogates are not text; nor are the marks that end a
     * line or turn the direction of writing (U+2028–202E, U+2066–2069): viewers follow them, and a
     * name could disguise itself or look like a line of its own. */
    if ((len == 2 && at[0] == 0xc2 && at[1] < 0xa0) ||
        (len == 3 && at[0] == 0xe0 && at[1] < 0xa0) ||
        (len == 3 && at[0] == 0xed && at[1] >= 0xa0) ||
        (len == 4 && at[0] == 0xf0 && at[1] < 0x90) ||
        (len == 4 && at[0] == 0xf4 && at[1] >= 0x90)) {
        return 0;
    }
    bool misleads = len == 3 && at[0] == 0xe2 &&
                    ((at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) ||
                     (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
    return misleads ? 0 : len;
}

/* `size` leaves room for the newline as well. */
static size_t escape(const char *text, char *out, size_t size)
{
    size_t len = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at && len + 6 < size;) {
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
    char raw[STAMP_MAX / 4];
    /* A format that does not fit gives no stamp; the administrator sees that at once. */
    raw[strftime(raw, sizeof(raw), current_format, &parts)] = '\0';
    size_t len = escape(raw, out, size - 2);
    out[len++] = ':';
    out[len++] = ' ';
    return len;
}

static void count_dropped(void)
{
    atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
}

/* stderr and stdout are shared with whoever started us: their O_NONBLOCK is not ours to set. poll
 * says whether a pipe or terminal takes a line now; a socket (journald's) is asked not to wait. */
static ssize_t write_now(int fd, const char *line, size_t len)
{
    ssize_t done = send(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done >= 0 || errno != ENOTSOCK) {
        return done;
    }
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || (ready.revents & (POLLOUT | POLLERR)) != POLLOUT) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, line, len);
}

static void put(int fd, const char *line, size_t len)
{
    ssize_t done;
    do {
        done = write_now(fd, line, len);
    } while (done < 0 && errno == EINTR);
    if (done != (ssize_t)len) {
        count_dropped();
    }
}

static int open_syslog(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return -1;
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
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

static int syslog_facility(void)
{
    return current.syslog_facility < 0 ? LOG_DAEMON : LOG_LOCAL0 + (current.syslog_facility << 3);
}

/* The old form of RFC 3164, which every syslog daemon and journald read on the local socket. */
static void put_syslog(enum nj_log_type type, const char *text)
{
    char line[LINE_MAX_BYTES];
    char when[32];
    time_t now = (time_t)nj_clock_wall_s();
    struct tm parts;
    (void)localtime_r(&now, &parts);
    when[strftime(when, sizeof(when), "%b %e %H:%M:%S", &parts)] = '\0';
    int len = snprintf(line, sizeof(line), "<%d>%s nightjar[%ld]: %s",
                       syslog_facility() | syslog_level(type), when, (long)getpid(), text);
    size_t size = len < (int)sizeof(line) ? (size_t)len : sizeof(line) - 1;
    if (syslog_fd < 0) {
        syslog_fd = open_syslog(current_syslog);
    }
    if (syslog_fd < 0 || send(syslog_fd, line, size, MSG_NOSIGNAL) < 0) {
        /* A daemon that was restarted has a new socket: connect again, once. */
        if (syslog_fd >= 0 && errno != EAGAIN) {
            (void)close(syslog_fd);
            syslog_fd = open_syslog(current_syslog);
            if (syslog_fd >= 0 && send(syslog_fd, line, size, MSG_NOSIGNAL) >= 0) {
                return;
            }
        }
        count_dropped();
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
    size_t head = stamp(line, STAMP_MAX);
    size_t len = head + escape(text, line + head, sizeof(line) - head);
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
    if (current.to_syslog) {
        put_syslog(type, line + head);
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

/* Copies what outlives the call; the socket is connected by the first line that needs it. */
static void adopt(const struct nj_log_settings *settings)
{
    nj_free(current_file);
    nj_free(current_format);
    nj_free(current_syslog);
    if (syslog_fd >= 0) {
        (void)close(syslog_fd);
        syslog_fd = -1;
    }
    current = *settings;
    current_file = settings->file ? nj_strdup(settings->file) : NULL;
    current_format = settings->timestamp_format ? nj_strdup(settings->timestamp_format) : NULL;
    current_syslog = nj_strdup(settings->syslog_path ? settings->syslog_path : "/dev/log");
    current.file = current_file;
    current.timestamp_format = current_format;
    current.syslog_path = current_syslog;
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
    adopt(settings);
    atomic_store_explicit(&wanted, settings->types, memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
    return NJ_OK;
}

void nj_log_set_types(unsigned types)
{
    (void)pthread_mutex_lock(&lock);
    current.types = types;
    atomic_store_explicit(&wanted, types, memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
}

unsigned nj_log_types(void)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed);
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
