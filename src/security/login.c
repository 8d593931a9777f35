/* See login.h. */
#include "security/login.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/rand.h"
#include "security/dynsec_model.h"
#include "security/password_file.h"
#include "security/policy.h"

/* ---- the chain */

static void refuse(struct nj_login_decision *out, const char *why)
{
    *out = (struct nj_login_decision){.result = NJ_LOGIN_REFUSED, .why = why};
}

static void accept(struct nj_login_decision *out, struct nj_bytes user)
{
    *out = (struct nj_login_decision){.result = NJ_LOGIN_ACCEPTED, .user = user};
}

static void decide_password(const struct nj_scope *scope, const struct nj_login_request *request,
                            struct nj_login_decision *out)
{
    const struct nj_password_entry *entry = nj_passwords_find(scope->passwords, request->user);
    if (!request->password.ptr) {
        refuse(out, "no password given");
        return;
    }
    *out = (struct nj_login_decision){.result = NJ_LOGIN_VERIFY, .user = request->user};
    if (entry) {
        out->hash = entry->hash;
        out->credential = entry->id;
    }
}

/* Known, but not to be let in: an empty ticket, so that the answer takes as long as any other. */
static void verify_in_vain(struct nj_login_decision *out, struct nj_bytes user, const char *why)
{
    *out = (struct nj_login_decision){.result = NJ_LOGIN_VERIFY, .user = user, .why = why};
}

static bool may_use_id(const struct nj_dynsec_client *client, struct nj_bytes client_id)
{
    return !client->client_id.ptr || nj_bytes_equal(client->client_id, client_id);
}

static void decide_client(const struct nj_dynsec_client *client,
                          const struct nj_login_request *request, struct nj_login_decision *out)
{
    if (client->is_disabled) {
        verify_in_vain(out, request->user, "the client is disabled");
    } else if (!may_use_id(client, request->client_id)) {
        verify_in_vain(out, request->user, "the client is bound to another client id");
    } else if (!client->hash.ptr) {
        verify_in_vain(out, request->user, "the client has no password");
    } else {
        *out = (struct nj_login_decision){
            .result = NJ_LOGIN_VERIFY,
            .user = request->user,
            .hash = client->hash,
            .credential = client->credential,
        };
    }
}

/* Why somebody with this certificate may not come in; NULL = may. */
static const char *certificate_problem(const struct nj_dynsec_state *dynsec, struct nj_bytes name,
                                       struct nj_bytes client_id)
{
    const struct nj_dynsec_client *client = nj_dynsec_client(dynsec, name);
    if (!client) {
        const struct nj_dynsec_group *group =
            nj_dynsec_group_by_id(dynsec, dynsec->certificate_group);
        return !group ? "dynamic security does not know the certificate's name"
               : nj_dynsec_roles_may_control(dynsec, group->roles, group->role_count)
                   ? "the certificate group may administer, which needs an account"
                   : NULL;
    }
    if (client->is_disabled) {
        return "the client is disabled";
    }
    if (!may_use_id(client, client_id)) {
        return "the client is bound to another client id";
    }
    if (!client->may_use_certificate && nj_dynsec_client_may_control(dynsec, client)) {
        return "an administrator's certificate without certificateLogin";
    }
    return NULL;
}

static void decide_certificate(const struct nj_scope *scope, const struct nj_login_request *request,
                               struct nj_login_decision *out)
{
    const char *why = NULL;
    uint64_t credential = 0;
    if (request->certificate.len == 0) {
        why = "the certificate has no name";
    } else if (scope->dynsec && scope->dynsec_knows_certificates) {
        why = certificate_problem(scope->dynsec, request->certificate, request->client_id);
        credential = NJ_CREDENTIAL_CERTIFICATE;
    }
    if (why) {
        refuse(out, why);
        return;
    }
    /* The certificate is the identity; what CONNECT says of user and password is ignored. */
    accept(out, request->certificate);
    out->credential = credential;
    out->by_certificate = true;
}

static void decide_user(const struct nj_scope *scope, const struct nj_login_request *request,
                        struct nj_login_decision *out)
{
    const struct nj_dynsec_client *client = scope->dynsec && request->password.ptr
                                                ? nj_dynsec_client(scope->dynsec, request->user)
                                                : NULL;
    if (client) {
        decide_client(client, request, out);
    } else if (scope->passwords) {
        decide_password(scope, request, out);
    } else if (!request->password.ptr) {
        refuse(out, "no password given");
    } else {
        verify_in_vain(out, request->user, NULL);
    }
}

/* Nothing can verify a name here. */
static void decide_unverified(const struct nj_scope *scope, const struct nj_login_request *request,
                              struct nj_login_decision *out)
{
    if (!scope->allow_anonymous) {
        refuse(out, "no source of identities is configured");
    } else if (scope->unverified_user_counts) {
        accept(out, request->user);
        out->credential = NJ_CREDENTIAL_UNVERIFIED;
    } else {
        accept(out, nj_bytes(NULL, 0));
    }
}

void nj_login_decide(const struct nj_policy *policy, const struct nj_login_request *request,
                     struct nj_login_decision *out)
{
    const struct nj_scope *scope = nj_policy_scope(policy, request->scope);
    bool has_source = scope->passwords || scope->dynsec;
    if (request->certificate.ptr) {
        decide_certificate(scope, request, out);
    } else if (request->user.ptr && has_source) {
        decide_user(scope, request, out);
    } else if (request->user.ptr) {
        decide_unverified(scope, request, out);
    } else if (request->password.ptr && has_source) {
        refuse(out, "a password without a user name");
    } else if (scope->allow_anonymous) {
        accept(out, nj_bytes(NULL, 0));
    } else {
        refuse(out, "anonymous clients are not allowed");
    }
}

