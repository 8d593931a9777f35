/* See proxy.h. Version 1 is a line of text, version 2 is binary:
 *
 *     signature, 12 bytes | version 2 and command | family and protocol | length, 2 bytes |
 *     source address, destination address, source port, destination port | TLVs
 *
 * A TLV is type, length (2 bytes), value; the value of PP2_TYPE_SSL holds TLVs again. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "net/socket_priv.h"
#include "net/text_priv.h"

static enum nj_err refuse(const char **why, const char *text)
{
    *why = text;
    return NJ_EMALFORMED;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 1883\r\n" */

/* Cuts the next word off; words are divided by exactly one blank. False: there is none. */
static bool next_word(struct nj_bytes *rest, char *out, size_t size)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(out, rest->ptr, len);
    out[len] = '\0';
    size_t taken = end != NULL ? len + 1 : len;
    rest->ptr += taken;
    rest->len -= taken;
    /* A blank at the end announces a word that does not come. */
    return end == NULL || rest->len > 0;
}

static bool next_address(struct nj_bytes *rest, int family, struct nj_addr *out)
{
    char word[INET6_ADDRSTRLEN];
    out->family = (uint16_t)family;
    return next_word(rest, word, sizeof(word)) && inet_pton(family, word, out->ip) == 1;
}

static bool next_port(struct nj_bytes *rest, uint16_t *out)
{
    char word[6];
    if (!next_word(rest, word, sizeof(word)) || (word[0] == '0' && word[1] != '\0')) {
        return false;
    }
    uint32_t value = 0;
    for (const char *at = word; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(*at - '0');
    }
    *out = (uint16_t)value;
    return value <= 65535;
}

static enum nj_err parse_line(struct nj_bytes line, struct nj_proxy_header *header,
                              const char **why)
{
    char word[8];
    if (!next_word(&line, word, sizeof(word))) {
        return refuse(why, "the family is missing");
    }
    if (strcmp(word, "UNKNOWN") == 0) {
        /* Whatever follows is to be ignored. */
        header->is_local = true;
        return NJ_OK;
    }
    int family = strcmp(word, "TCP4") == 0 ? AF_INET : strcmp(word, "TCP6") == 0 ? AF_INET6 : 0;
    if (family == 0) {
        return refuse(why, "the family is neither TCP4 nor TCP6 nor UNKNOWN");
    }
    if (!next_address(&line, family, &header->source) ||
        !next_address(&line, family, &header->destination)) {
        return refuse(why, "bad address");
    }
    if (!next_port(&line, &header->source.port) || !next_port(&line, &header->destination.port) ||
        line.len > 0) {
        return refuse(why, "bad port");
    }
    return NJ_OK;
}

static enum nj_err parse_v1(const uint8_t *data, size_t len, struct nj_proxy_header *header,
                            size_t *used, const char **why)
{
    static const char start[] = "PROXY ";
    size_t start_len = sizeof(start) - 1;
    if (memcmp(data, start, len < start_len ? len : start_len) != 0) {
        return refuse(why, "it does not begin with PROXY");
    }
    size_t max = len < NJ_PROXY_V1_MAX ? len : NJ_PROXY_V1_MAX;
    size_t at = start_len;
    while (at < max && data[at] >= 0x20 && data[at] <= 0x7e) {
        at++;
    }
    if (at >= max) {
        return max == NJ_PROXY_V1_MAX ? refuse(why, "the line is too long") : NJ_EAGAIN;
    }
    if (data[at] != '\r' || at + 2 > NJ_PROXY_V1_MAX || (at + 1 < len && data[at + 1] != '\n')) {
        return refuse(why, "the line does not end with CRLF");
    }
    if (at + 1 >= len) {
        return NJ_EAGAIN;
    }
    *used = at + 2;
    enum nj_err err = parse_line(nj_bytes(data + start_len, at - start_len), header, why);
    nj_addr_unmap(&header->source);
    nj_addr_unmap(&header->destination);
    return err;
}

/* ---- version 2 */

#define V2_HEAD 16

enum {
    TYPE_AUTHORITY = 0x02,
    TYPE_CRC32C = 0x03,
    TYPE_NOOP = 0x04,
    TYPE_SSL = 0x20,
    SUBTYPE_VERSION = 0x21,
    SUBTYPE_CN = 0x22,
    SUBTYPE_CIPHER = 0x23
};

/* Bits of the first byte of PP2_TYPE_SSL. */
#define CLIENT_SSL       0x01
#define CLIENT_CERT_CONN 0x02
#define CLIENT_CERT_SESS 0x04

