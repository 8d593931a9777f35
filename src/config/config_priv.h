/* Shared by the files of this room: the option table and the parser's state. */
#ifndef NJ_CONFIG_CONFIG_PRIV_H
#define NJ_CONFIG_CONFIG_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"

enum nj_option_kind {
    NJ_OPT_BOOL,    /* bool */
    NJ_OPT_TRI,     /* enum nj_tristate */
    NJ_OPT_INT,     /* int, uint32_t or uint64_t, by `size` */
    NJ_OPT_STRING,  /* char *: the rest of the line */
    NJ_OPT_CUSTOM,  /* parse() */
    NJ_OPT_IGNORED, /* accepted without effect, as the original does */
    NJ_OPT_UNBUILT, /* known, but not available yet: the start ends and says so */
    NJ_OPT_KIND_COUNT
};

enum nj_option_place {
    NJ_PLACE_GLOBAL,
    NJ_PLACE_LISTENER,
    NJ_PLACE_SCOPE, /* global, or of the listener with per_listener_settings */
    NJ_PLACE_BRIDGE,
    NJ_PLACE_PLUGIN
};

enum nj_option_reload {
    NJ_RELOAD_LIVE,
    NJ_RELOAD_RESTART,
    NJ_RELOAD_NONE /* nothing to reload */
};

struct nj_parser;
struct nj_option {
    const char *name;
    uint8_t kind;
    uint8_t place;
    uint8_t reload;
    bool may_repeat;
    size_t offset; /* in nj_settings, nj_listener_settings or nj_scope_settings */
    size_t size;
    int64_t min;
    int64_t max;
    enum nj_err (*parse)(struct nj_parser *parser, const struct nj_option *option, char *value);
    const char *help; /* one sentence with the default */
};

extern const struct nj_option nj_options[];
extern const size_t nj_option_count;

#define NJ_OPTIONS_MAX 320

struct nj_parser {
    struct nj_settings *settings;
    const char *file;
    unsigned line;
    bool is_included;
    struct nj_listener_settings *listener; /* that following lines belong to; NULL = none yet */
    bool in_bridge;
    bool in_plugin;
    const char *plugin; /* file name of the last plugin line */
    char *bridge;       /* name of the last connection line */
    bool bridge_has_address;
    bool bridge_has_topic;
    uint8_t seen[NJ_OPTIONS_MAX];          /* global options met */
    uint8_t seen_listener[NJ_OPTIONS_MAX]; /* of the current listener */
    /* from old-style port and bind_address */
    int default_port;
    char *default_host;
    bool has_default_listener_options;
};

/* Says what is wrong, then where. Always returns NJ_EINVAL. */
enum nj_err nj_parser_fail(struct nj_parser *parser, const char *fmt, ...) NJ_PRINTF(2, 3);
enum nj_err nj_parser_file(struct nj_parser *parser, const char *path) NJ_NODISCARD;
enum nj_err nj_parser_finish(struct nj_parser *parser) NJ_NODISCARD;
/* Whole number within [min, max]; base 10, no sign but '-', no blanks. */
bool nj_parse_number(const char *text, int64_t min, int64_t max, int64_t *out);
char *nj_next_token(char **rest);
struct nj_listener_settings *nj_settings_add_listener(struct nj_settings *settings);

void nj_mode_init(struct nj_mode_settings *mode, bool is_compat);

#endif
