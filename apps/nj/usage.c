/* See usage.h. */
#include "usage.h"

struct help_row {
    unsigned tools;
    const char *option; /* NULL = a heading */
    const char *text;
};

#define BOTH (NJ_TOOL_PUB | NJ_TOOL_SUB)

static const struct help_row ROWS[] = {
    {BOTH, NULL, "Broker"},
    {BOTH, "-h, --host HOST", "host to connect to (localhost)"},
    {BOTH, "-p, --port PORT", "port (1883; 8883 with TLS)"},
    {BOTH, "-L, --url URL", "all in one: mqtt[s]://[user[:password]@]host[:port]/topic"},
    {BOTH, "", "or ws[s]://[user[:password]@]host[:port]/path"},
    {BOTH, "--unix PATH", "connect to a unix socket instead"},
    {BOTH, "--ws", "WebSocket"},
    {BOTH, "-A ADDRESS", "local address to connect from"},
    {BOTH, "--proxy URL", "socks5h://[user[:password]@]host[:port]"},
    {BOTH, "--nodelay", "send small packets at once (always on)"},
    {BOTH, NULL, "Identity"},
    {BOTH, "-u, --username NAME", "user name"},
    {BOTH, "-P, --pw PASSWORD", "password (better in a file: see -o)"},
    {BOTH, "-i, --id ID", "client id"},
    {BOTH, "-I, --id-prefix PREFIX", "client id made of PREFIX and the process id"},
    {BOTH, NULL, "TLS"},
    {BOTH, "--cafile FILE", "trusted CA certificates, turns TLS on"},
    {BOTH, "--capath DIR", "directory with CA certificates (openssl rehash)"},
    {BOTH, "--tls-use-os-certs", "trust the CAs of the operating system (default on port 8883)"},
    {BOTH, "--cert FILE, --key FILE", "client certificate and its key"},
    {BOTH, "--insecure", "do not check the host name in the certificate"},
    {BOTH, "--tls-version VERSION", "tlsv1.2 (least, default) or tlsv1.3"},
    {BOTH, "--ciphers LIST", "OpenSSL cipher list"},
    {BOTH, "--tls-alpn NAME", "application protocol to ask for"},
    {BOTH, "--tls-keylog FILE", "write session secrets for traffic analysis"},
    {BOTH, "--no-tls", "no TLS, not even on port 8883"},
    {BOTH, "--psk, --psk-identity, --tls-engine, --keyform engine", "known, not available here"},
    {BOTH, NULL, "Protocol"},
    {BOTH, "-V, --protocol-version V", "5, 311 (default) or 31"},
    {BOTH, "-k, --keepalive SECONDS", "5 to 65535 (60)"},
    {BOTH, "-c, --disable-clean-session", "keep the session on the broker (needs -i)"},
    {BOTH, "-x SECONDS", "session expiry (5)"},
    {BOTH, "-M COUNT", "unacknowledged messages at once (20)"},
    {BOTH, "-D, --property PACKET NAME VALUE", "MQTT 5 property; user-property NAME VALUE"},
    {BOTH, "--will-topic TOPIC", "will; with --will-payload, --will-qos, --will-retain"},
    {NJ_TOOL_PUB, NULL, "Message"},
    {NJ_TOOL_PUB, "-t, --topic TOPIC", "topic to publish to"},
    {NJ_TOOL_PUB, "-m, --message TEXT", "payload"},
    {NJ_TOOL_PUB, "-f, --file FILE", "payload from a file"},
    {NJ_TOOL_PUB, "-s, --stdin-file", "payload is all of standard input"},
    {NJ_TOOL_PUB, "-l, --stdin-line", "one message per line of standard input"},
    {NJ_TOOL_PUB, "-n, --null-message", "empty payload"},
    {NJ_TOOL_PUB, "-q, --qos QOS", "0 (default), 1 or 2"},
    {NJ_TOOL_PUB, "-r, --retain", "retain the message"},
    {NJ_TOOL_PUB, "--repeat COUNT", "publish it COUNT times"},
    {NJ_TOOL_PUB, "--repeat-delay SECONDS", "and wait in between"},
    {NJ_TOOL_SUB, NULL, "Subscription"},
    {NJ_TOOL_SUB, "-t, --topic FILTER", "subscribe to (repeatable)"},
    {NJ_TOOL_SUB, "-T, --filter-out FILTER", "but do not show these (repeatable)"},
    {NJ_TOOL_SUB, "-U, --unsubscribe FILTER", "unsubscribe from (repeatable)"},
    {NJ_TOOL_SUB, "-q, --qos QOS", "0 (default), 1 or 2"},
    {NJ_TOOL_SUB, "-R", "do not show retained messages"},
    {NJ_TOOL_SUB, "--retained-only", "show retained ones only, end at the first other one"},
    {NJ_TOOL_SUB, "--remove-retained", "delete retained messages that arrive"},
    {NJ_TOOL_SUB, "--retain-as-published", "see the retain flag as it was published (5)"},
    {NJ_TOOL_SUB, "--retain-handling WHEN", "always, new or never: retained messages wanted (5)"},
    {NJ_TOOL_SUB, NULL, "End"},
    {NJ_TOOL_SUB, "-C COUNT", "after COUNT messages"},
    {NJ_TOOL_SUB, "-W SECONDS", "after SECONDS, with status 27"},
    {NJ_TOOL_SUB, "-E", "when the subscriptions are acknowledged"},
    {NJ_TOOL_SUB, NULL, "Output"},
    {NJ_TOOL_SUB, "-v, --verbose", "topic before the payload"},
    {NJ_TOOL_SUB, "-F FORMAT",
     "%t topic, %p payload, %q qos, %r retain, %m id, %l length, %x %X "
     "hex,"},
    {NJ_TOOL_SUB, "", "%j JSON, %J JSON with JSON payload, %f %d floats, %I time, %U Unix time,"},
    {NJ_TOOL_SUB, "", "%A %C %D %E %F %P %R %S properties, @X strftime, \\n \\t \\e \\0"},
    {NJ_TOOL_SUB, "--pretty", "lay out %j and %J over lines"},
    {NJ_TOOL_SUB, "-N", "no newline after a message"},
    {NJ_TOOL_SUB, "-w, --watch", "one line of the screen per topic"},
    {NJ_TOOL_SUB, "--message-rate", "print the number of messages once a second instead"},
    {NJ_TOOL_SUB, "--random-filter PERCENT", "show only some of the messages"},
    {BOTH, NULL, "Other"},
    {BOTH, "-d, --debug", "show packets"},
    {BOTH, "--quiet", "no error texts while running"},
    {BOTH, "-o FILE", "read options from FILE, one per line, instead of the defaults file"},
    {BOTH, "--help, --version", ""},
};

