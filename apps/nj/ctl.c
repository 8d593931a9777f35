/* `nj ctl` / mosquitto_ctrl: asks a broker's control APIs. The command line: connection options,
 * then a module, its command, and what that takes. See ctl.h. */
#include "ctl.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "manual.h"

#define GROUP "Connection"

/* Which options of the shared table count here. What they mean that table says. */
static const struct nj_option_text OPTIONS[] = {
    {"-h", "--host", "HOST", NULL, GROUP, "host to connect to (localhost)", 1},
    {"-p", "--port", "PORT", NULL, GROUP, "port (1883; 8883 with TLS)", 1},
    {"-L", "--url", "URL", NULL, GROUP, "mqtt[s]://[user[:password]@]host[:port]", 1},
    {NULL, "--unix", "PATH", "<file>", GROUP, "connect to a unix socket instead", 1},
    {NULL, "--ws", NULL, NULL, GROUP, "WebSocket", 1},
    {"-A", NULL, "ADDRESS", NULL, GROUP, "local address to connect from", 1},
    {NULL, "--proxy", "URL", NULL, GROUP, "socks5h://[user[:password]@]host[:port]", 1},
    {"-u", "--username", "NAME", NULL, GROUP, "user name", 1},
    {"-P", "--pw", "PASSWORD", NULL, GROUP, "password; asked for when there is a user name only",
     1},
    {"-i", "--id", "ID", NULL, GROUP, "client id", 1},
    {"-V", "--protocol-version", "VERSION", "5|311|31|mqttv5|mqttv311|mqttv31", GROUP,
     "5 (default), 311 or 31", 1},
    {"-q", "--qos", "QOS", "0|1|2", GROUP, "QoS of the request (1)", 1},
    {NULL, "--cafile", "FILE", "<file>", "TLS", "trusted CA certificates; turns TLS on", 1},
    {NULL, "--capath", "DIR", "<dir>", "TLS", "directory with CA certificates; turns TLS on", 1},
    {NULL, "--tls-use-os-certs", NULL, NULL, "TLS", "trust the CAs of the operating system", 1},
    {NULL, "--cert", "FILE", "<file>", "TLS", "client certificate", 1},
    {NULL, "--key", "FILE", "<file>", "TLS", "and its private key", 1},
    {NULL, "--keyform", "FORM", "pem|engine", "TLS", "how --key is given (pem)", 1},
    {NULL, "--insecure", NULL, NULL, "TLS", "do not check the host name in the certificate", 1},
    {NULL, "--tls-version", "VERSION", "tlsv1.2|tlsv1.3", "TLS",
     "tlsv1.2 (least, default) or tlsv1.3", 1},
    {NULL, "--ciphers", "LIST", NULL, "TLS", "OpenSSL cipher list", 1},
    {NULL, "--tls-alpn", "NAME", NULL, "TLS", "application protocol to ask for", 1},
    {NULL, "--psk", "HEX", NULL, "TLS", "pre-shared key; turns TLS on", 1},
    {NULL, "--psk-identity", "NAME", NULL, "TLS", "whose key that is", 1},
    {NULL, "--tls-engine", "ENGINE", NULL, "TLS", "OpenSSL engine that holds the key", 1},
    {NULL, "--tls-engine-kpass-sha1", "HEX", NULL, "TLS",
     "SHA-1 of the pass phrase of the key in the engine", 1},
    {"-f", NULL, "FILE", "<file>", "Other", "edit this file of dynamic security, without a broker",
     1},
    {"-o", NULL, "FILE", "<file>", "Other",
     "read options from FILE, one on each line, instead of the\ndefaults file", 1},
    {NULL, "--json", NULL, NULL, "Other", "print answers as JSON", 1},
    {NULL, "--compat-exit", NULL, NULL, "Other",
     "exit with 0 when the broker refuses or does not answer, as the\noriginal does", 1},
    {"-d", "--debug", NULL, NULL, "Other", "show packets", 1},
    {"-v", "--verbose", NULL, NULL, "Other", "without effect, as in the original", 1},
    {NULL, "--quiet", NULL, NULL, "Other", "no error texts about the connection", 1},
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
    {NULL, "--version", NULL, NULL, "Other", "the version", 1},
};
#define OPTION_COUNT (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

