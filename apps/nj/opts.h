/* The options that the publishing and subscribing tools share: from a defaults file, an options
 * file (-o) and the command line into one struct, checked.
 *
 * opts.c reads options by one table, opts_url.c takes -L and --proxy apart, opts_prop.c reads -D,
 * opts_file.c the files, opts_check.c what has to hold between options. Texts of errors are the
 * original's; they go to the stream given at init, so that tests can read them. */
#ifndef NJ_APPS_NJ_OPTS_H
#define NJ_APPS_NJ_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "command.h"
#include "mqtt/types.h"

/* Bit values: which tools know an option. */
enum nj_tool {
    NJ_TOOL_PUB = 1 << 0,
    NJ_TOOL_SUB = 1 << 1,
    NJ_TOOL_RR = 1 << 2
};

enum nj_pub_mode {
    NJ_PUB_NONE,
    NJ_PUB_MESSAGE,     /* -m */
    NJ_PUB_FILE,        /* -f */
    NJ_PUB_STDIN_LINES, /* -l */
    NJ_PUB_STDIN_FILE,  /* -s */
    NJ_PUB_NULL         /* -n */
};

/* Which packet a property given by -D goes into. */
enum nj_opts_packet {
    NJ_OPTS_CONNECT,
    NJ_OPTS_PUBLISH,
    NJ_OPTS_SUBSCRIBE,
    NJ_OPTS_UNSUBSCRIBE,
    NJ_OPTS_DISCONNECT,
    NJ_OPTS_WILL,
    NJ_OPTS_PACKET_COUNT
};

enum nj_opts_prop_type {
    NJ_OPTS_BYTE,
    NJ_OPTS_INT16,
    NJ_OPTS_INT32,
    NJ_OPTS_VARINT,
    NJ_OPTS_BINARY,
    NJ_OPTS_STRING,
    NJ_OPTS_STRING_PAIR
};

struct nj_opts_prop {
    uint8_t id;
    enum nj_opts_prop_type type;
    uint32_t number;
    char *name; /* pairs only */
    char *text; /* strings, binary, value of a pair */
};

struct nj_opts_props {
    struct nj_opts_prop *items;
    size_t count;
};

struct nj_opts_list {
    char **items;
    size_t count;
};

struct nj_opts_proxy {
    char *host;
    int port;
    char *username;
    char *password;
};

struct nj_opts_tls {
    char *cafile;
    char *capath;
    char *certfile;
    char *keyfile;
    char *keyform;
    char *ciphers;
    char *version;
    char *alpn;
    char *engine;
    char *engine_kpass_sha1;
    char *keylog;
    char *psk;
    char *psk_identity;
    bool is_insecure;
    bool use_os_certs;
    bool no_tls;
};

struct nj_opts_will {
    char *topic;
    char *payload;
    int qos;
    bool retain;
};

struct nj_opts {
    const struct nj_command *command;
    enum nj_tool tool;
    FILE *err;

    /* connection */
    char *host;
    int port; /* -1 = by transport */
    char *unix_path;
    char *bind_address;
    char *ws_path; /* from a ws:// URL, or NULL */
    bool is_ws;
    bool use_srv;
    bool nodelay;
    struct nj_opts_proxy proxy;
    struct nj_opts_tls tls;

    /* protocol */
    enum nj_mqtt_version version;
    char *id;
    char *id_prefix;
    char *username;
    char *password;
    int keepalive;
    bool clean_session;
    int64_t session_expiry; /* -1 = not given */
    int qos;
    bool retain;
    int max_inflight; /* -1 = not given */
    struct nj_opts_will will;
    struct nj_opts_props props[NJ_OPTS_PACKET_COUNT];

    /* what is said while running */
    bool is_debug;
    bool is_quiet;

    /* publishing */
    struct nj_opts_list topics; /* publishing uses the first one only */
    enum nj_pub_mode mode;
    char *message; /* -m */
    char *file;    /* -f */
    int repeat_count;
    uint64_t repeat_delay_us;

    /* subscribing */
    struct nj_opts_list filters_out;
    struct nj_opts_list unsubscribes;
    char *format;
    char *response_topic;
    int message_count;   /* 0 = no end */
    int timeout_s;       /* 0 = none */
    int random_filter;   /* of 10000 */
    int retain_handling; /* 0, 1, 2 as on the wire */
    bool retain_as_published;
    bool no_retain;
    bool retained_only;
    bool remove_retained;
    bool exit_after_sub;
    bool is_verbose;
    bool is_watch;
    bool is_message_rate;
    bool is_pretty;
    bool no_eol;

    /* asking and waiting */
    bool is_latency;
};

enum nj_opts_result {
    NJ_OPTS_OK,
    NJ_OPTS_BAD,  /* a text was written */
    NJ_OPTS_HELP, /* --help was given */
    NJ_OPTS_VERSION
};

void nj_opts_init(struct nj_opts *opts, const struct nj_command *command, enum nj_tool tool,
                  FILE *err);
/* Wipes passwords and keys. */
void nj_opts_fini(struct nj_opts *opts);

/* The whole of it: the file given with -o, or else the defaults file; the command line; the checks
 * between options. argv[0] is skipped. */
enum nj_opts_result nj_opts_load(struct nj_opts *opts, int argc, char **argv);

/* Errors between these two come out at the end of the second one, and natively with one line end,
 * not with the two that some of the original's texts have. nj_opts_load does it by itself. */
struct nj_opts_held {
    FILE *err;
    char *text;
    size_t len;
};
void nj_opts_hold_errors(struct nj_opts *opts, struct nj_opts_held *held);
void nj_opts_tell_errors(struct nj_opts *opts, struct nj_opts_held *held);

/* The parts, for nj_opts_load and tests. */
enum nj_opts_result nj_opts_read_args(struct nj_opts *opts, int argc, char **argv);
enum nj_opts_result nj_opts_read_file(struct nj_opts *opts, const char *path);
/* The defaults file; that there is none is no error. */
enum nj_opts_result nj_opts_read_defaults(struct nj_opts *opts);
enum nj_opts_result nj_opts_check(struct nj_opts *opts);
/* True when this connection uses TLS. */
bool nj_opts_use_tls(const struct nj_opts *opts);
/* The port to connect to. */
int nj_opts_port(const struct nj_opts *opts);

enum nj_opts_result nj_opts_read_url(struct nj_opts *opts, const char *url);
enum nj_opts_result nj_opts_read_proxy(struct nj_opts *opts, const char *url);
/* argv[0] is the packet's name. *used: how many of the arguments belong to the property. */
enum nj_opts_result nj_opts_read_prop(struct nj_opts *opts, int argc, char **argv, int *used);

/* The texts of option `index`, in the order of the help; NULL behind the last one. */
struct nj_option_text;
const struct nj_option_text *nj_opts_text(size_t index);

/* An option as pasted from a web page: a leading en dash, em dash or minus sign becomes `-` before
 * one letter and `--` before more. Returns `arg` itself when it is fine, else `out`. */
const char *nj_opts_plain_dashes(const char *arg, char *out, size_t out_size);

void nj_opts_set(char **slot, const char *value);
void nj_opts_set_secret(char **slot, const char *value);
void nj_opts_list_add(struct nj_opts_list *list, const char *value);

/* Why a filter or topic is bad is not said; the text of the original names the whole of it. */
bool nj_opts_is_utf8(const char *text);
bool nj_opts_is_topic(const char *text);
bool nj_opts_is_filter(const char *text);

#endif