static unsigned get_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The checksum is that of the header with zeros in its own place. */
static bool has_right_checksum(const uint8_t *data, size_t len, struct nj_bytes given)
{
    static const uint8_t zeros[4];
    size_t before = (size_t)(given.ptr - data);
    uint32_t crc = nj_crc32c(0, data, before);
    crc = nj_crc32c(crc, zeros, sizeof(zeros));
    crc = nj_crc32c(crc, given.ptr + 4, len - before - 4);
    return crc == get_u32(given.ptr);
}

struct tlv {
    unsigned type;
    struct nj_bytes value;
};

/* Takes the next TLV off. NJ_ENOENT: there is none. */
static enum nj_err next_tlv(struct nj_bytes *rest, struct tlv *out, const char **why)
{
    if (rest->len == 0) {
        return NJ_ENOENT;
    }
    if (rest->len < 3 || rest->len - 3 < get_u16(rest->ptr + 1)) {
        return refuse(why, "a TLV goes beyond the end");
    }
    out->type = rest->ptr[0];
    out->value = nj_bytes(rest->ptr + 3, get_u16(rest->ptr + 1));
    rest->ptr += 3 + out->value.len;
    rest->len -= 3 + out->value.len;
    if (out->value.len == 0 && out->type != TYPE_NOOP) {
        return refuse(why, "a TLV is empty");
    }
    return NJ_OK;
}

/* Keeps a view of a value that may come once. */
static enum nj_err keep(struct nj_bytes *field, struct nj_bytes value, const char **why)
{
    if (field->len > 0) {
        return refuse(why, "a TLV comes twice");
    }
    *field = value;
    return NJ_OK;
}

