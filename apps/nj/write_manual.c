/* Makes man pages and shell completion out of the tables of options, at build time:
 *
 *     write_manual man PAGE      nightjar, nightjar.conf, nj, nj-pub, nj-sub, …
 *     write_manual bash|zsh
 *     write_manual pages         the pages of the commands, one to a line: for tests */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "manual.h"

static void print_roff(const char *text)
{
    nj_config_print_roff(stdout, text);
}

/* ---- the broker, in the form of a command */

static const struct nj_option_text *broker_option(size_t index)
{
    static struct nj_option_text text;
    const struct nj_broker_option *option = nj_config_broker_option(index);
    if (option == NULL) {
        return NULL;
    }
    bool is_file = option->value != NULL && strcmp(option->value, "FILE") == 0;
    bool is_mode = option->value != NULL && strcmp(option->value, "MODE") == 0;
    text = (struct nj_option_text){
        .shorts = option->shorts,
        .longs = option->longs,
        .value = option->value,
        .complete = is_file   ? "<file>"
                    : is_mode ? "mosquitto|none"
                              : NULL,
        .group = "Options",
        .help = option->help,
        .tools = 1,
    };
    return &text;
}

static const struct nj_manual BROKER = {
    .word = "nightjar",
    .program = "mosquitto",
    .summary = "MQTT broker whose heart is identity and access",
    .synopsis = {"[-c FILE] [-d] [-p PORT] [-q | -v] [--compat MODE]",
                 "-c FILE --test-config [-v]"},
    .description =
        "nightjar is a broker for MQTT 3.1, 3.1.1 and 5.0 over TCP, TLS, WebSocket and unix "
        "sockets. It reads Mosquitto's configuration, password and ACL files; under the name "
        "mosquitto, or with --compat mosquitto, it behaves as Mosquitto 2.1.2 does.\n\n"
        "Without a configuration it can be reached from its own machine only, on port 1883, and in "
        "native mode lets nobody in without a name.\n\n"
        "SIGHUP has it read its configuration, its files and certificates again: everything is "
        "taken over or, if anything is wrong, nothing. SIGRTMIN has it open its log file again, "
        "SIGTERM and SIGINT end it. nj-signal(1) sends them by name.",
    .tool = 1,
    .option = broker_option,
    .statuses = {{"0", "it was told to end"},
                 {"1", "it cannot run: a port in use, a certificate that is no good, …"},
                 {"3", "an error in the configuration or on the command line"}},
    .files = {{"/etc/nightjar/nightjar.conf", "the configuration that packages install"}},
    .examples = {{"nightjar -c /etc/nightjar/nightjar.conf", "as a service would"},
                 {"nightjar -c new.conf --test-config -v", "what a configuration amounts to"}},
    .see_also = "nightjar.conf(5), nj(1), nj-check(1), nj-passwd(1)",
};

/* ---- man pages */

/* "nj-sub(1), nightjar(8)" */
static void print_see_also(const char *list)
{
    printf(".SH SEE ALSO\n");
    while (*list != '\0') {
        size_t name = strcspn(list, "(");
        size_t end = strcspn(list, ",");
        char text[80];
        (void)snprintf(text, sizeof(text), "%.*s", (int)name, list);
        printf(".BR ");
        print_roff(text);
        printf(" %.*s%s\n", (int)(end - name), list + name, list[end] == ',' ? "," : "");
        list += end;
        list += strspn(list, ", ");
    }
}

static void print_name(const char *name, const char *section)
{
    char upper[40];
    size_t len = 0;
    for (; name[len] != '\0' && len + 1 < sizeof(upper); len++) {
        char letter = name[len];
        upper[len] = (char)(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
    }
    upper[len] = '\0';
    printf(".TH ");
    print_roff(upper);
    printf(" %s \"" NJ_MANUAL_DATE "\" \"nightjar " NJ_VERSION "\" \"%s\"\n.SH NAME\n", section,
           section[0] == '8' ? "System administration" : "User commands");
}

static void print_synopsis(const char *name, const struct nj_manual *manual)
{
    printf(".SH SYNOPSIS\n");
    for (size_t i = 0; manual->synopsis[i] != NULL; i++) {
        printf("%s.B ", i > 0 ? ".br\n" : "");
        print_roff(name);
        printf("\n");
        print_roff(manual->synopsis[i]);
        printf("\n");
    }
}

/* Paragraphs with an empty line between them. */
static void print_paragraphs(const char *text)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        char paragraph[2000];
        (void)snprintf(paragraph, sizeof(paragraph), "%.*s", (int)len, text);
        print_roff(paragraph);
        printf("\n");
        text += len;
        if (end != NULL) {
            printf(".PP\n");
            text += 2;
        }
    }
}

