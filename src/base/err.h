/* Error codes shared by every room, and the two kinds of assertion.
 * One list gives the enum, the names and the texts; see err.c. */
#ifndef NJ_BASE_ERR_H
#define NJ_BASE_ERR_H

#define NJ_NODISCARD                    __attribute__((warn_unused_result))
#define NJ_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define NJ_LIKELY(x)                    __builtin_expect(!!(x), 1)
#define NJ_UNLIKELY(x)                  __builtin_expect(!!(x), 0)

/* X(name, text). NJ_EAGAIN and NJ_EDECLINED mean the same thing everywhere. */
#define NJ_ERR_LIST(X)                                                                             \
    X(OK, "success")                                                                               \
    X(EAGAIN, "need more data, or the operation would block")                                      \
    X(EDECLINED, "not responsible, ask the next one")                                              \
    X(ENOMEM, "out of memory")                                                                     \
    X(EINVAL, "invalid argument or value")                                                         \
    X(EMALFORMED, "malformed packet or file")                                                      \
    X(EPROTOCOL, "protocol error")                                                                 \
    X(ETOOBIG, "too large")                                                                        \
    X(ELIMIT, "a configured limit was reached")                                                    \
    X(ENOENT, "not found")                                                                         \
    X(EEXIST, "already exists")                                                                    \
    X(EACCES, "permission denied")                                                                 \
    X(EAUTH, "not authenticated")                                                                  \
    X(EIO, "input/output error")                                                                   \
    X(ENOSPC, "no space left")                                                                     \
    X(EBUSY, "busy")                                                                               \
    X(ECLOSED, "closed by the peer")                                                               \
    X(ETIMEDOUT, "timed out")                                                                      \
    X(ENOTSUP, "not supported")                                                                    \
    X(ETLS, "TLS error")                                                                           \
    X(ESYS, "system call failed")

enum nj_err {
#define NJ_ERR_ENUM(name, text) NJ_##name,
    NJ_ERR_LIST(NJ_ERR_ENUM)
#undef NJ_ERR_ENUM
    NJ_ERR_COUNT
};

/* Short name ("ENOMEM") and sentence for an error. Never NULL. Any thread. */
const char *nj_err_name(enum nj_err err);
const char *nj_err_text(enum nj_err err);

/* Prints where and what to stderr and aborts. For bugs only, never for bad input. */
__attribute__((noreturn)) void nj_assert_failed(const char *expr, const char *file, int line);

#define NJ_ASSERT(expr)                                                                            \
    do {                                                                                           \
        if (NJ_UNLIKELY(!(expr))) {                                                                \
            nj_assert_failed(#expr, __FILE__, __LINE__);                                           \
        }                                                                                          \
    } while (0)

#ifdef NJ_DEBUG
#    define NJ_DEBUG_ASSERT(expr) NJ_ASSERT(expr)
#else
#    define NJ_DEBUG_ASSERT(expr) ((void)0)
#endif

#endif