static bool is_printable(struct nj_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

/* The same rules as for the common name of a certificate that the broker itself verifies. */
static bool is_usable_name(struct nj_bytes name)
{
    return nj_name_state_of_text(name.ptr, name.len) == NJ_TLS_NAME_OK;
}

static enum nj_err parse_ssl(struct nj_bytes value, struct nj_proxy_header *header,
                             const char **why)
{
    if (value.len < 5) {
        return refuse(why, "the TLS information is cut short");
    }
    unsigned client = value.ptr[0];
    uint32_t verify = get_u32(value.ptr + 1);
    struct nj_bytes rest = nj_bytes(value.ptr + 5, value.len - 5);
    struct nj_bytes name = {0};
    struct tlv tlv = {0};
    enum nj_err err;
    int count = 0;
    while ((err = next_tlv(&rest, &tlv, why)) == NJ_OK && ++count <= NJ_PROXY_TLVS_MAX) {
        if (tlv.type == SUBTYPE_CN) {
            err = keep(&name, tlv.value, why);
        } else if (tlv.type == SUBTYPE_VERSION) {
            err = keep(&header->tls_version, tlv.value, why);
        } else if (tlv.type == SUBTYPE_CIPHER) {
            err = keep(&header->tls_cipher, tlv.value, why);
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    if (err != NJ_ENOENT) {
        return err == NJ_OK ? refuse(why, "too many TLVs") : err;
    }
    if (!is_printable(header->tls_version) || !is_printable(header->tls_cipher)) {
        return refuse(why, "the TLS version or cipher is no name");
    }
    if (name.len > 0 && !is_usable_name(name)) {
        return refuse(why, "the common name is too long or not valid");
    }
    header->has_tls = (client & CLIENT_SSL) != 0;
    header->has_certificate =
        header->has_tls && (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) != 0 && verify == 0;
    if (header->has_certificate) {
        header->common_name = name;
    }
    return NJ_OK;
}

static enum nj_err parse_tlvs(struct nj_bytes rest, struct nj_proxy_header *header,
                              struct nj_bytes *checksum, const char **why)
{
    struct nj_bytes ssl = {0};
    struct tlv tlv = {0};
    enum nj_err err;
    int count = 0;
    while ((err = next_tlv(&rest, &tlv, why)) == NJ_OK && ++count <= NJ_PROXY_TLVS_MAX) {
        if (tlv.type == TYPE_SSL) {
            err = keep(&ssl, tlv.value, why);
        } else if (tlv.type == TYPE_AUTHORITY) {
            err = keep(&header->authority, tlv.value, why);
        } else if (tlv.type == TYPE_CRC32C) {
            err = keep(checksum, tlv.value, why);
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    if (err != NJ_ENOENT) {
        return err == NJ_OK ? refuse(why, "too many TLVs") : err;
    }
    if (checksum->len > 0 && checksum->len != 4) {
        return refuse(why, "the checksum is not 4 bytes long");
    }
    if (header->authority.len > 255 || !is_printable(header->authority)) {
        return refuse(why, "the authority is no host name");
    }
    return ssl.len > 0 ? parse_ssl(ssl, header, why) : NJ_OK;
}

static void take_address(struct nj_addr *out, int family, const uint8_t *ip, const uint8_t *port)
{
    out->family = (uint16_t)family;
    memcpy(out->ip, ip, family == AF_INET ? 4 : 16);
    out->port = (uint16_t)get_u16(port);
    nj_addr_unmap(out);
}

/* Sets the addresses and cuts them off. */
static enum nj_err take_addresses(unsigned family, struct nj_bytes *rest,
                                  struct nj_proxy_header *header, const char **why)
{
    const uint8_t *at = rest->ptr;
    size_t size = family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 216 : 0;
    if (size == 0) {
        return refuse(why, "the family is not TCP over IPv4 or IPv6, nor a unix stream");
    }
    if (rest->len < size) {
        return refuse(why, "the addresses are cut short");
    }
    if (family == 0x11) {
        take_address(&header->source, AF_INET, at, at + 8);
        take_address(&header->destination, AF_INET, at + 4, at + 10);
    } else if (family == 0x21) {
        take_address(&header->source, AF_INET6, at, at + 32);
        take_address(&header->destination, AF_INET6, at + 16, at + 34);
    } else {
        if (memchr(at, 0, 108) == NULL || memchr(at + 108, 0, 108) == NULL) {
            return refuse(why, "a socket path does not end");
        }
        header->source.family = AF_UNIX;
        header->destination.family = AF_UNIX;
    }
    rest->ptr += size;
    rest->len -= size;
    return NJ_OK;
}

static enum nj_err parse_v2(const uint8_t *data, size_t len, struct nj_proxy_header *header,
                            size_t *used, const char **why)
{
    static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
    if (memcmp(data, signature, len < sizeof(signature) ? len : sizeof(signature)) != 0) {
        return refuse(why, "it does not begin with the signature");
    }
    if (len > 12 && data[12] != 0x20 && data[12] != 0x21) {
        return refuse(why, "unknown version or command");
    }
    if (len < V2_HEAD) {
        return NJ_EAGAIN;
    }
    size_t total = V2_HEAD + get_u16(data + 14);
    if (total > NJ_PROXY_V2_MAX) {
        return refuse(why, "the header is too long");
    }
    if (len < total) {
        return NJ_EAGAIN;
    }
    *used = total;
    struct nj_bytes rest = nj_bytes(data + V2_HEAD, total - V2_HEAD);
    if (data[12] == 0x20) {
        /* LOCAL: everything else is to be ignored, whatever it is. */
        header->is_local = true;
        return NJ_OK;
    }
    struct nj_bytes checksum = {0};
    enum nj_err err = take_addresses(data[13], &rest, header, why);
    if (err == NJ_OK) {
        err = parse_tlvs(rest, header, &checksum, why);
    }
    if (err == NJ_OK && checksum.len > 0 && !has_right_checksum(data, total, checksum)) {
        return refuse(why, "the checksum is wrong");
    }
    return err;
}

enum nj_err nj_proxy_parse(int version, const uint8_t *data, size_t len,
                           struct nj_proxy_header *header, size_t *used, const char **why)
{
    struct nj_proxy_header found = {0};
    if (len == 0) {
        return NJ_EAGAIN;
    }
    enum nj_err err = version == 1 ? parse_v1(data, len, &found, used, why)
                                   : parse_v2(data, len, &found, used, why);
    if (err == NJ_OK) {
        *header = found;
    }
    return err;
}

/* ---- from a socket */

static ssize_t receive(int fd, uint8_t *room, size_t len, int flags)
{
    ssize_t done;
    do {
        done = recv(fd, room, len, flags | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    return done;
}

enum nj_err nj_proxy_read(int fd, int version, uint8_t *room, struct nj_proxy_header *header,
                          const char **why)
{
    ssize_t have = receive(fd, room, version == 1 ? NJ_PROXY_V1_MAX : NJ_PROXY_V2_MAX, MSG_PEEK);
    if (have == 0) {
        return NJ_ECLOSED;
    }
    if (have < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? NJ_EAGAIN
               : errno == ECONNRESET                   ? NJ_ECLOSED
                                                       : NJ_ESYS;
    }
    size_t used = 0;
    enum nj_err err = nj_proxy_parse(version, room, (size_t)have, header, &used, why);
    if (err != NJ_OK) {
        return err;
    }
    /* They are there: a peek has just shown them. */
    return receive(fd, room, used, 0) == (ssize_t)used ? NJ_OK : NJ_ESYS;
}