static void print_option(const struct nj_option_text *option)
{
    printf(".TP\n");
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? option->shorts : option->longs;
        if (name != NULL) {
            printf("%s\\fB", i == 1 && option->shorts != NULL ? ", " : "");
            print_roff(name);
            printf("\\fR");
        }
    }
    if (option->value != NULL) {
        printf(" \\fI");
        print_roff(option->value);
        printf("\\fR");
    }
    printf("\n");
    print_roff(option->help);
    printf("\n");
}

static void print_options(const struct nj_manual *manual)
{
    const char *group = NULL;
    const struct nj_option_text *option;
    printf(".SH OPTIONS\n");
    for (size_t i = 0; (option = manual->option(i)) != NULL; i++) {
        if ((option->tools & manual->tool) == 0) {
            continue;
        }
        if (group == NULL || strcmp(group, option->group) != 0) {
            group = option->group;
            printf(".SS %s\n", group);
        }
        print_option(option);
    }
}

static void print_pairs(const char *title, const struct nj_text_pair *pairs, bool is_code)
{
    if (pairs[0].what == NULL) {
        return;
    }
    printf(".SH %s\n", title);
    for (size_t i = 0; pairs[i].what != NULL; i++) {
        printf(".TP\n%s", is_code ? "\\fB" : "");
        print_roff(pairs[i].what);
        printf("%s\n", is_code ? "\\fR" : "");
        print_roff(pairs[i].text);
        printf("\n");
    }
}

static void print_page(const char *page, const char *name, const char *section,
                       const struct nj_manual *manual)
{
    print_name(page, section);
    print_roff(page);
    if (manual->program != NULL && section[0] == '1') {
        printf(", ");
        print_roff(manual->program);
    }
    printf(" \\- ");
    print_roff(manual->summary);
    printf("\n");
    print_synopsis(name, manual);
    printf(".SH DESCRIPTION\n");
    print_paragraphs(manual->description);
    if (manual->program != NULL && section[0] == '1') {
        printf(".PP\nUnder the name \\fB");
        print_roff(manual->program);
        printf("\\fR it keeps the command line, the output and the exit status of Mosquitto's tool "
               "of that name.\n");
    }
    print_options(manual);
    print_pairs("EXIT STATUS", manual->statuses, false);
    print_pairs("FILES", manual->files, false);
    print_pairs("EXAMPLES", manual->examples, true);
    print_see_also(manual->see_also);
}

static int print_overview(void)
{
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    print_name("nj", "1");
    printf("nj \\- the tool of the nightjar MQTT broker\n.SH SYNOPSIS\n.B nj\ncommand [options]\n"
           ".SH DESCRIPTION\n"
           "Every command has a manual page of its own, and a help text: nj command \\-\\-help.\n"
           ".SH COMMANDS\n");
    for (size_t i = 0; i < count; i++) {
        const struct nj_manual *manual = rows[i].manual;
        printf(".TP\n.BR nj\\-");
        print_roff(manual->word);
        printf(" (1)\n");
        print_roff(manual->summary);
        if (manual->program != NULL) {
            printf(" (also installed as ");
            print_roff(manual->program);
            printf(")");
        }
        printf("\n");
    }
    print_see_also("nightjar(8), nightjar.conf(5)");
    return 0;
}