static const struct nj_option_text *option(size_t index)
{
    return index < OPTION_COUNT ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_CTL = {
    .word = "ctl",
    .program = "mosquitto_ctrl",
    .summary = "manage a broker that runs",
    .synopsis = {"[options] MODULE COMMAND [words]", "[options]",
                 "[-f FILE] dynsec COMMAND [words]"},
    .description =
        "Asks the control APIs of a broker: dynsec (clients, groups and roles), broker, inspect, "
        "client, nightjar and certificates; each has a `help`. Without a module it reads commands "
        "from standard input.\n\n"
        "For inspect, client, nightjar and certificates the words are KEY=VALUE; a value that is "
        "JSON is taken as such and @FILE is the text of a file.",
    .tool = 1,
    .option = option,
    .words = "dynsec|broker|inspect|client|nightjar|certificates",
    .statuses = {{"0", "done"},
                 {"1", "the broker answered with an error, or could not be reached"},
                 {"3", "the words of the command make no sense"},
                 {"10", "no such module"},
                 {"13", "no such command"},
                 {"27", "no answer within 10 seconds"},
                 {"128+", "the broker refused; the reason code"}},
    .examples = {{"nj ctl dynsec init dynamic-security.json admin",
                  "makes a file with an administrator"},
                 {"nj ctl -u admin dynsec createClient sensor-1",
                  "asks for both passwords and creates a client"},
                 {"nj ctl -u admin nightjar canI 'checks=[{\"username\":\"sensor-1\","
                  "\"action\":\"publish\",\"topic\":\"a/b\"}]'",
                  "asks what a client may do"},
                 {"nj ctl -u admin certificates insertCACertificate listener_id=1 "
                  "file_name=my-ca.crt ca_cert_pem=@my-ca.crt",
                  "trusts one more CA"}},
    .see_also = "nj-passwd(1), nightjar(8)",
};

/* ---- modules ---- */

int nj_ctl_module(struct nj_ctl *ctl, const char *name, int argc, char **argv)
{
    static const struct {
        const char *name;
        const char *api;
    } raw[] = {
        {"nightjar", "nightjar/v1"},
        {"inspect", "cedalo/inspect/v1"},
        {"client", "cedalo/client-control/v1"},
        {"certificates", "certificate-management/v1"},
    };
    if (strcmp(name, "dynsec") == 0) {
        return nj_ctl_dynsec(ctl, argc, argv);
    }
    if (strcmp(name, "broker") == 0) {
        return nj_ctl_broker(ctl, argc, argv);
    }
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        if (strcmp(raw[i].name, name) == 0) {
            return nj_ctl_raw(ctl, raw[i].api, argc, argv);
        }
    }
    fprintf(stderr, "Error: Module '%s' not supported.\n", name);
    if (!ctl->command->is_compat) {
        fprintf(stderr, "There are dynsec, broker, nightjar, inspect, client and certificates.\n");
    }
    return NJ_CTL_NO_MODULE;
}

/* ---- the command line ---- */

static const struct nj_option_text *find_option(const char *arg)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if ((OPTIONS[i].shorts && strcmp(OPTIONS[i].shorts, arg) == 0) ||
            (OPTIONS[i].longs && strcmp(OPTIONS[i].longs, arg) == 0)) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

/* Those that are ours alone. True: it was one. */
static bool take_own(struct nj_ctl *ctl, const char *arg, const char *value)
{
    if (value && strcmp(arg, "-f") == 0) {
        nj_opts_set(&ctl->data_file, value);
    } else if (strcmp(arg, "--json") == 0) {
        ctl->is_json = true;
    } else if (strcmp(arg, "--compat-exit") == 0) {
        ctl->compat_exit = true;
    } else {
        /* -o was read before. */
        return strcmp(arg, "-v") == 0 || strcmp(arg, "--verbose") == 0 || strcmp(arg, "-o") == 0;
    }
    return true;
}

/* A URL without a topic is enough here. */
static void with_topic(const char *value, char *out, size_t size)
{
    const char *host = strstr(value, "://");
    bool has_path = !host || strchr(host + 3, '/') || strncmp(value, "ws", 2) == 0;
    (void)snprintf(out, size, "%s%s", value, has_path ? "" : "/-");
}

static enum nj_opts_result take_option(struct nj_ctl *ctl, const struct nj_option_text *row,
                                       const char *arg, char *value)
{
    char url[2048];
    char name[64];
    if (take_own(ctl, arg, value)) {
        return NJ_OPTS_OK;
    }
    if (value && row->shorts && strcmp(row->shorts, "-L") == 0) {
        with_topic(value, url, sizeof(url));
        value = url;
    }
    (void)snprintf(name, sizeof(name), "%s", arg);
    char *pair[] = {(char *)"", name, value, NULL};
    return nj_opts_read_args(&ctl->opts, value ? 3 : 2, pair);
}

