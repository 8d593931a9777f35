/* Shared by the files of this room: the option table and the parser's state. */
#ifndef NJ_CONFIG_CONFIG_PRIV_H
#define NJ_CONFIG_CONFIG_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "config/settings.h"

/* How a value is written and kept. An option with a field (size != 0) and a parse function is kept
 * by its kind, but read by the function. */
enum nj_option_kind {
    NJ_OPT_CUSTOM,  /* no field that this table knows: parse() does everything */
    NJ_OPT_BOOL,    /* bool */
    NJ_OPT_TRI,     /* enum nj_tristate */
    NJ_OPT_INT,     /* int, uint32_t or uint64_t, by `size` */
    NJ_OPT_WORD,    /* an enum: `min` + the place in `words` */
    NJ_OPT_STRING,  /* char *: the rest of the line */
    NJ_OPT_IGNORED, /* accepted without effect, as the original does */
    NJ_OPT_KIND_COUNT
};

enum nj_option_place {
    NJ_PLACE_GLOBAL,
    NJ_PLACE_LISTENER,
    NJ_PLACE_SCOPE, /* global, or of the listener with per_listener_settings */
    NJ_PLACE_BRIDGE,
    NJ_PLACE_PLUGIN
};

/* What a listener option wants to have been there before. */
enum nj_option_needs {
    NJ_NEEDS_LISTENER, /* a `listener`, `port` or `bind_address` line */
    NJ_NEEDS_DEFAULT,  /* the same; where there is none, the default listener comes into being */
    NJ_NEEDS_EXPLICIT  /* a `listener` line */
};

enum nj_option_reload {
    NJ_RELOAD_LIVE,
    NJ_RELOAD_RESTART,
    NJ_RELOAD_NONE /* nothing to reload */
};

enum nj_option_flag {
    NJ_OPTION_REPEATS = 1 << 0,
    NJ_OPTION_DEPRECATED = 1 << 1,
    NJ_OPTION_UNBUILT = 1 << 2, /* checked, then refused unless it says what is so anyway */
    NJ_OPTION_CLAMPS = 1 << 3,  /* too low a value is raised to `min`, with a notice */
    NJ_OPTION_OWN = 1 << 4,     /* not Mosquitto's */
    NJ_OPTION_MAIN_FILE = 1 << 5
};

struct nj_parser;
struct nj_option {
    const char *name;
    uint8_t kind;
    uint8_t place;
    uint8_t needs;
    uint8_t reload;
    uint8_t flags;
    size_t offset; /* in the struct of its place */
    size_t size;
    int64_t min;
    int64_t max;
    const char *words;    /* "a|b|c" */
    const char *def;      /* the default as a file would say it; NULL = nothing */
    const char *alias;    /* the option that this one is another name of */
    const char *label;    /* name in error texts, where the original's is another one */
    const char *empty;    /* the original's text for a missing value, if it has its own */
    const char *too_low;  /* the original's text for a number below min, if it has its own */
    const char *too_high; /* and above max */
    enum nj_err (*parse)(struct nj_parser *parser, const struct nj_option *option, char *value);
    const char *help; /* one sentence */
};

extern const struct nj_option nj_options[];
extern const size_t nj_option_count;

#define NJ_OPTIONS_MAX   256
#define NJ_LISTENERS_MAX 1000
#define NJ_CONF_FILE_MAX ((size_t)16 << 20)
#define NJ_VALUE_MAX     65535u

enum nj_plugin_kind {
    NJ_PLUGIN_NONE,
    NJ_PLUGIN_ACL_FILE,
    NJ_PLUGIN_PASSWORD_FILE,
    NJ_PLUGIN_DYNSEC,
    NJ_PLUGIN_HA,
    NJ_PLUGIN_CERTIFICATES,
    NJ_PLUGIN_STORE,
    NJ_PLUGIN_OTHER /* refused at the end; its options are anybody's guess */
};

/* What following lines of the same file belong to. */
struct nj_context {
    int listener; /* place in settings->listeners; -1 = none yet */
    int bridge;   /* place in settings->bridges; -1 = none yet */
    enum nj_plugin_kind plugin;
    bool plugin_is_global;
    bool plugin_is_complete;
    bool seen_listener[NJ_OPTIONS_MAX];
    bool seen_bridge[NJ_OPTIONS_MAX];
};

/* An error that is told at the end, if at all. */
struct nj_deferred {
    char *text; /* NULL = none */
    char *place;
};

struct nj_parser {
    struct nj_settings *settings;
    const char *file;
    unsigned line; /* 0 = nowhere in a file */
    bool is_included;
    struct nj_context context;
    bool seen[NJ_OPTIONS_MAX]; /* global options met */
    int default_listener;      /* place in settings->listeners; -1 = none */
    bool default_is_asked_for; /* by `port` or `bind_address` */
    bool is_public;            /* a `listener`, `port` or `bind_address` line was met */
    char **plugin_names;       /* of plugin_load */
    size_t plugin_name_count;
    char error[NJ_CONFIG_ERROR_MAX]; /* the first one */
    struct nj_deferred refusal;      /* what is not built: told when nothing else is wrong */
    struct nj_deferred misplaced;    /* what brought the default listener into being */
};