static int print_man(const char *page)
{
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    if (strcmp(page, "nightjar.conf") == 0) {
        nj_config_print_manual(stdout);
        return 0;
    }
    if (strcmp(page, "nightjar") == 0) {
        print_page("nightjar", "nightjar", "8", &BROKER);
        return 0;
    }
    if (strcmp(page, "nj") == 0) {
        return print_overview();
    }
    for (size_t i = 0; i < count; i++) {
        if (strncmp(page, "nj-", 3) == 0 && strcmp(rows[i].manual->word, page + 3) == 0) {
            print_page(page, rows[i].native, "1", rows[i].manual);
            return 0;
        }
    }
    fprintf(stderr, "write_manual: there is no page %s\n", page);
    return 1;
}

/* ---- completion: a row for each program name */

struct entry {
    const struct nj_manual *manual;
    bool is_broker;
};

static bool next_entry(size_t index, struct entry *out)
{
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    if (index > count) {
        return false;
    }
    *out =
        index < count ? (struct entry){rows[index].manual, false} : (struct entry){&BROKER, true};
    return true;
}

/* The words of "a|b" with blanks between. */
static void print_words(const char *words)
{
    for (; *words != '\0'; words++) {
        (void)fputc(*words == '|' ? ' ' : *words, stdout);
    }
}

static void print_program_names(void)
{
    struct entry entry;
    printf("nj");
    for (size_t i = 0; next_entry(i, &entry); i++) {
        printf("%s%s", entry.manual->program != NULL ? " " : "",
               entry.manual->program != NULL ? entry.manual->program : "");
    }
    printf(" nightjar");
}

/* "-h|--host)" of a case in bash. */
static void print_case(const struct nj_option_text *option)
{
    printf("        %s%s%s)", option->shorts != NULL ? option->shorts : "",
           option->shorts != NULL && option->longs != NULL ? "|" : "",
           option->longs != NULL ? option->longs : "");
}

/* A command that completes so; `:` does nothing. */
static void print_bash_complete(const char *complete)
{
    if (complete == NULL) {
        printf(":");
    } else if (strcmp(complete, "<file>") == 0) {
        printf("_nj_paths -f");
    } else if (strcmp(complete, "<dir>") == 0) {
        printf("_nj_paths -d");
    } else if (strcmp(complete, "<pid>") == 0) {
        printf("_nj_words \"$(cd /proc 2>/dev/null && printf '%%s ' [0-9]*)\"");
    } else {
        printf("_nj_words '");
        print_words(complete);
        printf("'");
    }
}

static void print_bash_entry(const struct entry *entry)
{
    const struct nj_manual *manual = entry->manual;
    const struct nj_option_text *option;
    printf("    %s)\n        case $prev in\n", manual->word);
    for (size_t i = 0; (option = manual->option(i)) != NULL; i++) {
        if ((option->tools & manual->tool) != 0 && option->value != NULL) {
            print_case(option);
            printf(" ");
            print_bash_complete(option->complete);
            printf(" ;;\n");
        }
    }
    printf("        *)\n            if [[ $cur == -* ]]; then\n                _nj_words '");
    for (size_t i = 0; (option = manual->option(i)) != NULL; i++) {
        if ((option->tools & manual->tool) != 0) {
            printf("%s%s%s%s", option->shorts != NULL ? option->shorts : "",
                   option->shorts != NULL ? " " : "", option->longs != NULL ? option->longs : "",
                   option->longs != NULL ? " " : "");
        }
    }
    printf("'\n            else\n                ");
    print_bash_complete(manual->words);
    printf("\n            fi ;;\n        esac ;;\n");
}

static int print_bash(void)
{
    struct entry entry;
    printf("# bash completion of the tools of nightjar. Made from their tables of options.\n"
           "_nj_words()\n{\n    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n}\n"
           "_nj_paths()\n{\n    compopt -o filenames 2>/dev/null\n"
           "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n}\n"
           "_nj()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} "
           "word=\n    COMPREPLY=()\n    case ${COMP_WORDS[0]##*/} in\n");
    for (size_t i = 0; next_entry(i, &entry); i++) {
        if (entry.manual->program != NULL) {
            printf("    %s%s) word=%s ;;\n", entry.manual->program,
                   entry.is_broker ? "|nightjar" : "", entry.manual->word);
        }
    }
    printf("    *)\n        if ((COMP_CWORD == 1)); then\n            _nj_words '");
    for (size_t i = 0; next_entry(i, &entry) && !entry.is_broker; i++) {
        printf("%s ", entry.manual->word);
    }
    printf("--help --version'\n            return\n        fi\n        word=${COMP_WORDS[1]}\n"
           "        ((COMP_CWORD == 2)) && prev= ;;\n    esac\n    case $word in\n");
    for (size_t i = 0; next_entry(i, &entry); i++) {
        print_bash_entry(&entry);
    }
    printf("    esac\n}\ncomplete -F _nj ");
    print_program_names();
    printf("\n");
    return 0;
}

