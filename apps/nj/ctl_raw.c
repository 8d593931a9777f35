/* `nj ctl` for APIs that need no command line of their own: words are KEY=VALUE. A value that is
 * JSON is taken as such, `@FILE` is the text of a file, everything else is a string. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define FILE_MAX ((size_t)1024 * 1024)

static json_t *read_text(const char *path)
{
    json_t *value = NULL;
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(FILE_MAX) : NULL;
    if (text) {
        size_t len = fread(text, 1, FILE_MAX, file);
        value = feof(file) && !ferror(file) ? json_stringn(text, len) : NULL;
    }
    if (!value) {
        fprintf(stderr, "Error: %s cannot be read, or is no text, or larger than 1 MiB.\n", path);
    }
    free(text);
    if (file) {
        (void)fclose(file);
    }
    return value;
}

static json_t *value_of(const char *text)
{
    if (text[0] == '@') {
        return read_text(text + 1);
    }
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return value ? value : json_string(text);
}

static bool put_word(json_t *command, const char *word)
{
    const char *equals = strchr(word, '=');
    if (!equals || equals == word) {
        fprintf(stderr, "Error: '%s' is not of the form KEY=VALUE.\n", word);
        return false;
    }
    char key[128];
    (void)snprintf(key, sizeof(key), "%.*s", (int)(equals - word), word);
    json_t *value = value_of(equals + 1);
    return value && json_object_set_new(command, key, value) == 0;
}

static void print_data(json_t *data)
{
    if (data) {
        nj_ctl_print_json(data);
    }
}

int nj_ctl_raw(struct nj_ctl *ctl, const char *api, int argc, char **argv)
{
    if (argc < 1) {
        fprintf(stderr, "Error: no command given; `nightjar listCommands` shows all of them.\n");
        return NJ_CTL_FAILED;
    }
    json_t *command = json_pack("{s:s}", "command", argv[0]);
    for (int i = 1; i < argc; i++) {
        if (!put_word(command, argv[i])) {
            json_decref(command);
            return NJ_CTL_BAD_ARGS;
        }
    }
    return nj_ctl_run(ctl, api, command, print_data);
}

int nj_ctl_broker(struct nj_ctl *ctl, int argc, char **argv)
{
    static const struct {
        const char *name;
        nj_ctl_print_fn print;
    } rows[] = {
        {"listPlugins", nj_ctl_print_plugins},
        {"listListeners", nj_ctl_print_listeners},
    };
    if (argc < 1 || strcmp(argv[0], "help") == 0) {
        nj_ctl_help_broker(ctl->command);
        return argc < 1 ? NJ_CTL_FAILED : 0;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcasecmp(rows[i].name, argv[0]) == 0) {
            return nj_ctl_run(ctl, "broker/v1", json_pack("{s:s}", "command", rows[i].name),
                              rows[i].print);
        }
    }
    fprintf(stderr, "Command '%s' not recognised.\n", argv[0]);
    return NJ_CTL_NO_COMMAND;
}
