/* docs/configuration.md, made from the option table. */
#include <stdio.h>

#include "config/config.h"
#include "config/config_priv.h"

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made from the option table (src/config/options.c) by the program\n"
    "     write_config_reference. Do not edit: a test compares. -->\n"
    "\n"
    "nightjar reads Mosquitto's configuration file: `nightjar -c FILE`. Check one with\n"
    "`nightjar -c FILE --test-config`; `-v` in addition shows what it amounts to, listener by\n"
    "listener.\n"
    "\n"
    "- One option and its value on a line. `#` begins a comment only as the first character of a\n"
    "  line: behind a value it is part of the value. Blanks and tabs separate, those at the end\n"
    "  are dropped. CRLF and a byte order mark do no harm.\n"
    "- Switches are `true`, `1`, `false` or `0`. Numbers are decimal, without `+`, blanks or "
    "leading\n"
    "  zeros. Everything else is text up to the end of the line: at most 65535 bytes of UTF-8\n"
    "  without control characters. Quotes and `~` mean nothing.\n"
    "- `listener`, `connection` and `plugin` begin a section for the options behind them that "
    "belong\n"
    "  to one. Sections of an included file end with it.\n"
    "- Relative paths count from the directory in which the broker was started.\n"
    "- An unknown option, one given twice, one in the wrong place and one without a value end the\n"
    "  start with status 3 and the file and line. An option that is known, but not built yet, "
    "does\n"
    "  so, too: nothing is ignored silently.\n"
    "- Files are at most 16 MiB, an `include_dir` at most 10,000 files, a broker at most 1,000\n"
    "  listeners.\n"
    "- A reload (SIGHUP) takes over everything or, if anything is wrong, nothing. Options that "
    "cannot\n"
    "  be changed while the broker runs keep their old value, with a warning that names them.\n"
    "  Listeners are neither opened nor closed by it, and none begins or stops to use TLS.\n"
    "- Without any listener the broker can be reached from its own machine only, on port 1883 or "
    "on\n"
    "  those of `-p`.\n"
    "- Of the environment, `MOSQUITTO_PERSISTENCE_LOCATION`, `MOSQUITTO_UNSAFE_ALLOW_SYMLINKS` "
    "and, at\n"
    "  the first start with dynamic security, `MOSQUITTO_DYNSEC_PASSWORD` count; other names that\n"
    "  begin with `MOSQUITTO_`, `NIGHTJAR_` or `NJ_` are named in the log and ignored.\n"
    "\n"
    "Native mode is safe by default; compat mode behaves as Mosquitto 2.1.2 does. It is chosen by\n"
    "`--compat mosquitto`, else by the line `compat mosquitto`, else by the program's name. The\n"
    "start-up log lists what differs.\n";

static const struct chapter {
    const char *title;
    const char *text;
    enum nj_option_place place;
} chapters[] = {
    {"Options for the whole broker", "", NJ_PLACE_GLOBAL},
    {"Options for the whole broker or, with per_listener_settings, for a listener", "",
     NJ_PLACE_SCOPE},
    {"Options of a listener", "They belong to the `listener` line before them.\n\n",
     NJ_PLACE_LISTENER},
    {"Plugins",
     "Only the modules that are built in can be turned on. A path without a file name\n"
     "(`plugin /usr/lib/`) is an error that says what it can mean.\n\n",
     NJ_PLACE_PLUGIN},
    {"Options of a bridge",
     "Bridges are read and checked, but not built yet: a configuration with one ends the "
     "start.\n\n",
     NJ_PLACE_BRIDGE},
};

static const char *reload_text(const struct nj_option *option)
{
    if (option->flags & NJ_OPTION_UNBUILT || option->place == NJ_PLACE_BRIDGE) {
        return "not built yet";
    }
    return option->reload == NJ_RELOAD_LIVE      ? "yes"
           : option->reload == NJ_RELOAD_RESTART ? "restart"
                                                 : "–";
}

static void print_values(const struct nj_option *option, FILE *out)
{
    switch (option->kind) {
    case NJ_OPT_BOOL:
    case NJ_OPT_TRI:
        (void)fprintf(out, "switch");
        break;
    case NJ_OPT_WORD:
        for (const char *at = option->words; *at; at++) {
            if (*at == '|') {
                (void)fprintf(out, ", ");
            } else {
                (void)fputc(*at, out);
            }
        }
        break;
    case NJ_OPT_INT:
        if (option->parse) {
            (void)fprintf(out, "see right");
        } else if (option->max >= INT32_MAX) {
            (void)fprintf(out, "number from %lld", (long long)option->min);
        } else {
            (void)fprintf(out, "%lld to %lld", (long long)option->min, (long long)option->max);
        }
        break;
    case NJ_OPT_STRING:
        (void)fprintf(out, "text");
        break;
    default:
        (void)fprintf(out, "see right");
        break;
    }
}

static void print_option(const struct nj_option *option, FILE *out)
{
    (void)fprintf(out, "| `%s` | ", option->name);
    print_values(option, out);
    (void)fprintf(out, " | %s | %s | %s%s%s |\n", option->def ? option->def : "",
                  reload_text(option), option->flags & NJ_OPTION_OWN ? "*nightjar's own.* " : "",
                  option->flags & NJ_OPTION_DEPRECATED ? "*Deprecated.* " : "", option->help);
}

void nj_config_print_reference(FILE *out)
{
    (void)fputs(intro, out);
    for (size_t i = 0; i < sizeof(chapters) / sizeof(chapters[0]); i++) {
        const struct chapter *chapter = &chapters[i];
        (void)fprintf(out, "\n## %s\n\n%s", chapter->title, chapter->text);
        (void)fprintf(out, "| option | values | default | reload | meaning |\n"
                           "|---|---|---|---|---|\n");
        for (size_t k = 0; k < nj_option_count; k++) {
            if (nj_options[k].place == chapter->place) {
                print_option(&nj_options[k], out);
            }
        }
    }
}