/* An option at the end that wants a value: the shared table has the words for its own. */
static enum nj_opts_result say_missing(struct nj_ctl *ctl, char *arg)
{
    char *alone[] = {(char *)"", arg, NULL};
    if (arg && strcmp(arg, "-f") == 0) {
        fprintf(ctl->opts.err, "Error: -f argument given but no file specified.\n\n");
        return NJ_OPTS_BAD;
    }
    return nj_opts_read_args(&ctl->opts, 2, alone);
}

/* Reads up to the module; *at is its place. */
static enum nj_opts_result read_options(struct nj_ctl *ctl, int argc, char **argv, int *at)
{
    int i = 1;
    for (; i < argc; i++) {
        char plain[64];
        const char *arg = nj_opts_plain_dashes(argv[i], plain, sizeof(plain));
        if (arg[0] != '-') {
            break;
        }
        const struct nj_option_text *row = find_option(arg);
        if (!row) {
            fprintf(ctl->opts.err, "Error: Unknown option '%s'.\n", argv[i]);
            return NJ_OPTS_BAD;
        }
        if (row->value && i + 1 == argc) {
            return say_missing(ctl, argv[i]);
        }
        enum nj_opts_result result = take_option(ctl, row, arg, row->value ? argv[++i] : NULL);
        if (result != NJ_OPTS_OK) {
            return result;
        }
    }
    *at = i;
    return NJ_OPTS_OK;
}

static const char *options_file(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "-o") == 0) {
            return argv[i + 1];
        }
    }
    return NULL;
}

/* $XDG_CONFIG_HOME or ~/.config, and there `mosquitto_ctrl` or `nightjar/ctl`. */
enum nj_opts_result nj_ctl_read_defaults(struct nj_ctl *ctl)
{
    const char *directory = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char path[4096];
    if (!directory && !home) {
        return NJ_OPTS_OK;
    }
    (void)snprintf(path, sizeof(path), "%s%s/%s", directory ? directory : home,
                   directory ? "" : "/.config",
                   ctl->command->is_compat ? ctl->command->program : "nightjar/ctl");
    FILE *file = fopen(path, "re");
    if (!file) {
        return NJ_OPTS_OK;
    }
    (void)fclose(file);
    return nj_opts_read_file(&ctl->opts, path);
}

static enum nj_opts_result load(struct nj_ctl *ctl, int argc, char **argv, int *at)
{
    const char *path = options_file(argc, argv);
    struct nj_opts_held held;
    nj_opts_hold_errors(&ctl->opts, &held);
    enum nj_opts_result result =
        path ? nj_opts_read_file(&ctl->opts, path) : nj_ctl_read_defaults(ctl);
    if (result == NJ_OPTS_OK) {
        result = read_options(ctl, argc, argv, at);
    }
    if (result == NJ_OPTS_OK) {
        result = nj_opts_check(&ctl->opts);
    }
    nj_opts_tell_errors(&ctl->opts, &held);
    return result;
}

static int answer(const struct nj_command *command, enum nj_opts_result result)
{
    if (result == NJ_OPTS_VERSION) {
        nj_manual_print_version(command, stdout);
    } else if (result == NJ_OPTS_HELP || command->is_compat) {
        nj_manual_print_usage(&NJ_MANUAL_CTL, command, stdout);
    } else {
        (void)nj_manual_point_to_help(command);
    }
    return result == NJ_OPTS_BAD || command->is_compat ? NJ_CTL_FAILED : 0;
}

/* Passwords were in it. */
static void wipe_and_free(void *ptr)
{
    if (ptr) {
        nj_wipe(ptr, malloc_usable_size(ptr));
        free(ptr);
    }
}

int nj_cmd_ctl(const struct nj_command *command, int argc, char **argv)
{
    struct nj_ctl ctl = {.command = command, .compat_exit = command->is_compat};
    int at = 1;
    json_set_alloc_funcs(malloc, wipe_and_free);
    nj_opts_init(&ctl.opts, command, NJ_TOOL_RR, stderr); /* MQTT 5 unless told */
    ctl.link.opts = &ctl.opts;
    ctl.opts.qos = 1;
    enum nj_opts_result result = load(&ctl, argc, argv, &at);
    int status;
    if (result != NJ_OPTS_OK) {
        status = answer(command, result);
    } else if (at == argc && (argc == 1 || !command->is_compat)) {
        status = nj_ctl_shell(&ctl);
    } else if (at + 1 >= argc && command->is_compat) {
        status = answer(command, NJ_OPTS_BAD);
    } else {
        status = nj_ctl_module(&ctl, argv[at], argc - at - 1, argv + at + 1);
    }
    nj_ctl_disconnect(&ctl);
    nj_free(ctl.data_file);
    nj_opts_fini(&ctl.opts);
    return status;
}
