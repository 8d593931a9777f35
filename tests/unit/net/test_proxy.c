/* Headers of the PROXY protocol: what is right, and everything that is refused. */
#include <sys/socket.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/proxy.h"
#include "support/test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4      "\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x07\x5b" /* 203.0.113.7:51234 */

static const char *parse_why;

static enum nj_err parse(int version, const void *data, size_t len, struct nj_proxy_header *header)
{
    size_t used = 0;
    parse_why = NULL;
    enum nj_err err = nj_proxy_parse(version, data, len, header, &used, &parse_why);
    if (err == NJ_OK) {
        assert_int_equal(used, len);
    }
    return err;
}

static void assert_addr(const struct nj_addr *addr, const char *text, unsigned port)
{
    char out[NJ_ADDR_TEXT_MAX];
    assert_string_equal(nj_addr_text(addr, out), text);
    assert_int_equal(addr->port, port);
}

static void assert_bytes(struct nj_bytes bytes, const char *text)
{
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.ptr, text, bytes.len);
}

/* ---- version 1 */

static void v1_names_both_ends(void **state)
{
    (void)state;
    struct nj_proxy_header header;
    const char four[] = "PROXY TCP4 203.0.113.7 192.0.2.1 51234 1883\r\n";
    assert_int_equal(parse(1, four, strlen(four), &header), NJ_OK);
    assert_addr(&header.source, "203.0.113.7", 51234);
    assert_addr(&header.destination, "192.0.2.1", 1883);
    assert_false(header.is_local);
    const char six[] = "PROXY TCP6 2001:db8::7 2001:DB8::1 0 65535\r\n";
    assert_int_equal(parse(1, six, strlen(six), &header), NJ_OK);
    assert_addr(&header.source, "2001:db8::7", 0);
    assert_addr(&header.destination, "2001:db8::1", 65535);
    const char mapped[] = "PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n";
    assert_int_equal(parse(1, mapped, strlen(mapped), &header), NJ_OK);
    assert_addr(&header.source, "203.0.113.7", 1);
    assert_int_equal(header.source.family, AF_INET);
}

static void B_235_v1_unknown_means_the_connection_itself(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        "PROXY UNKNOWN whatever  it is\r\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct nj_proxy_header header;
        assert_int_equal(parse(1, lines[i], strlen(lines[i]), &header), NJ_OK);
        assert_true(header.is_local);
        assert_int_equal(header.source.family, 0);
    }
}

static void B_234_v1_takes_nothing_that_is_almost_right(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY TCP4 999.1.1.1 192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 65536 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 -1 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 +1 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 007 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 99999\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 123456\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1x 2\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        "PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1\r\n",
        "PROXY TCP4 203.0.113.7\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 2 \r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 2 3\r\n",
        "PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY  TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113.7\t192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\rX",
        "PROXY TCP4 203.0.113.07 192.0.2.1 1 2\r\n",
        "PROXY TCP4 203.0.113 192.0.2.1 1 2\r\n",
        "PROXY TCP4 0xcb.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY tcp4 203.0.113.7 192.0.2.1 1 2\r\n",
        "proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY TCP44 203.0.113.7 192.0.2.1 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "\r\n",
        "PROXYTCP4 203.0.113.7 192.0.2.1 1 2\r\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct nj_proxy_header header;
        if (parse(1, lines[i], strlen(lines[i]), &header) != NJ_EMALFORMED) {
            fail_msg("taken: %s", lines[i]);
        }
        assert_non_null(parse_why);
    }
    char line[200];
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    struct nj_proxy_header header;
    memcpy(line + NJ_PROXY_V1_MAX - 2, "\r\n", 2);
    assert_int_equal(parse(1, line, NJ_PROXY_V1_MAX, &header), NJ_OK);
    memcpy(line + NJ_PROXY_V1_MAX - 2, "x\r\n", 3);
    assert_int_equal(parse(1, line, NJ_PROXY_V1_MAX + 1, &header), NJ_EMALFORMED);
    assert_int_equal(parse(1, line, NJ_PROXY_V1_MAX, &header), NJ_EMALFORMED);
    assert_int_equal(parse(1, line, NJ_PROXY_V1_MAX - 1, &header), NJ_EAGAIN);
    assert_int_equal(parse(1, "PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n", 33, &header), NJ_EMALFORMED);
}

/* ---- version 2 */

