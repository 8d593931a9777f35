/* Native mode and compat mode: one row for each question on which they differ. The code asks the
 * settings that are filled here, never the mode. */
#include <string.h>

#include "config/config_priv.h"

#define ROW(field)                                                                                 \
    offsetof(struct nj_mode_settings, field), sizeof(((struct nj_mode_settings *)0)->field)

static const struct mode_row {
    size_t offset;
    size_t size;
    int native;
    int compat;
    const char *native_text; /* for the start-up log */
    const char *compat_text;
} rows[] = {
    {ROW(local_anonymous), false, true,
     "while no listener is configured, anonymous clients are refused",
     "while no listener is configured, anonymous clients of this machine are accepted"},
    {ROW(acl_default_allow), false, true,
     "without an ACL authenticated clients may do nothing (`acl_default allow` changes that)",
     "without an ACL everything is allowed (`acl_default deny` changes that)"},
    {ROW(default_covers_sys), false, true, "acl_default never covers $SYS and $CONTROL",
     "acl_default covers $SYS and $CONTROL, too, except dynamic security and what only nightjar "
     "has"},
    {ROW(unverified_user_counts), false, true,
     "a user name that nothing can verify counts as anonymous",
     "a user name that nothing can verify is accepted as given"},
    {ROW(leading_topics_for_all), true, false,
     "`topic` lines before the first `user` of an ACL file apply to every client that got in",
     "`topic` lines before the first `user` of an ACL file apply to anonymous clients only"},
    {ROW(any_case_keywords), true, false,
     "keywords of an ACL file may be written in any case, with a warning",
     "keywords of an ACL file are lower case only"},
    {ROW(doubtful_acl_as_text), false, true,
     "a line of an ACL file that hardly means what it says (`pattern x%u`, `topic read`) is an "
     "error",
     "a line of an ACL file that hardly means what it says (`pattern x%u`, `topic read`) is read "
     "as text, with a warning"},
    {ROW(checks_subscribe), true, false,
     "SUBSCRIBE is refused when nothing could ever be delivered",
     "SUBSCRIBE is always granted under an ACL file, deliveries are filtered"},
    {ROW(share_as_whole), false, true, "$share/group/filter is checked as filter",
     "$share/group/filter is checked as the whole string"},
    {ROW(dynsec_knows_certificates), true, false,
     "with dynamic_security the name of a certificate has to be an enabled client, or there is a "
     "certificate group",
     "a certificate's name logs in whatever dynamic_security knows of it; its roles decide"},
    {ROW(capath_by_content), true, false,
     "capath takes every *.pem and *.crt that is a CA certificate",
     "capath takes hashed names only"},
    {ROW(rights_change), NJ_RIGHTS_RECHECK, NJ_RIGHTS_KICK,
     "a change of rights takes effect on live sessions without disconnecting them "
     "(`rights_change kick` changes that)",
     "a change of rights disconnects the sessions concerned (`rights_change recheck` changes "
     "that)"},
    {ROW(session_owner), true, false,
     "a session is resumed only by the user who owns it (`session_owner none` changes that)",
     "a session is resumed by anyone with its client id (`session_owner user` changes that)"},
    {ROW(will_checked_at_connect), true, false,
     "a will's topic is checked at CONNECT and again when it fires",
     "a will's topic is checked when it fires"},
    {ROW(retain_rechecks_origin), true, false,
     "a retained message whose publisher lost the right is not delivered "
     "(`check_retain_source false` changes that)",
     "a retained message whose publisher lost the right is still delivered "
     "(`check_retain_source true` changes that)"},
    {ROW(share_skips_denied), true, false,
     "of a shared subscription, online members come first and a member denied the topic is "
     "skipped",
     "members of a shared subscription take turns, whoever is online or denied"},
    {ROW(default_argon2id), true, false, "new password hashes are argon2id",
     "new password hashes are $7$ with 1000 iterations"},
    {ROW(persistence_default), true, false, "persistence is on (`persistence false` changes that)",
     "persistence is off (`persistence true` changes that)"},
    {ROW(reload_keeps_old), true, false,
     "a broken ACL or password file on reload: the old one stays in use",
     "a broken ACL or password file on reload: the broker ends with status 3"},
    {ROW(refuses_control_chars), true, false,
     "control characters in client ids and user names are refused",
     "control characters in client ids, user names and topics end the connection, as in the "
     "original"},
    {ROW(control_api), true, false,
     "the control APIs answer whoever was given the right to them (`enable_control_api false` "
     "changes that)",
     "the control APIs are off (`enable_control_api true` changes that)"},
    {ROW(control_as_original), false, true,
     "the answer to a request on $CONTROL goes to its sender alone",
     "the answer to a request on $CONTROL goes to everyone who subscribed the response topic and "
     "may receive it"},
    {ROW(sends_reason_strings), true, false,
     "refusals say why in words to MQTT 5 clients (Reason String)",
     "refusals carry a reason code alone"},
    {ROW(sends_response_info), true, false,
     "MQTT 5 clients that ask are told a prefix for response topics (`response_information none` "
     "changes that)",
     "clients that ask for response information get none (`response_information` changes that)"},
    {ROW(checks_payload_format), true, false,
     "a payload that is said to be UTF-8 and is not is refused",
     "payloads that are said to be UTF-8 are passed on unchecked"},
    {ROW(names_unknown_ids), true, false,
     "PUBREL and PUBCOMP tell MQTT 5 clients of a packet id that nobody uses (0x92)",
     "PUBREL and PUBCOMP are the same for a packet id that nobody uses"},
    {ROW(errors_as_original), false, true,
     "MQTT 5 clients are told of errors with the code that the standard has for them, and an "
     "answer of the wrong kind (PUBREC to QoS 1) is passed over",
     "a SUBSCRIBE without filters or packet id, and a PUBLISH without a good topic, are called "
     "malformed (0x81), and an answer of the wrong kind (PUBREC to QoS 1) ends the connection"},
    {ROW(nofollow_credentials), false, true, "credential files may be symbolic links",
     "credential files may not be symbolic links (MOSQUITTO_UNSAFE_ALLOW_SYMLINKS changes that)"},
    {ROW(http_as_original), false, true,
     "a path of the HTTP API needs the right to receive its topic below $SYS",
     "a path of the HTTP API needs the right to receive the path itself, and pages of any origin "
     "may ask"},
    {ROW(proxy_needs_trusted), true, false,
     "the PROXY protocol is taken from the peers that proxy_trusted lists",
     "the PROXY protocol is taken from any peer (`proxy_trusted` changes that)"},
    {ROW(proxy_v2_before_tls), true, false,
     "a listener with a certificate of its own may use `enable_proxy_protocol 2`",
     "`enable_proxy_protocol 2` and certfile exclude each other"},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROW_COUNT <= NJ_MODE_ROWS_MAX, "NJ_MODE_ROWS_MAX");

