/* See finding.h. */
#include "finding.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "mqtt/utf8.h"
#include "pretty.h"

#define TEXT_MAX 4096

static const char *const NAMES[NJ_FINDING_SEVERITY_COUNT] = {"note", "warning", "error"};

void nj_findings_init(struct nj_findings *findings)
{
    *findings = (struct nj_findings){0};
}

void nj_findings_fini(struct nj_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        nj_free(findings->items[i].file);
        nj_free(findings->items[i].what);
    }
    nj_free(findings->items);
    nj_findings_init(findings);
}

/* How many there are of this kind. */
static size_t same_count(const struct nj_findings *findings, const struct nj_finding_place *place)
{
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct nj_finding *item = &findings->items[i];
        count += item->severity == place->severity && strcmp(item->code, place->code) == 0 ? 1 : 0;
    }
    return count;
}

static void add(struct nj_findings *findings, const struct nj_finding_place *place, unsigned column,
                const char *fmt, va_list args)
{
    char text[TEXT_MAX];
    bool is_mode = strcmp(place->code, NJ_FINDING_MODE) == 0;
    size_t same = is_mode ? 0 : same_count(findings, place);
    findings->counts[place->severity]++;
    if (same > NJ_FINDING_SAME_MAX) {
        return;
    }
    (void)vsnprintf(text, sizeof(text), fmt, args);
    if (same == NJ_FINDING_SAME_MAX) {
        (void)snprintf(text, sizeof(text), "there are more of this kind (%s)", place->code);
    }
    findings->items = nj_realloc(findings->items, (findings->count + 1) * sizeof(*findings->items));
    findings->items[findings->count++] = (struct nj_finding){
        .severity = place->severity,
        .code = place->code,
        .file = place->file != NULL ? nj_strdup(place->file) : NULL,
        .line = same == NJ_FINDING_SAME_MAX ? 0 : place->line,
        .column = same == NJ_FINDING_SAME_MAX ? 0 : column,
        .what = nj_strdup(text),
        .fix = same == NJ_FINDING_SAME_MAX ? NULL : place->fix,
    };
}

void nj_findings_add(struct nj_findings *findings, const struct nj_finding_place *place,
                     const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(findings, place, 0, fmt, args);
    va_end(args);
}

void nj_findings_add_at(struct nj_findings *findings, const struct nj_finding_place *place,
                        unsigned column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(findings, place, column, fmt, args);
    va_end(args);
}

void nj_findings_move(struct nj_findings *findings, struct nj_findings *from)
{
    if (from->count > 0) {
        findings->items =
            nj_realloc(findings->items, (findings->count + from->count) * sizeof(*findings->items));
        memcpy(findings->items + findings->count, from->items,
               from->count * sizeof(*findings->items));
        findings->count += from->count;
    }
    for (int i = 0; i < NJ_FINDING_SEVERITY_COUNT; i++) {
        findings->counts[i] += from->counts[i];
    }
    nj_free(from->items);
    nj_findings_init(from);
}

static int compare(const void *a, const void *b)
{
    const struct nj_finding *left = a;
    const struct nj_finding *right = b;
    if (left->severity != right->severity) {
        return left->severity > right->severity ? -1 : 1;
    }
    bool is_left = strcmp(left->code, NJ_FINDING_MODE) == 0;
    bool is_right = strcmp(right->code, NJ_FINDING_MODE) == 0;
    if (is_left != is_right) {
        return is_right ? -1 : 1;
    }
    int order =
        strcmp(left->file != NULL ? left->file : "", right->file != NULL ? right->file : "");
    if (order != 0) {
        return order;
    }
    if (left->line != right->line) {
        return left->line < right->line ? -1 : 1;
    }
    if (left->column != right->column) {
        return left->column < right->column ? -1 : 1;
    }
    return strcmp(left->what, right->what);
}

void nj_findings_sort(struct nj_findings *findings)
{
    if (findings->count > 1) {
        qsort(findings->items, findings->count, sizeof(*findings->items), compare);
    }
}

void nj_findings_drop_notes(struct nj_findings *findings)
{
    while (findings->count > 0 &&
           findings->items[findings->count - 1].severity == NJ_FINDING_NOTE) {
        struct nj_finding *last = &findings->items[--findings->count];
        nj_free(last->file);
        nj_free(last->what);
    }
}

static void print_text(FILE *out, const char *text)
{
    struct nj_buf safe;
    nj_buf_init(&safe);
    if (nj_pretty_put_safe(&safe, nj_bytes_of(text)) == NJ_OK) {
        (void)fwrite(safe.data, 1, safe.len, out);
    }
    nj_buf_fini(&safe);
}

void nj_findings_print(const struct nj_findings *findings, FILE *out)
{
    bool has_heading = false;
    for (size_t i = 0; i < findings->count; i++) {
        const struct nj_finding *item = &findings->items[i];
        if (strcmp(item->code, NJ_FINDING_MODE) == 0) {
            fprintf(out, "%s  %s\n", has_heading ? "" : "In the other mode it is otherwise that:\n",
                    item->what);
            has_heading = true;
            continue;
        }
        if (item->file != NULL) {
            print_text(out, item->file);
            (void)fputc(':', out);
            if (item->line > 0) {
                fprintf(out, "%u:", item->line);
            }
            if (item->column > 0) {
                fprintf(out, "%u:", item->column);
            }
            (void)fputc(' ', out);
        }
        fprintf(out, "%s: ", NAMES[item->severity]);
        print_text(out, item->what);
        fprintf(out, " [%s]\n", item->code);
        if (item->fix != NULL) {
            fprintf(out, "    %s\n", item->fix);
        }
    }
}

/* 0 = null */
static void put_number(struct nj_json_out *out, const char *key, unsigned number)
{
    nj_json_out_key(out, key);
    if (number > 0) {
        nj_json_out_int(out, number);
    } else {
        nj_json_out_null(out);
    }
}

static void put_text(struct nj_json_out *out, const char *key, const char *text)
{
    nj_json_out_key(out, key);
    if (text == NULL) {
        nj_json_out_null(out);
    } else if (nj_mqtt_utf8_is_valid(nj_bytes_of(text))) {
        nj_json_out_text(out, nj_bytes_of(text));
    } else {
        nj_json_out_text(out, NJ_BYTES_LIT("(not UTF-8)"));
    }
}

void nj_findings_put_json(const struct nj_findings *findings, struct nj_json_out *out)
{
    nj_json_out_array(out);
    for (size_t i = 0; i < findings->count; i++) {
        const struct nj_finding *item = &findings->items[i];
        nj_json_out_object(out);
        put_text(out, "severity", NAMES[item->severity]);
        put_text(out, "code", item->code);
        put_text(out, "file", item->file);
        put_number(out, "line", item->line);
        put_number(out, "column", item->column);
        put_text(out, "text", item->what);
        put_text(out, "fix", item->fix);
        nj_json_out_end(out);
    }
    nj_json_out_end(out);
}