struct made {
    uint8_t data[NJ_PROXY_V2_MAX + 16];
    size_t len;
};

/* A header of version 2; its length field is right. */
static void make(struct made *made, unsigned command, unsigned family, const void *body, size_t len)
{
    memcpy(made->data, SIGNATURE, 12);
    made->data[12] = (uint8_t)command;
    made->data[13] = (uint8_t)family;
    made->data[14] = (uint8_t)(len >> 8);
    made->data[15] = (uint8_t)len;
    memcpy(made->data + 16, body, len);
    made->len = 16 + len;
}

#define MAKE(made, command, family, text) make(made, command, family, text, sizeof(text) - 1)

static enum nj_err parse_made(const struct made *made, struct nj_proxy_header *header)
{
    return parse(2, made->data, made->len, header);
}

static void v2_names_both_ends(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x21, 0x11, TCP4);
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    assert_addr(&header.source, "203.0.113.7", 51234);
    assert_addr(&header.destination, "192.0.2.1", 1883);
    assert_false(header.has_tls);
    MAKE(&made, 0x21, 0x21,
         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
         "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01\x00\x01\x00\x02");
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    assert_addr(&header.source, "2001:db8::7", 1);
    assert_addr(&header.destination, "192.0.2.1", 2);
    uint8_t paths[216] = "/run/a.sock";
    make(&made, 0x21, 0x31, paths, sizeof(paths));
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    assert_int_equal(header.source.family, AF_UNIX);
}

static void v2_local_means_the_connection_itself_whatever_follows(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x20, 0x00, "");
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    assert_true(header.is_local);
    MAKE(&made, 0x20, 0x7f, "nonsense");
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    assert_true(header.is_local);
}

static void v2_tells_what_the_proxy_knows_of_tls(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x21, 0x11,
         TCP4 "\x02\x00\x0b"
              "example.org"
              "\x20\x00\x1d"
              "\x07\x00\x00\x00\x00"
              "\x21\x00\x07"
              "TLSv1.3"
              "\x22\x00\x05"
              "alice"
              "\x23\x00\x03"
              "AES"
              "\x04\x00\x00"
              "\xe0\x00\x01x");
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    assert_true(header.has_tls);
    assert_true(header.has_certificate);
    assert_bytes(header.common_name, "alice");
    assert_bytes(header.tls_version, "TLSv1.3");
    assert_bytes(header.tls_cipher, "AES");
    assert_bytes(header.authority, "example.org");
}

static void B_242_v2_a_certificate_that_was_not_verified_names_nobody(void **state)
{
    (void)state;
    static const char *const firsts[] = {
        "\x07\x00\x00\x00\x01",                         /* the verification failed */
        "\x07\xff\xff\xff\xff", "\x01\x00\x00\x00\x00", /* there was no certificate */
        "\x06\x00\x00\x00\x00",                         /* there was no TLS */
    };
    for (size_t i = 0; i < 4; i++) {
        struct made made;
        struct nj_proxy_header header;
        MAKE(&made, 0x21, 0x11,
             TCP4 "\x20\x00\x0d"
                  "....."
                  "\x22\x00\x05"
                  "alice");
        memcpy(made.data + 31, firsts[i], 5);
        assert_int_equal(parse_made(&made, &header), NJ_OK);
        assert_false(header.has_certificate);
        assert_int_equal(header.common_name.len, 0);
    }
}

static void B_244_v2_checks_the_checksum_when_there_is_one(void **state)
{
    (void)state;
    /* The value was computed with another implementation of CRC32C. */
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x21, 0x11, TCP4 "\x03\x00\x04\x6d\x72\x01\x83");
    enum nj_err err = parse_made(&made, &header);
    assert_int_equal(err, NJ_OK);
    for (size_t at = 16; at < made.len; at++) {
        made.data[at] ^= 1;
        assert_int_equal(parse_made(&made, &header), NJ_EMALFORMED);
        made.data[at] ^= 1;
    }
}