static int get(const struct nj_mode_settings *mode, const struct mode_row *row)
{
    const char *field = (const char *)mode + row->offset;
    return row->size == sizeof(bool) ? *(const bool *)field : *(const int *)(const void *)field;
}

static void put(struct nj_mode_settings *mode, const struct mode_row *row, int value)
{
    char *field = (char *)mode + row->offset;
    if (row->size == sizeof(bool)) {
        *(bool *)field = value != 0;
    } else {
        memcpy(field, &value, sizeof(value));
    }
}

void nj_mode_init(struct nj_mode_settings *mode, bool is_compat)
{
    memset(mode, 0, sizeof(*mode));
    mode->is_compat = is_compat;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        put(mode, &rows[i], is_compat ? rows[i].compat : rows[i].native);
    }
}

void nj_mode_note_differences(struct nj_settings *settings)
{
    bool is_compat = settings->mode.is_compat;
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct mode_row *row = &rows[i];
        if (row->offset == offsetof(struct nj_mode_settings, persistence_default) &&
            settings->persistence != settings->mode.persistence_default) {
            continue;
        }
        if (get(&settings->mode, row) == (is_compat ? row->compat : row->native)) {
            settings->differences[count++] = is_compat ? row->compat_text : row->native_text;
        }
    }
    settings->differences[count] = NULL;
}

const char *const *nj_config_differences(const struct nj_settings *settings)
{
    return settings->differences;
}
