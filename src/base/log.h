/* The log: one line per event, to any number of destinations.
 *
 * nj_log never blocks on a destination: what cannot be written is dropped and counted. Control
 * characters, broken UTF-8 and marks that turn the direction of writing are escaped as \xNN, so a
 * peer cannot forge lines (B-024, F-025). Long lines are cut to what a pipe takes in one piece.
 * Destinations and types are set by the configuration; before that, lines go to stderr. Any
 * thread. */
#ifndef NJ_BASE_LOG_H
#define NJ_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Bit values, as Mosquitto's log types. */
enum nj_log_type {
    NJ_LOG_ERROR = 1 << 0,
    NJ_LOG_WARNING = 1 << 1,
    NJ_LOG_NOTICE = 1 << 2,
    NJ_LOG_INFO = 1 << 3,
    NJ_LOG_DEBUG = 1 << 4,
    NJ_LOG_SUBSCRIBE = 1 << 5,
    NJ_LOG_UNSUBSCRIBE = 1 << 6,
    NJ_LOG_INTERNAL = 1 << 7,
    NJ_LOG_WEBSOCKETS = 1 << 8,
    NJ_LOG_DEFAULT = NJ_LOG_ERROR | NJ_LOG_WARNING | NJ_LOG_NOTICE | NJ_LOG_INFO,
    NJ_LOG_ALL = 0x1ff
};

void nj_log(enum nj_log_type type, const char *fmt, ...) NJ_PRINTF(2, 3);
/* Cheap test before building an expensive line. */
bool nj_log_wants(enum nj_log_type type);

/* Called with every line that has a "topic" destination; set before the threads start. */
typedef void (*nj_log_topic_fn)(void *arg, enum nj_log_type type, const char *line, size_t len);

struct nj_log_settings {
    unsigned types; /* bits of enum nj_log_type */
    bool to_stderr;
    bool to_stdout;
    bool to_syslog;
    int syslog_facility;     /* 0–7 = local0–7, -1 = daemon */
    const char *syslog_path; /* socket of the daemon; NULL = /dev/log */
    bool to_topic;
    nj_log_topic_fn topic_fn;
    void *topic_arg;
    const char *file; /* path, or NULL */
    bool timestamp;
    const char *timestamp_format; /* strftime, or NULL for Unix seconds */
};

/* Replaces all settings at once; on an error (the file cannot be opened) the old ones stay. */
enum nj_err nj_log_configure(const struct nj_log_settings *settings) NJ_NODISCARD;
/* Replaces the types alone, until the next nj_log_configure. Any thread. */
void nj_log_set_types(unsigned types);
unsigned nj_log_types(void);
/* Opens the log file again, for log rotation. */
enum nj_err nj_log_reopen(void) NJ_NODISCARD;
/* Lines dropped because no destination took them. */
uint64_t nj_log_dropped(void);

#endif