/* Text within single quotes and the brackets of _arguments. */
static void print_zsh_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            printf("'\\''");
        } else if (*text == '\n') {
            printf(" ");
        } else {
            if (strchr("[]:\\", *text) != NULL) {
                printf("\\");
            }
            (void)fputc(*text, stdout);
        }
    }
}

static void print_zsh_complete(const char *complete)
{
    if (complete == NULL) {
        return;
    }
    if (strcmp(complete, "<file>") == 0) {
        printf("_files");
    } else if (strcmp(complete, "<dir>") == 0) {
        printf("_files -/");
    } else if (strcmp(complete, "<pid>") == 0) {
        printf("_pids");
    } else {
        printf("(");
        print_words(complete);
        printf(")");
    }
}

static void print_zsh_option(const struct nj_option_text *option)
{
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? option->shorts : option->longs;
        if (name == NULL) {
            continue;
        }
        printf("            '*%s[", name);
        print_zsh_text(option->help);
        printf("]");
        if (option->value != NULL) {
            printf(":");
            print_zsh_text(option->value);
            printf(":");
            print_zsh_complete(option->complete);
        }
        printf("' \\\n");
    }
}

static void print_zsh_entry(const struct entry *entry)
{
    const struct nj_manual *manual = entry->manual;
    const struct nj_option_text *option;
    printf("    %s)\n        _arguments \\\n", manual->word);
    for (size_t i = 0; (option = manual->option(i)) != NULL; i++) {
        if ((option->tools & manual->tool) != 0) {
            print_zsh_option(option);
        }
    }
    printf("            '*:argument:");
    print_zsh_complete(manual->words);
    printf("' ;;\n");
}

static int print_zsh(void)
{
    struct entry entry;
    printf("#compdef ");
    print_program_names();
    printf("\n# zsh completion of the tools of nightjar. Made from their tables of options.\n"
           "_nj() {\n    local word\n    local -a commands\n    case ${service:t} in\n");
    for (size_t i = 0; next_entry(i, &entry); i++) {
        if (entry.manual->program != NULL) {
            printf("    %s%s) word=%s ;;\n", entry.manual->program,
                   entry.is_broker ? "|nightjar" : "", entry.manual->word);
        }
    }
    printf("    *)\n        if ((CURRENT == 2)); then\n            commands=(\n");
    for (size_t i = 0; next_entry(i, &entry) && !entry.is_broker; i++) {
        printf("                '%s:", entry.manual->word);
        print_zsh_text(entry.manual->summary);
        printf("'\n");
    }
    printf("            )\n            _describe command commands\n            return\n        fi\n"
           "        word=$words[2]\n        shift words\n        ((CURRENT--)) ;;\n    esac\n"
           "    case $word in\n");
    for (size_t i = 0; next_entry(i, &entry); i++) {
        print_zsh_entry(&entry);
    }
    printf("    esac\n}\n_nj \"$@\"\n");
    return 0;
}

static int print_pages(void)
{
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    for (size_t i = 0; i < count; i++) {
        printf("nj-%s %s\n", rows[i].manual->word,
               rows[i].manual->program != NULL ? rows[i].manual->program : "-");
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "man") == 0 && argc == 3) {
        return print_man(argv[2]);
    }
    if (strcmp(what, "bash") == 0) {
        return print_bash();
    }
    if (strcmp(what, "zsh") == 0) {
        return print_zsh();
    }
    if (strcmp(what, "pages") == 0) {
        return print_pages();
    }
    fprintf(stderr, "write_manual: man PAGE, bash, zsh or pages\n");
    return 2;
}
