/* Fuzzes how the shell of `nj ctl` splits a line; scripts are piped into it.
 *
 * Oracle: the words lie in the line, one behind the other, and are those of a naive reading. */
#include "ctl.h"
#include "fuzz/fuzz.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next word from *at on into `word`: 1, at the end 0, without its closing quote -1. */
static int next_naively(const char **at, char *word)
{
    size_t len = 0;
    while (is_blank(**at)) {
        (*at)++;
    }
    if (!**at) {
        return 0;
    }
    char quote = **at == '"' || **at == '\'' ? *(*at)++ : '\0';
    while (**at && (quote ? **at != quote : !is_blank(**at))) {
        word[len++] = *(*at)++;
    }
    word[len] = '\0';
    if (quote && !**at) {
        return -1;
    }
    *at += **at != '\0';
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[NJ_CTL_WORDS_MAX];
    char *line = fuzz_text(nj_bytes(data, size));
    char *copy = fuzz_text(nj_bytes(data, size));
    char *word = malloc(size + 1);
    need(word != NULL);
    if (line && copy) {
        const char *at = copy;
        int found = 1;
        int count = nj_ctl_split(line, words);
        need(count >= -1 && count <= NJ_CTL_WORDS_MAX);
        for (int i = 0; i < count; i++) {
            found = next_naively(&at, word);
            need(found == 1 && strcmp(words[i], word) == 0);
            need(words[i] >= line && words[i] + strlen(words[i]) <= line + size);
            need(i == 0 || words[i] > words[i - 1] + strlen(words[i - 1]));
        }
        int rest = 0;
        while (count < 0 && found == 1) {
            found = next_naively(&at, word);
            rest += found == 1;
        }
        need(count >= 0 ? next_naively(&at, word) == 0 : found == -1 || rest > NJ_CTL_WORDS_MAX);
    }
    free(word);
    free(copy);
    free(line);
    return 0;
}
