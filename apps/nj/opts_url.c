/* -L and --proxy: what a URL says becomes the single options. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "opts.h"

/* [user[:password]@]host[:port], all NULL or -1 when absent. Views into a scratch copy. */
struct authority {
    char *username;
    char *password;
    char *host;
    char *port;
};

/* Cuts `text` into its parts, in place. False: there is no host. */
static bool split_authority(char *text, struct authority *out)
{
    *out = (struct authority){0};
    char *at = strrchr(text, '@');
    char *host = text;
    if (at != NULL) {
        *at = '\0';
        host = at + 1;
        out->username = text;
        char *colon = strchr(text, ':');
        if (colon != NULL) {
            *colon = '\0';
            out->password = colon + 1;
        }
    }
    if (host[0] == '[') {
        char *end = strchr(host, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        out->port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        host++;
    } else {
        char *colon = strchr(host, ':');
        if (colon != NULL) {
            *colon = '\0';
            out->port = colon + 1;
        }
    }
    out->host = host;
    return host[0] != '\0';
}

static bool read_port(const char *text, int *out)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > 65535) {
        return false;
    }
    *out = (int)n;
    return true;
}

/* Decodes %XX in place; a NUL stays encoded, because it could not be told from the end. */
static void percent_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0';) {
        if (in[0] == '%' && isxdigit((unsigned char)in[1]) && isxdigit((unsigned char)in[2]) &&
            !(in[1] == '0' && in[2] == '0')) {
            const char digits[3] = {in[1], in[2], '\0'};
            *out++ = (char)strtol(digits, NULL, 16);
            in += 3;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

struct scheme {
    const char *prefix;
    bool is_ws;
    bool is_tls;
};

static const struct scheme *find_scheme(const char *url)
{
    static const struct scheme SCHEMES[] = {
        {"mqtt://", false, false},
        {"mqtts://", false, true},
        {"ws://", true, false},
        {"wss://", true, true},
    };
    for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(SCHEMES[0]); i++) {
        if (strncasecmp(url, SCHEMES[i].prefix, strlen(SCHEMES[i].prefix)) == 0) {
            return &SCHEMES[i];
        }
    }
    return NULL;
}

/* What comes behind the host: a topic, or for WebSocket the path of the endpoint. */
static enum nj_opts_result take_path(struct nj_opts *opts, const struct scheme *scheme,
                                     const char *path)
{
    if (scheme->is_ws) {
        if (path[0] != '\0') {
            char *full = nj_alloc(strlen(path) + 2);
            full[0] = '/';
            memcpy(full + 1, path, strlen(path) + 1);
            nj_free(opts->ws_path);
            opts->ws_path = full;
        }
        return NJ_OPTS_OK;
    }
    if (path[0] == '\0') {
        return NJ_OPTS_OK;
    }
    char *argv[] = {NULL, (char[]){"-t"}, (char *)path, NULL};
    return nj_opts_read_args(opts, 3, argv);
}

static enum nj_opts_result take_url(struct nj_opts *opts, const struct scheme *scheme, char *rest)
{
    char *slash = strchr(rest, '/');
    if (slash == NULL && !scheme->is_ws) {
        fprintf(opts->err, "Error: Invalid URL for -L argument specified - topic missing.\n");
        return NJ_OPTS_BAD;
    }
    const char *path = "";
    if (slash != NULL) {
        *slash = '\0';
        path = slash + 1;
    }
    struct authority authority;
    if (!split_authority(rest, &authority)) {
        fprintf(opts->err, "Error: Invalid URL for -L argument specified - host missing.\n");
        return NJ_OPTS_BAD;
    }
    int port = scheme->is_ws ? (scheme->is_tls ? 443 : 80) : (scheme->is_tls ? 8883 : 1883);
    if (authority.port != NULL && !read_port(authority.port, &port)) {
        fprintf(opts->err, "Error: Invalid port given: %s\n", authority.port);
        return NJ_OPTS_BAD;
    }
    if (!opts->command->is_compat) {
        if (authority.username != NULL) {
            percent_decode(authority.username);
        }
        if (authority.password != NULL) {
            percent_decode(authority.password);
        }
    }
    nj_opts_set(&opts->host, authority.host);
    opts->port = port;
    opts->is_ws = opts->is_ws || scheme->is_ws;
    opts->tls.use_os_certs = opts->tls.use_os_certs || scheme->is_tls;
    if (authority.username != NULL) {
        nj_opts_set(&opts->username, authority.username);
    }
    if (authority.password != NULL) {
        nj_opts_set_secret(&opts->password, authority.password);
    }
    return take_path(opts, scheme, path);
}

enum nj_opts_result nj_opts_read_url(struct nj_opts *opts, const char *url)
{
    const struct scheme *scheme = find_scheme(url);
    if (scheme == NULL) {
        fprintf(opts->err, "Error: unsupported URL scheme.\n\n");
        return NJ_OPTS_BAD;
    }
    size_t size = strlen(url) + 1;
    char *scratch = nj_strdup(url);
    enum nj_opts_result result = take_url(opts, scheme, scratch + strlen(scheme->prefix));
    nj_free_secret(scratch, size);
    return result;
}

static enum nj_opts_result take_proxy(struct nj_opts *opts, char *rest)
{
    struct authority authority;
    if (!split_authority(rest, &authority) || strchr(authority.host, '/') != NULL) {
        fprintf(opts->err, "Error: Invalid proxy.\n");
        return NJ_OPTS_BAD;
    }
    int port = 1080;
    if (authority.port != NULL && !read_port(authority.port, &port)) {
        fprintf(opts->err, "Error: Invalid proxy port %s\n", authority.port);
        return NJ_OPTS_BAD;
    }
    nj_opts_set(&opts->proxy.host, authority.host);
    opts->proxy.port = port;
    if (authority.username != NULL) {
        percent_decode(authority.username);
        nj_opts_set(&opts->proxy.username, authority.username);
    }
    if (authority.password != NULL) {
        percent_decode(authority.password);
        nj_opts_set_secret(&opts->proxy.password, authority.password);
    }
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opts_read_proxy(struct nj_opts *opts, const char *url)
{
    static const char PREFIX[] = "socks5h://";
    if (strncmp(url, PREFIX, sizeof(PREFIX) - 1) != 0) {
        fprintf(opts->err, "Error: Unsupported proxy protocol: %s\n", url);
        return NJ_OPTS_BAD;
    }
    size_t size = strlen(url) + 1;
    char *scratch = nj_strdup(url);
    enum nj_opts_result result = take_proxy(opts, scratch + sizeof(PREFIX) - 1);
    nj_free_secret(scratch, size);
    return result;
}