static void B_236_B_237_B_239_v2_head_is_exact(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x21, 0x11, TCP4);
    for (size_t bit = 0; bit < 96; bit++) {
        made.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(parse_made(&made, &header), NJ_EMALFORMED);
        made.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (unsigned command = 0; command < 256; command++) {
        made.data[12] = (uint8_t)command;
        enum nj_err want = command == 0x20 || command == 0x21 ? NJ_OK : NJ_EMALFORMED;
        assert_int_equal(parse_made(&made, &header), want);
    }
    uint8_t body[216] = {0};
    for (unsigned family = 0; family < 256; family++) {
        make(&made, 0x21, family, body, sizeof(body));
        bool is_known = family == 0x31; /* the others have zeros as TLVs, which are refused */
        assert_int_equal(parse_made(&made, &header), is_known ? NJ_OK : NJ_EMALFORMED);
    }
    memset(body, 'x', sizeof(body));
    make(&made, 0x21, 0x31, body, sizeof(body));
    assert_int_equal(parse_made(&made, &header), NJ_EMALFORMED);
}

static void B_240_L130_v2_lengths_fit(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    const uint8_t body[512] = {0};
    static const struct {
        unsigned family;
        size_t right;
    } families[] = {{0x11, 12}, {0x21, 36}, {0x31, 216}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 0; len < families[i].right + 3; len++) {
            make(&made, 0x21, families[i].family, body, len);
            enum nj_err want = len == families[i].right ? NJ_OK : NJ_EMALFORMED;
            assert_int_equal(parse_made(&made, &header), want);
        }
    }
    /* Too long is refused at the head; nothing waits for it. */
    MAKE(&made, 0x21, 0x11, TCP4);
    made.data[14] = 0xff;
    made.data[15] = 0xff;
    assert_int_equal(parse(2, made.data, 16, &header), NJ_EMALFORMED);
    size_t longest = NJ_PROXY_V2_MAX - 16;
    made.data[14] = (uint8_t)((longest + 1) >> 8);
    made.data[15] = (uint8_t)(longest + 1);
    assert_int_equal(parse(2, made.data, 16, &header), NJ_EMALFORMED);
    made.data[14] = (uint8_t)(longest >> 8);
    made.data[15] = (uint8_t)longest;
    assert_int_equal(parse(2, made.data, 16, &header), NJ_EAGAIN);
}

static void B_241_L074_v2_tlvs_are_whole_single_and_few(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
#define BAD(text) {TCP4 text, sizeof(TCP4 text) - 1}
        BAD("\x04"),
        BAD("\x04\x00"),
        BAD("\x04\x00\x01"),               /* past the end by one */
        BAD("\x05\x00\x00"),               /* empty */
        BAD("\x02\x00\x01h\x02\x00\x01h"), /* twice */
        BAD("\x02\x00\x02h\n"),            /* no host name */
        BAD("\x03\x00\x03"
            "abc"),                                /* a checksum of 3 bytes */
        BAD("\x20\x00\x04\x07\0\0\0"),             /* TLS information cut short */
        BAD("\x20\x00\x06\x07\0\0\0\0\x22"),       /* a TLV in it cut short */
        BAD("\x20\x00\x08\x07\0\0\0\0\x22\0\x01"), /* past the end by one */
        BAD("\x20\x00\x08\x07\0\0\0\0\x22\0\0"),   /* an empty name */
        BAD("\x20\x00\x0d\x07\0\0\0\0\x22\0\x01"
            "a\x22\0\x01"
            "b"), /* two names */
        BAD("\x20\x00\x0a\x07\0\0\0\0\x22\0\x02"
            "a\0"), /* NUL */
        BAD("\x20\x00\x0b\x07\0\0\0\0\x22\0\x03"
            "a\r\n"), /* CRLF */
        BAD("\x20\x00\x0a\x07\0\0\0\0\x22\0\x02"
            "a\xff"), /* invalid UTF-8 */
        BAD("\x20\x00\x0a\x07\0\0\0\0\x21\0\x02"
            "a\n"),                                              /* a version with LF */
        BAD("\x20\x00\x05\x07\0\0\0\0\x20\x00\x05\x07\0\0\0\0"), /* twice */
#undef BAD
    };
    struct made made;
    struct nj_proxy_header header;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make(&made, 0x21, 0x11, bad[i].text, bad[i].len);
        if (parse_made(&made, &header) != NJ_EMALFORMED) {
            fail_msg("TLV case %zu was taken", i);
        }
    }
    uint8_t body[12 + 3 * (NJ_PROXY_TLVS_MAX + 1)] = {0};
    memcpy(body, TCP4, 12);
    for (size_t i = 0; i <= NJ_PROXY_TLVS_MAX; i++) {
        body[12 + 3 * i] = 0x04;
    }
    make(&made, 0x21, 0x11, body, sizeof(body) - 3);
    assert_int_equal(parse_made(&made, &header), NJ_OK);
    make(&made, 0x21, 0x11, body, sizeof(body));
    assert_int_equal(parse_made(&made, &header), NJ_EMALFORMED);
}