static void print_version(const struct nj_command *command, FILE *out)
{
    if (command->is_compat) {
        fprintf(out, "%s version 2.1.2 (nightjar %s)\n", command->name, NJ_VERSION);
    } else {
        fprintf(out, "%s (nightjar) %s\n", command->name, NJ_VERSION);
    }
}

void nj_usage_print(const struct nj_command *command, enum nj_tool tool, FILE *out)
{
    const char *name = command->name;
    if (tool == NJ_TOOL_PUB) {
        fprintf(out, "%s publishes messages to an MQTT broker.\n", name);
        print_version(command, out);
        fprintf(out,
                "\nUsage: %s [options] -t topic {-m message | -f file | -s | -l | -n}\n"
                "       %s [options] -L URL {-m message | -f file | -s | -l | -n}\n",
                name, name);
    } else {
        fprintf(out, "%s subscribes to topics of an MQTT broker and prints what arrives.\n", name);
        print_version(command, out);
        fprintf(out,
                "\nUsage: %s [options] {-t filter | -U filter}...\n"
                "       %s [options] -L URL\n",
                name, name);
    }
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        if ((ROWS[i].tools & tool) == 0) {
            continue;
        }
        if (ROWS[i].option == NULL) {
            fprintf(out, "\n%s\n", ROWS[i].text);
        } else {
            fprintf(out, " %-32s %s\n", ROWS[i].option, ROWS[i].text);
        }
    }
    fprintf(out, "\nDefaults are read from $XDG_CONFIG_HOME/%s or $HOME/.config/%s.\n",
            command->is_compat    ? command->program
            : tool == NJ_TOOL_PUB ? "nightjar/pub"
                                  : "nightjar/sub",
            command->is_compat    ? command->program
            : tool == NJ_TOOL_PUB ? "nightjar/pub"
                                  : "nightjar/sub");
    if (!command->is_compat) {
        fprintf(out, "Exit status: 0; the reason code of a refusal by the broker; 27 after -W; "
                     "else 1.\n");
    }
}

int nj_usage_answer(const struct nj_command *command, enum nj_tool tool, enum nj_opts_result result)
{
    switch (result) {
    case NJ_OPTS_HELP:
        nj_usage_print(command, tool, stdout);
        break;
    case NJ_OPTS_VERSION:
        print_version(command, stdout);
        break;
    default:
        fprintf(stderr, "\nUse '%s --help' to see usage.\n", command->name);
        return 1;
    }
    return command->is_compat ? 1 : 0;
}
