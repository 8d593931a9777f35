/* See manual.h. */
#include "manual.h"

#include <string.h>

#define LEFT_WIDTH 34

void nj_manual_print_version(const struct nj_command *command, FILE *out)
{
    if (command->is_compat) {
        fprintf(out, "%s version 2.1.2 (nightjar %s)\n", command->name, NJ_VERSION);
    } else {
        fprintf(out, "%s (nightjar) %s\n", command->name, NJ_VERSION);
    }
}

int nj_manual_point_to_help(const struct nj_command *command)
{
    fprintf(stderr, "\nUse '%s --help' to see usage.\n", command->name);
    return 1;
}

/* Lines behind the first one are indented to the second column. */
static void print_help(const char *help, FILE *out)
{
    const char *line = help;
    for (;;) {
        size_t len = strcspn(line, "\n");
        fprintf(out, "%.*s\n", (int)len, line);
        if (line[len] == '\0') {
            return;
        }
        line += len + 1;
        fprintf(out, "%*s", LEFT_WIDTH + 1, "");
    }
}

static void print_option(const struct nj_option_text *option, FILE *out)
{
    char left[80];
    bool has_both = option->shorts != NULL && option->longs != NULL;
    int len = snprintf(left, sizeof(left), " %s%s%s%s%s", option->shorts ? option->shorts : "",
                       has_both ? ", " : "", option->longs ? option->longs : "",
                       option->value ? " " : "", option->value ? option->value : "");
    if (len > LEFT_WIDTH) {
        fprintf(out, "%s\n%*s", left, LEFT_WIDTH + 1, "");
    } else {
        fprintf(out, "%-*s ", LEFT_WIDTH, left);
    }
    print_help(option->help, out);
}

void nj_manual_print_usage(const struct nj_manual *manual, const struct nj_command *command,
                           FILE *out)
{
    fprintf(out, "%s: %s\n", command->name, manual->summary);
    nj_manual_print_version(command, out);
    (void)fputc('\n', out);
    for (size_t i = 0; manual->synopsis[i] != NULL; i++) {
        fprintf(out, "%s %s %s\n", i == 0 ? "Usage:" : "      ", command->name,
                manual->synopsis[i]);
    }
    const char *group = NULL;
    const struct nj_option_text *option;
    for (size_t i = 0; (option = manual->option(i)) != NULL; i++) {
        if ((option->tools & manual->tool) == 0) {
            continue;
        }
        if (group == NULL || strcmp(group, option->group) != 0) {
            group = option->group;
            fprintf(out, "\n%s\n", group);
        }
        print_option(option, out);
    }
    if (manual->files[0].what != NULL) {
        (void)fputs("\nFiles\n", out);
        for (size_t i = 0; manual->files[i].what != NULL; i++) {
            fprintf(out, " %s: %s\n", manual->files[i].what, manual->files[i].text);
        }
    }
    if (manual->statuses[0].what != NULL && !command->is_compat) {
        (void)fputs("\nExit status\n", out);
        for (size_t i = 0; manual->statuses[i].what != NULL; i++) {
            fprintf(out, " %-8s %s\n", manual->statuses[i].what, manual->statuses[i].text);
        }
    }
    if (manual->examples[0].what != NULL) {
        (void)fputs("\nExamples\n", out);
        for (size_t i = 0; manual->examples[i].what != NULL; i++) {
            fprintf(out, " %s\n     %s\n", manual->examples[i].what, manual->examples[i].text);
        }
    }
}