static void L074_v2_names_of_64_characters_are_the_longest(void **state)
{
    (void)state;
    for (unsigned len = 63; len <= 65; len++) {
        uint8_t body[200];
        struct made made;
        struct nj_proxy_header header;
        const uint8_t head[] = {0x20, 0, (uint8_t)(len + 8), 0x07, 0, 0, 0, 0,
                                0x22, 0, (uint8_t)len};
        memcpy(body, TCP4, 12);
        memcpy(body + 12, head, sizeof(head));
        memset(body + 12 + sizeof(head), 'n', len);
        make(&made, 0x21, 0x11, body, 12 + sizeof(head) + len);
        assert_int_equal(parse_made(&made, &header), len <= 64 ? NJ_OK : NJ_EMALFORMED);
    }
}

/* ---- both */

static void a_header_may_come_in_any_pieces(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x21, 0x11,
         TCP4 "\x04\x00\x03"
              "abc");
    for (size_t len = 0; len < made.len; len++) {
        assert_int_equal(parse(2, made.data, len, &header), NJ_EAGAIN);
    }
    const char line[] = "PROXY TCP4 203.0.113.7 192.0.2.1 51234 1883\r\n";
    for (size_t len = 0; len < strlen(line); len++) {
        assert_int_equal(parse(1, line, len, &header), NJ_EAGAIN);
    }
}

static void one_version_is_not_the_other(void **state)
{
    (void)state;
    struct made made;
    struct nj_proxy_header header;
    MAKE(&made, 0x21, 0x11, TCP4);
    assert_int_equal(parse(1, made.data, made.len, &header), NJ_EMALFORMED);
    const char line[] = "PROXY UNKNOWN\r\n";
    assert_int_equal(parse(2, line, strlen(line), &header), NJ_EMALFORMED);
}

static void reading_leaves_what_follows_in_the_socket(void **state)
{
    (void)state;
    int ends[2];
    uint8_t room[NJ_PROXY_V2_MAX];
    char rest[16];
    struct nj_proxy_header header;
    const char *why = NULL;
    const char sent[] = "PROXY TCP4 203.0.113.7 192.0.2.1 51234 1883\r\nMQTT";
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(nj_proxy_read(ends[0], 1, room, &header, &why), NJ_EAGAIN);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(write(ends[1], sent + i, 1), 1);
        assert_int_equal(nj_proxy_read(ends[0], 1, room, &header, &why), NJ_EAGAIN);
    }
    assert_int_equal(write(ends[1], sent + 20, strlen(sent) - 20), strlen(sent) - 20);
    assert_int_equal(nj_proxy_read(ends[0], 1, room, &header, &why), NJ_OK);
    assert_addr(&header.source, "203.0.113.7", 51234);
    assert_int_equal(read(ends[0], rest, sizeof(rest)), 4);
    assert_memory_equal(rest, "MQTT", 4);
    (void)close(ends[1]);
    assert_int_equal(nj_proxy_read(ends[0], 1, room, &header, &why), NJ_ECLOSED);
    (void)close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_names_both_ends),
        cmocka_unit_test(B_235_v1_unknown_means_the_connection_itself),
        cmocka_unit_test(B_234_v1_takes_nothing_that_is_almost_right),
        cmocka_unit_test(v2_names_both_ends),
        cmocka_unit_test(v2_local_means_the_connection_itself_whatever_follows),
        cmocka_unit_test(v2_tells_what_the_proxy_knows_of_tls),
        cmocka_unit_test(B_242_v2_a_certificate_that_was_not_verified_names_nobody),
        cmocka_unit_test(B_244_v2_checks_the_checksum_when_there_is_one),
        cmocka_unit_test(B_236_B_237_B_239_v2_head_is_exact),
        cmocka_unit_test(B_240_L130_v2_lengths_fit),
        cmocka_unit_test(B_241_L074_v2_tlvs_are_whole_single_and_few),
        cmocka_unit_test(L074_v2_names_of_64_characters_are_the_longest),
        cmocka_unit_test(a_header_may_come_in_any_pieces),
        cmocka_unit_test(one_version_is_not_the_other),
        cmocka_unit_test(reading_leaves_what_follows_in_the_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