bool nj_login_still_holds(const struct nj_policy *policy, unsigned scope_index,
                          const struct nj_login_held *held)
{
    const struct nj_scope *scope = nj_policy_scope(policy, scope_index);
    const struct nj_dynsec_state *dynsec = scope->dynsec;
    if (!held->user.ptr) {
        return scope->allow_anonymous;
    }
    if (held->credential == NJ_CREDENTIAL_UNVERIFIED) {
        return !scope->passwords && !dynsec && scope->allow_anonymous &&
               scope->unverified_user_counts;
    }
    if (held->credential == NJ_CREDENTIAL_CERTIFICATE) {
        return dynsec && !certificate_problem(dynsec, held->user, held->client_id);
    }
    if (!held->credential) {
        return true; /* a certificate: looked at elsewhere */
    }
    const struct nj_dynsec_client *client = dynsec ? nj_dynsec_client(dynsec, held->user) : NULL;
    if (client) {
        return client->credential == held->credential && !client->is_disabled &&
               may_use_id(client, held->client_id);
    }
    const struct nj_password_entry *entry =
        scope->passwords ? nj_passwords_find(scope->passwords, held->user) : NULL;
    return entry && entry->id == held->credential;
}

/* ---- remembered credentials */

#define DIGEST_BYTES 32
#define LOCKS        64

struct slot {
    uint8_t digest[DIGEST_BYTES];
    uint64_t expires_ms; /* 0 = empty */
};

struct nj_remembered {
    uint8_t key[32];
    unsigned count;
    uint64_t lifetime_ms;
    pthread_mutex_t locks[LOCKS]; /* slot i belongs to lock i % LOCKS */
    struct slot slots[];
};

struct nj_remembered *nj_remembered_new(unsigned entries, uint64_t lifetime_ms)
{
    NJ_ASSERT(entries > 0);
    struct nj_remembered *remembered =
        nj_zalloc(sizeof(*remembered) + entries * sizeof(struct slot));
    remembered->count = entries;
    remembered->lifetime_ms = lifetime_ms;
    nj_rand_bytes(remembered->key, sizeof(remembered->key));
    for (int i = 0; i < LOCKS; i++) {
        (void)pthread_mutex_init(&remembered->locks[i], NULL);
    }
    return remembered;
}

void nj_remembered_free(struct nj_remembered *remembered)
{
    if (!remembered) {
        return;
    }
    for (int i = 0; i < LOCKS; i++) {
        (void)pthread_mutex_destroy(&remembered->locks[i]);
    }
    nj_free_secret(remembered, sizeof(*remembered) + remembered->count * sizeof(struct slot));
}

static bool digest_of(const struct nj_remembered *remembered, struct nj_bytes user,
                      struct nj_bytes password, struct nj_bytes hash, uint8_t out[DIGEST_BYTES])
{
    /* Lengths first, so that no two triples give the same text. */
    uint32_t lens[3] = {(uint32_t)user.len, (uint32_t)password.len, (uint32_t)hash.len};
    size_t total = sizeof(lens) + user.len + password.len + hash.len;
    uint8_t *text = nj_try_alloc(total);
    unsigned len = 0;
    if (!text) {
        return false;
    }
    memcpy(text, lens, sizeof(lens));
    size_t at = sizeof(lens);
    const struct nj_bytes parts[3] = {user, password, hash};
    for (int i = 0; i < 3; i++) {
        if (parts[i].len) {
            memcpy(text + at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    }
    bool ok = HMAC(EVP_sha256(), remembered->key, (int)sizeof(remembered->key), text, total, out,
                   &len) != NULL;
    nj_free_secret(text, total);
    return ok && len == DIGEST_BYTES;
}

static unsigned place_of(const struct nj_remembered *remembered, const uint8_t *digest)
{
    uint64_t value;
    memcpy(&value, digest, sizeof(value));
    return (unsigned)(value % remembered->count);
}

bool nj_remembered_has(struct nj_remembered *remembered, struct nj_bytes user,
                       struct nj_bytes password, struct nj_bytes hash, uint64_t now_ms)
{
    uint8_t digest[DIGEST_BYTES];
    if (!digest_of(remembered, user, password, hash, digest)) {
        return false;
    }
    unsigned place = place_of(remembered, digest);
    struct slot *slot = &remembered->slots[place];
    (void)pthread_mutex_lock(&remembered->locks[place % LOCKS]);
    if (slot->expires_ms <= now_ms) {
        nj_wipe(slot, sizeof(*slot));
    }
    bool has = slot->expires_ms && CRYPTO_memcmp(slot->digest, digest, DIGEST_BYTES) == 0;
    (void)pthread_mutex_unlock(&remembered->locks[place % LOCKS]);
    return has;
}

void nj_remembered_add(struct nj_remembered *remembered, struct nj_bytes user,
                       struct nj_bytes password, struct nj_bytes hash, uint64_t now_ms)
{
    uint8_t digest[DIGEST_BYTES];
    if (!digest_of(remembered, user, password, hash, digest)) {
        return;
    }
    unsigned place = place_of(remembered, digest);
    struct slot *slot = &remembered->slots[place];
    (void)pthread_mutex_lock(&remembered->locks[place % LOCKS]);
    memcpy(slot->digest, digest, DIGEST_BYTES);
    slot->expires_ms = now_ms + remembered->lifetime_ms;
    (void)pthread_mutex_unlock(&remembered->locks[place % LOCKS]);
}
