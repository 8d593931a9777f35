/* What `nj check` finds: collected, put in order, printed for people or for programs. */
#ifndef NJ_APPS_NJ_FINDING_H
#define NJ_APPS_NJ_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

enum nj_severity {
    NJ_FINDING_NOTE,    /* worth knowing */
    NJ_FINDING_WARNING, /* works, but hardly as meant, or is unsafe */
    NJ_FINDING_ERROR,   /* the broker refuses it */
    NJ_FINDING_SEVERITY_COUNT
};

struct nj_finding {
    enum nj_severity severity;
    const char *code; /* constant: "acl-unreachable" */
    char *file;       /* NULL = nowhere in particular */
    unsigned line;    /* 0 = the file as a whole */
    unsigned column;  /* bytes, from 1; 0 = the line as a whole */
    char *what;       /* one sentence without a full stop */
    const char *fix;  /* constant: what to do about it, or NULL */
};

struct nj_findings {
    struct nj_finding *items;
    size_t count;
    size_t counts[NJ_FINDING_SEVERITY_COUNT];
};

/* The code of notes that say what the other mode does otherwise: printed together, at the end. */
#define NJ_FINDING_MODE "mode"

/* After this many with the same code and severity others are only counted. */
#define NJ_FINDING_SAME_MAX 20

struct nj_finding_place {
    enum nj_severity severity;
    const char *code;
    const char *file;
    unsigned line;
    const char *fix;
};

void nj_findings_init(struct nj_findings *findings);
void nj_findings_fini(struct nj_findings *findings);
void nj_findings_add(struct nj_findings *findings, const struct nj_finding_place *place,
                     const char *fmt, ...) NJ_PRINTF(3, 4);
void nj_findings_add_at(struct nj_findings *findings, const struct nj_finding_place *place,
                        unsigned column, const char *fmt, ...) NJ_PRINTF(4, 5);
/* Takes over what `from` has, which is empty then. */
void nj_findings_move(struct nj_findings *findings, struct nj_findings *from);
/* Errors first, then by file and line. */
void nj_findings_sort(struct nj_findings *findings);
/* After sorting. */
void nj_findings_drop_notes(struct nj_findings *findings);
/* Nothing in them can steer a terminal. */
void nj_findings_print(const struct nj_findings *findings, FILE *out);
/* The value of "findings": an array of objects. */
struct nj_json_out;
void nj_findings_put_json(const struct nj_findings *findings, struct nj_json_out *out);

#endif
