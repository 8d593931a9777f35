/* Options with a field: reading, defaults, comparing, copying and printing by their kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config_priv.h"

enum nj_number nj_parse_number(const char *text, int64_t *out)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t len = strlen(digits);
    if (len == 0 || strspn(digits, "0123456789") != len || (digits[0] == '0' && len > 1)) {
        return NJ_NUMBER_BAD;
    }
    int64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = digits[i] - '0';
        if (value > (INT64_MAX - digit) / 10) {
            return NJ_NUMBER_HUGE;
        }
        value = value * 10 + digit;
    }
    *out = text[0] == '-' ? -value : value;
    return NJ_NUMBER_OK;
}

int nj_parse_bool(const char *text)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0) {
        return 1;
    }
    return strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ? 0 : -1;
}

int nj_parse_word(const char *text, const char *words)
{
    size_t len = strlen(text);
    int place = 0;
    if (len == 0 || strchr(text, '|')) {
        return -1;
    }
    for (const char *word = words; word; place++) {
        size_t word_len = strcspn(word, "|");
        if (word_len == len && strncmp(word, text, len) == 0) {
            return place;
        }
        word = word[word_len] ? word + word_len + 1 : NULL;
    }
    return -1;
}

void nj_set_text(char **field, const char *value)
{
    char *copy = value ? nj_strdup(value) : NULL;
    nj_free(*field);
    *field = copy;
}

static void *field_of(const struct nj_option *option, void *base)
{
    return (char *)base + option->offset;
}

static const void *const_field_of(const struct nj_option *option, const void *base)
{
    return (const char *)base + option->offset;
}

static int64_t get_number(const struct nj_option *option, const void *base)
{
    const void *field = const_field_of(option, base);
    if (option->kind == NJ_OPT_BOOL) {
        return *(const bool *)field;
    }
    return option->size == sizeof(int64_t) ? *(const int64_t *)field : *(const int32_t *)field;
}

static void put_number(const struct nj_option *option, void *base, int64_t number)
{
    void *field = field_of(option, base);
    if (option->kind == NJ_OPT_BOOL) {
        *(bool *)field = number != 0;
    } else if (option->size == sizeof(int64_t)) {
        *(int64_t *)field = number;
    } else {
        *(int32_t *)field = (int32_t)number;
    }
}

static bool has_field(const struct nj_option *option)
{
    return option->size && option->kind != NJ_OPT_CUSTOM && option->kind != NJ_OPT_IGNORED;
}

static enum nj_err set_number(struct nj_parser *parser, const struct nj_option *option, void *base,
                              const char *value)
{
    const char *name = option->label ? option->label : option->name;
    int64_t number = 0;
    enum nj_number is = nj_parse_number(value, &number);
    /* The text that the original has for numbers which its `int` cannot hold. */
    bool is_narrow = option->max <= INT32_MAX;
    if (is == NJ_NUMBER_BAD) {
        return nj_parser_fail(parser, "Error: '%s' value not a number.", name);
    }
    if (is == NJ_NUMBER_HUGE || (is_narrow && (number > INT32_MAX || number < INT32_MIN))) {
        return nj_parser_fail(parser, "Error: '%s' value out of range.", name);
    }
    if (number < option->min && option->flags & NJ_OPTION_CLAMPS) {
        nj_log(NJ_LOG_NOTICE, "%s too low, using %lld.", option->name, (long long)option->min);
        number = option->min;
    }
    if (number < option->min || number > option->max) {
        const char *text = number < option->min ? option->too_low : option->too_high;
        return text ? nj_parser_fail(parser, "%s", text) : nj_parser_invalid(parser, option, value);
    }
    if (base && option->size) {
        put_number(option, base, number);
    }
    return NJ_OK;
}

enum nj_err nj_option_set(struct nj_parser *parser, const struct nj_option *option, void *base,
                          const char *value)
{
    int found;
    switch (option->kind) {
    case NJ_OPT_BOOL:
    case NJ_OPT_TRI:
        found = nj_parse_bool(value);
        if (found < 0) {
            return nj_parser_invalid(parser, option, value);
        }
        put_number(option, base, option->kind == NJ_OPT_TRI ? NJ_NO + found : found);
        return NJ_OK;
    case NJ_OPT_INT:
        return set_number(parser, option, base, value);
    case NJ_OPT_WORD:
        found = nj_parse_word(value, option->words);
        if (found < 0) {
            return nj_parser_invalid(parser, option, value);
        }
        put_number(option, base, option->min + found);
        return NJ_OK;
    case NJ_OPT_STRING:
        nj_set_text((char **)field_of(option, base), value);
        return NJ_OK;
    default:
        return NJ_OK;
    }
}

void nj_options_init(enum nj_option_place place, void *base)
{
    struct nj_parser nobody = {0};
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        if (option->place != place || !has_field(option) || !option->def) {
            continue;
        }
        enum nj_err err = nj_option_set(&nobody, option, base, option->def);
        NJ_ASSERT(err == NJ_OK);
    }
}

void nj_options_fini(enum nj_option_place place, void *base)
{
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        if (option->place == place && option->kind == NJ_OPT_STRING && !option->alias) {
            nj_set_text((char **)field_of(option, base), NULL);
        }
    }
}

static const char *text_of(const struct nj_option *option, const void *base)
{
    return *(char *const *)const_field_of(option, base);
}

bool nj_option_is_equal(const struct nj_option *option, const void *a, const void *b)
{
    if (!has_field(option)) {
        return true;
    }
    if (option->kind != NJ_OPT_STRING) {
        return get_number(option, a) == get_number(option, b);
    }
    const char *left = text_of(option, a);
    const char *right = text_of(option, b);
    return left && right ? strcmp(left, right) == 0 : left == right;
}

void nj_option_copy(const struct nj_option *option, void *to, const void *from)
{
    if (!has_field(option)) {
        return;
    }
    if (option->kind == NJ_OPT_STRING) {
        nj_set_text((char **)field_of(option, to), text_of(option, from));
    } else {
        put_number(option, to, get_number(option, from));
    }
}

static void print_word(const struct nj_option *option, int64_t number, char *out, size_t size)
{
    const char *word = option->words;
    for (int64_t i = option->min; word && i < number; i++) {
        word = strchr(word, '|');
        word = word ? word + 1 : NULL;
    }
    if (word && number >= option->min) {
        (void)snprintf(out, size, "%.*s", (int)strcspn(word, "|"), word);
    }
}

void nj_option_print(const struct nj_option *option, const void *base, char *out, size_t size)
{
    out[0] = '\0';
    if (!has_field(option)) {
        return;
    }
    int64_t number = option->kind == NJ_OPT_STRING ? 0 : get_number(option, base);
    switch (option->kind) {
    case NJ_OPT_STRING:
        (void)snprintf(out, size, "%s", text_of(option, base) ? text_of(option, base) : "");
        break;
    case NJ_OPT_BOOL:
        (void)snprintf(out, size, "%s", number ? "true" : "false");
        break;
    case NJ_OPT_TRI:
        (void)snprintf(out, size, "%s",
                       number == NJ_UNSET ? ""
                       : number == NJ_YES ? "true"
                                          : "false");
        break;
    case NJ_OPT_WORD:
        print_word(option, number, out, size);
        break;
    default:
        if (number >= option->min) {
            (void)snprintf(out, size, "%lld", (long long)number);
        }
        break;
    }
}
