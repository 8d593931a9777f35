/* A broker's configuration as the broker itself would load it, without starting one: what check and
 * explain look at. */
#ifndef NJ_APPS_NJ_SITE_H
#define NJ_APPS_NJ_SITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "config/settings.h"

/* What was said while loading. */
struct nj_site_line {
    enum nj_log_type type;
    char *text; /* without "Error: " and the like, without a full stop */
    char *file; /* NULL = nowhere */
    unsigned line;
};

struct nj_site_said {
    struct nj_site_line *lines;
    size_t count;
};

/* From here on log lines are collected instead of printed; one collector at a time. */
void nj_site_listen(struct nj_site_said *said);
void nj_site_said_fini(struct nj_site_said *said);

enum nj_site_mode {
    NJ_SITE_AS_FILE, /* as the file's `compat` line says, else native */
    NJ_SITE_NATIVE,
    NJ_SITE_COMPAT
};

/* The value of --compat, which may be missing (NULL). False: it was said what it takes. */
bool nj_site_take_mode(const char *value, enum nj_site_mode *mode);

/* NULL: it was said why. The caller's, for nj_settings_free. */
struct nj_settings *nj_site_load(const char *path, enum nj_site_mode mode);

struct nj_policy;
/* The files of all listeners, dynamic security included. NULL: it was said why. */
struct nj_policy *nj_site_policy(const struct nj_settings *settings);

/* "port 1883", "port 8883 on 127.0.0.1", "unix socket /x". Returns out. */
const char *nj_site_listener_name(const struct nj_listener_settings *listener, char *out,
                                  size_t size);

#endif
