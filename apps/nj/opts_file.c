/* Options from files: one option with its value per line, `#` begins a comment line. A value goes
 * to the end of the line and needs no quotes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "opts.h"

/* Cuts the next word off; *rest is what comes behind it, or NULL. */
static char *next_word(char **rest)
{
    char *word = *rest;
    if (word == NULL) {
        return NULL;
    }
    word += strspn(word, " \t");
    if (*word == '\0') {
        *rest = NULL;
        return NULL;
    }
    char *end = word + strcspn(word, " \t");
    *rest = NULL;
    if (*end != '\0') {
        *end++ = '\0';
        end += strspn(end, " \t");
        *rest = *end != '\0' ? end : NULL;
    }
    return word;
}

static enum nj_opts_result read_line(struct nj_opts *opts, char *line)
{
    enum {
        ARGS_MAX = 7
    };
    char *argv[ARGS_MAX] = {NULL};
    int argc = 1;
    char *rest = line;
    char *word = next_word(&rest);
    if (word == NULL) {
        return NJ_OPTS_OK;
    }
    argv[argc++] = word;
    char plain[32];
    const char *option = nj_opts_plain_dashes(word, plain, sizeof(plain));
    if (strcmp(option, "-D") == 0 || strcmp(option, "--property") == 0) {
        /* packet and property are words; a user property has a name, too */
        char *name = NULL;
        for (int i = 0; i < 2 && (word = next_word(&rest)) != NULL; i++) {
            argv[argc++] = name = word;
        }
        if (name != NULL && strcasecmp(name, "user-property") == 0 &&
            (word = next_word(&rest)) != NULL) {
            argv[argc++] = word;
        }
    }
    if (rest != NULL) {
        argv[argc++] = rest;
    }
    return nj_opts_read_args(opts, argc, argv);
}

static enum nj_opts_result read_stream(struct nj_opts *opts, FILE *file, const char *path)
{
    unsigned number = 0;
    enum nj_opts_result result = NJ_OPTS_OK;
    char *line = NULL;
    size_t size = 0;
    ssize_t len = 0;
    while (result == NJ_OPTS_OK && (len = getline(&line, &size, file)) > 0) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) {
            line[--len] = '\0';
        }
        number++;
        if (line[0] != '#') {
            result = read_line(opts, line);
        }
    }
    if (result == NJ_OPTS_BAD && !opts->command->is_compat) {
        fprintf(opts->err, "That is in %s, line %u.\n", path, number);
    }
    if (line != NULL) {
        nj_wipe(line, size); /* the file exists to hold passwords */
        free(line);
    }
    return result;
}

enum nj_opts_result nj_opts_read_file(struct nj_opts *opts, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(opts->err, "Error: Unable to open options file \"%s\": %s.\n", path,
                strerror(errno));
        return NJ_OPTS_BAD;
    }
    enum nj_opts_result result = read_stream(opts, file, path);
    (void)fclose(file);
    return result;
}

enum nj_opts_result nj_opts_read_defaults(struct nj_opts *opts)
{
    const char *name = opts->command->is_compat    ? opts->command->program
                       : opts->tool == NJ_TOOL_PUB ? "nightjar/pub"
                       : opts->tool == NJ_TOOL_SUB ? "nightjar/sub"
                                                   : "nightjar/rr";
    const char *directory = getenv("XDG_CONFIG_HOME");
    const char *middle = "";
    if (directory == NULL) {
        directory = getenv("HOME");
        middle = "/.config";
    }
    if (directory == NULL) {
        return NJ_OPTS_OK; /* started with an empty environment */
    }
    char *path = NULL;
    if (asprintf(&path, "%s%s/%s", directory, middle, name) < 0) {
        return NJ_OPTS_OK;
    }
    enum nj_opts_result result = NJ_OPTS_OK;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        result = read_stream(opts, file, path);
        (void)fclose(file);
    }
    free(path);
    return result;
}

/* The value of -o on the command line; a bare -o at the end is left to the table to report. */
static const char *find_options_file(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        char plain[8];
        if (strcmp(nj_opts_plain_dashes(argv[i], plain, sizeof(plain)), "-o") == 0) {
            return argv[i + 1];
        }
    }
    return NULL;
}

void nj_opts_hold_errors(struct nj_opts *opts, struct nj_opts_held *held)
{
    *held = (struct nj_opts_held){.err = opts->err};
    FILE *stream = opts->command->is_compat ? NULL : open_memstream(&held->text, &held->len);
    opts->err = stream != NULL ? stream : held->err;
}

void nj_opts_tell_errors(struct nj_opts *opts, struct nj_opts_held *held)
{
    if (opts->err == held->err) {
        return;
    }
    (void)fclose(opts->err);
    opts->err = held->err;
    size_t len = held->len;
    while (len > 1 && held->text[len - 1] == '\n' && held->text[len - 2] == '\n') {
        len--;
    }
    (void)fwrite(held->text, 1, len, held->err);
    free(held->text);
}

enum nj_opts_result nj_opts_load(struct nj_opts *opts, int argc, char **argv)
{
    struct nj_opts_held held;
    nj_opts_hold_errors(opts, &held);
    const char *path = find_options_file(argc, argv);
    enum nj_opts_result result =
        path != NULL ? nj_opts_read_file(opts, path) : nj_opts_read_defaults(opts);
    if (result == NJ_OPTS_OK) {
        result = nj_opts_read_args(opts, argc, argv);
    }
    if (result == NJ_OPTS_OK) {
        result = nj_opts_check(opts);
    }
    nj_opts_tell_errors(opts, &held);
    return result;
}