/* parser.c. Says what is wrong, then where. Always returns NJ_EINVAL. */
enum nj_err nj_parser_fail(struct nj_parser *parser, const char *fmt, ...) NJ_PRINTF(2, 3);
/* "Error: Invalid 'X' value (V)." */
enum nj_err nj_parser_invalid(struct nj_parser *parser, const struct nj_option *option,
                              const char *value);
enum nj_err nj_parser_empty(struct nj_parser *parser, const char *name);
/* Remembers that an option is not built; the parser goes on, so that real mistakes come first. */
void nj_parser_defer(const struct nj_parser *parser, struct nj_deferred *deferred, const char *fmt,
                     ...) NJ_PRINTF(3, 4);
enum nj_err nj_parser_fail_deferred(struct nj_parser *parser, const struct nj_deferred *deferred);
void nj_parser_refuse(struct nj_parser *parser, const char *name, const char *why);
enum nj_err nj_parser_file(struct nj_parser *parser, const char *path) NJ_NODISCARD;
const struct nj_option *nj_option_find(const char *name);
enum nj_err nj_parser_mark_seen(struct nj_parser *parser, const struct nj_option *option)
    NJ_NODISCARD;
/* The default listener, made if need be, becomes the one that following lines belong to. */
void nj_parser_use_default_listener(struct nj_parser *parser);
struct nj_scope_settings *nj_parser_scope(struct nj_parser *parser);
/* Cuts the first word off *rest, which then begins with the next one. NULL when none is left. */
char *nj_next_token(char **rest);
/* include.c. The *.conf files of a directory in the order A a B b. */
enum nj_err nj_parser_include(struct nj_parser *parser, const char *path) NJ_NODISCARD;
/* finish.c. What can only be checked when everything was read. */
enum nj_err nj_parser_finish(struct nj_parser *parser) NJ_NODISCARD;
enum nj_err nj_parser_plugin_done(struct nj_parser *parser) NJ_NODISCARD;

/* value.c: options with a field. `base` is the struct of the option's place. */
enum nj_number {
    NJ_NUMBER_OK,
    NJ_NUMBER_BAD,
    NJ_NUMBER_HUGE
};
/* Base 10, no sign but '-', no blanks, no leading zeros. */
enum nj_number nj_parse_number(const char *text, int64_t *out);
int nj_parse_bool(const char *text);                    /* 0, 1, or -1 */
int nj_parse_word(const char *text, const char *words); /* place in "a|b|c", or -1 */
enum nj_err nj_option_set(struct nj_parser *parser, const struct nj_option *option, void *base,
                          const char *value);
/* Sets the defaults of every option of a place. */
void nj_options_init(enum nj_option_place place, void *base);
void nj_options_fini(enum nj_option_place place, void *base);
bool nj_option_is_equal(const struct nj_option *option, const void *a, const void *b);
/* The old value is freed; strings are copied. */
void nj_option_copy(const struct nj_option *option, void *to, const void *from);
/* As a file would say it; "" for nothing. */
void nj_option_print(const struct nj_option *option, const void *base, char *out, size_t size);
void nj_set_text(char **field, const char *value);

/* settings.c */
struct nj_settings *nj_settings_new(bool is_compat);
struct nj_listener_settings *nj_settings_add_listener(struct nj_settings *settings);
struct nj_bridge_settings *nj_settings_add_bridge(struct nj_settings *settings);
void nj_listener_settings_fini(struct nj_listener_settings *listener);
/* Over a zeroed or an older one. */
void nj_listener_settings_copy(struct nj_listener_settings *to,
                               const struct nj_listener_settings *from);
void nj_listener_settings_copy_origins(struct nj_listener_settings *to,
                                       const struct nj_listener_settings *from);
void nj_listener_settings_copy_trusted(struct nj_listener_settings *to,
                                       const struct nj_listener_settings *from);
void nj_bridge_settings_fini(struct nj_bridge_settings *bridge);
bool nj_listener_is_same_address(const struct nj_listener_settings *a,
                                 const struct nj_listener_settings *b);
/* "port 1883 of 127.0.0.1", "unix socket /x": for messages. */
const char *nj_listener_text(const struct nj_listener_settings *listener, char *out, size_t size);

/* mode.c */
void nj_mode_init(struct nj_mode_settings *mode, bool is_compat);
/* Fills settings->differences. */
void nj_mode_note_differences(struct nj_settings *settings);

/* args.c */
#define NJ_PORTS_MAX 10
struct nj_command_line {
    const char *config_file;
    const char *keylog;
    int ports[NJ_PORTS_MAX];
    int port_count;
    int compat;  /* -1 = by the program's name or the file */
    int recover; /* 0 not, 1 last, 2 json, 3 journal */
    bool is_daemon;
    bool is_quiet;
    bool is_verbose;
    bool is_test;
    bool wants_help;
    bool wants_version;
};
/* Errors go to the log and, the first one, to `error`. */
enum nj_err nj_args_read(int argc, char **argv, struct nj_command_line *line, char *error);
void nj_args_print_usage(bool is_compat);

/* load.c. Parses the file of settings->config_file and applies what depends on several options. */
enum nj_err nj_config_parse(struct nj_settings *settings, char *error) NJ_NODISCARD;
void nj_config_apply(struct nj_settings *settings);
/* What the file's `compat` line says: 1 mosquitto, 0 none, -1 nothing. */
int nj_config_compat_line(const char *path);

#endif
