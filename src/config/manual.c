/* nightjar.conf(5), made from the option table like docs/configuration.md (reference.c). */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/config_priv.h"

static const struct {
    const char *title;
    const char *text;
    enum nj_option_place place;
} CHAPTERS[] = {
    {"GLOBAL OPTIONS", "These are about the whole broker.", NJ_PLACE_GLOBAL},
    {"SECURITY OPTIONS",
     "About the whole broker or, with per_listener_settings true, the listener before them.",
     NJ_PLACE_SCOPE},
    {"LISTENER OPTIONS", "They belong to the listener line before them.", NJ_PLACE_LISTENER},
    {"PLUGIN OPTIONS",
     "Only the modules that are built in can be turned on. A path without a file name is an error "
     "that says what it can mean.",
     NJ_PLACE_PLUGIN},
    {"BRIDGE OPTIONS", "They belong to the connection line before them.", NJ_PLACE_BRIDGE},
};

static const char *const INTRO[] = {
    "One option and its value stand on a line. A # begins a comment only as the first character of "
    "a line. Blanks and tabs separate, and those at the end of a line are dropped.",
    "Switches are true, 1, false or 0. Numbers are decimal. Everything else is text up to the end "
    "of the line; quotes mean nothing.",
    "listener, connection and plugin begin a section for the options behind them that belong to "
    "one. Relative paths count from the directory in which the broker was started.",
    "An unknown option, one given twice, one in the wrong place and one without a value end the "
    "start with status 3 and the file and line. A reload takes over everything or, if anything is "
    "wrong, nothing.",
    "A file for Mosquitto can be used as it is. The mode decides what its defaults are: native "
    "mode is safe by default, compat mode (the line `compat mosquitto`, the option --compat, or "
    "the program name mosquitto) behaves as Mosquitto 2.1.2 does.",
};

void nj_config_print_roff(FILE *out, const char *text)
{
    bool is_line_start = true;
    for (const char *at = text; *at; at++) {
        if (is_line_start && (*at == '.' || *at == '\'')) {
            (void)fputs("\\&", out);
        }
        if (*at == '\\') {
            (void)fputs("\\e", out);
        } else if (*at == '-') {
            (void)fputs("\\-", out);
        } else {
            (void)fputc(*at, out);
        }
        is_line_start = *at == '\n';
    }
}

static void print_paragraph(FILE *out, const char *text)
{
    (void)fputs(".PP\n", out);
    nj_config_print_roff(out, text);
    (void)fputc('\n', out);
}

static void print_value(const struct nj_option *option, FILE *out)
{
    switch (option->kind) {
    case NJ_OPT_BOOL:
    case NJ_OPT_TRI:
        (void)fputs(" true|false", out);
        break;
    case NJ_OPT_WORD:
        (void)fprintf(out, " %s", option->words);
        break;
    case NJ_OPT_INT:
        (void)fputs(" \\fInumber\\fR", out);
        break;
    default:
        (void)fputs(" \\fItext\\fR", out);
        break;
    }
}

static void print_option(const struct nj_option *option, FILE *out)
{
    (void)fputs(".TP\n\\fB", out);
    nj_config_print_roff(out, option->name);
    (void)fputs("\\fR", out);
    print_value(option, out);
    (void)fputc('\n', out);
    nj_config_print_roff(out, option->help);
    if (option->def && option->def[0]) {
        (void)fputs("\nDefault: ", out);
        nj_config_print_roff(out, option->def);
        (void)fputc('.', out);
    }
    if (option->reload == NJ_RELOAD_RESTART) {
        (void)fputs("\nA change wants a restart.", out);
    }
    if (option->flags & NJ_OPTION_DEPRECATED) {
        (void)fputs("\nDeprecated.", out);
    }
    if (option->flags & NJ_OPTION_OWN) {
        (void)fputs("\nNot known to Mosquitto.", out);
    }
    if (option->flags & NJ_OPTION_UNBUILT) {
        (void)fputs("\nKnown, but not built yet: the start is refused.", out);
    }
    (void)fputc('\n', out);
}

static void print_differences(bool is_compat, FILE *out)
{
    struct nj_settings *settings = nj_settings_new(is_compat);
    nj_mode_note_differences(settings);
    const char *const *differences = nj_config_differences(settings);
    for (size_t i = 0; differences[i]; i++) {
        (void)fputs(".IP \\(bu 2\n", out);
        nj_config_print_roff(out, differences[i]);
        (void)fputc('\n', out);
    }
    nj_settings_free(settings);
}

static void print_modes(FILE *out)
{
    (void)fputs(".SH MODES\n", out);
    (void)fputs("In native mode,\n", out);
    print_differences(false, out);
    print_paragraph(out, "In compat mode,");
    print_differences(true, out);
}

void nj_config_print_manual(FILE *out)
{
    (void)fputs(".TH NIGHTJAR.CONF 5 \"" NJ_MANUAL_DATE "\" \"nightjar " NJ_VERSION
                "\" \"File formats\"\n"
                ".SH NAME\n"
                "nightjar.conf \\- the configuration of the nightjar MQTT broker\n"
                ".SH DESCRIPTION\n",
                out);
    nj_config_print_roff(out, "The broker reads the file that its option -c names.");
    (void)fputc('\n', out);
    for (size_t i = 0; i < sizeof(INTRO) / sizeof(INTRO[0]); i++) {
        print_paragraph(out, INTRO[i]);
    }
    for (size_t i = 0; i < sizeof(CHAPTERS) / sizeof(CHAPTERS[0]); i++) {
        (void)fprintf(out, ".SH %s\n", CHAPTERS[i].title);
        nj_config_print_roff(out, CHAPTERS[i].text);
        (void)fputc('\n', out);
        for (size_t k = 0; k < nj_option_count; k++) {
            if (nj_options[k].place == CHAPTERS[i].place) {
                print_option(&nj_options[k], out);
            }
        }
    }
    print_modes(out);
    (void)fputs(".SH FILES\n.TP\n.I /etc/nightjar/nightjar.conf\nwhere packages put it\n"
                ".SH SEE ALSO\n.BR nightjar (8),\n.BR nj\\-check (1),\n.BR nj\\-explain (1)\n",
                out);
}
