/* The output formats of the subscribing tool: -F, and the JSON of %j and %J. */
#ifndef NJ_APPS_NJ_FORMAT_H
#define NJ_APPS_NJ_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "client/message.h"

/* Is `format` acceptable to nj_format_message? If not, the original's text goes to `err`. */
bool nj_format_check(const char *format, FILE *err);

struct nj_format_options {
    int64_t now_ns; /* wall time of arrival */
    bool is_pretty; /* %j and %J over several lines */
    bool is_compat; /* the original's time stamp and numbers, byte by byte */
    FILE *err;      /* for payloads that are not what the format asks for; NULL = say nothing */
};

/* Appends the message in `format`, which was checked before. NJ_ENOMEM. */
enum nj_err nj_format_message(struct nj_buf *out, const char *format,
                              const struct nj_client_message *message,
                              const struct nj_format_options *options) NJ_NODISCARD;

#endif
