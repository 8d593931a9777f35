"""A certificate factory for tests: authorities, servers, clients, and every odd shape that a broker
has to refuse. Elliptic-curve keys by default, because they are made in a millisecond."""
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.utcnow()


def name_of(common_name, **parts):
    """A subject; common_name may be a list (several CNs) or None (no CN at all)."""
    attributes = []
    for key, value in parts.items():
        attributes.append(x509.NameAttribute(getattr(NameOID, key.upper()), value))
    names = common_name if isinstance(common_name, list) else [common_name]
    for one in names:
        if one is not None:
            attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, one, _validate=False)
                              if not 1 <= len(one) <= 64
                              else x509.NameAttribute(NameOID.COMMON_NAME, one))
    return x509.Name(attributes)


def pem(thing):
    if hasattr(thing, "private_bytes"):
        return thing.private_bytes(serialization.Encoding.PEM,
                                   serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
    return thing.public_bytes(serialization.Encoding.PEM)


class Cert:
    """A certificate with its key, and the files it was written to."""

    def __init__(self, cert, key, issuer=None):
        self.cert, self.key, self.issuer = cert, key, issuer
        self.crt_path = self.key_path = None

    @property
    def chain_pem(self):
        """This certificate and the intermediate ones above it, without the root."""
        out, at = pem(self.cert), self.issuer
        while at is not None and at.issuer is not None:
            out += pem(at.cert)
            at = at.issuer
        return out

    def write(self, folder, stem):
        self.crt_path, self.key_path = folder / f"{stem}.crt", folder / f"{stem}.key"
        self.crt_path.write_bytes(self.chain_pem)
        self.key_path.write_bytes(pem(self.key))
        self.key_path.chmod(0o600)
        return self

    def context(self, ca=None, tls13=None):
        """A client's SSL context that presents this certificate and trusts `ca`."""
        return client_context(ca, self, tls13)

    def is_weak(self):
        """Whether OpenSSL's client would not even load it at its usual security level."""
        return (getattr(self.key, "key_size", 256) in range(512, 2048)
                or self.cert.signature_hash_algorithm.name == "sha1")


class Authority(Cert):
    """A certificate that signs others."""

    def issue(self, common_name="client", *, days=(-1, 30), purpose="client", names=(), is_ca=None,
              key=None, serial=None, digest=None, subject=None, usage=True, path_length=None,
              key_usage=None):
        """A certificate signed by this one. purpose: client, server, both, other or None."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        start = now()
        builder = (x509.CertificateBuilder()
                   .subject_name(subject or name_of(common_name))
                   .issuer_name(self.cert.subject)
                   .public_key(key.public_key())
                   .serial_number(serial or x509.random_serial_number())
                   .not_valid_before(start + days[0] * DAY)
                   .not_valid_after(start + days[1] * DAY))
        if is_ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(is_ca, path_length), True)
        oids = {"client": [ExtendedKeyUsageOID.CLIENT_AUTH],
                "server": [ExtendedKeyUsageOID.SERVER_AUTH],
                "both": [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
                "other": [ExtendedKeyUsageOID.CODE_SIGNING], None: None}[purpose]
        if oids and usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(oids), False)
        if key_usage is not None:
            builder = builder.add_extension(key_usage, True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n)
                 for n in names]), False)
        kind = Authority if is_ca else Cert
        return kind(builder.sign(self.key, digest or hashes.SHA256()), key, self)

    def sub_authority(self, common_name="Intermediate CA", **options):
        return self.issue(common_name, is_ca=True, purpose=None, **options)

    def crl(self, revoked=(), days=(-1, 7), signer=None):
        """A revocation list in PEM that names these certificates."""
        builder = (x509.CertificateRevocationListBuilder()
                   .issuer_name(self.cert.subject)
                   .last_update(now() + days[0] * DAY)
                   .next_update(now() + days[1] * DAY))
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.cert.serial_number)
                .revocation_date(now() - DAY / 2).build())
        return pem(builder.sign((signer or self).key, hashes.SHA256()))


def authority(common_name="Test CA", days=(-1, 365)):
    """A self-signed root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = name_of(common_name, organization_name="nightjar tests")
    start = now()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(start + days[0] * DAY).not_valid_after(start + days[1] * DAY)
            .add_extension(x509.BasicConstraints(True, None), True)
            .sign(key, hashes.SHA256()))
    return Authority(cert, key)


def rsa_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


def client_context(ca=None, cert=None, tls13=None):
    """A client's SSL context; tls13 True or False pins the version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=pem(ca.cert).decode())
    if cert is not None:
        if cert.is_weak():
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(cert.crt_path, cert.key_path)
    if tls13 is True:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    elif tls13 is False:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
