"""Certificates for tests: an authority of one's own, and what it signs.

    ca = Authority(tmp_path / "ca")
    chain, key = ca.issue("mx.example.net")                       # files
    ca.issue("mx.example.net", days=-1)                           # expired
    ca.path                                                       # the authority's certificate: whom to trust
    ca.context("mx.example.net")                                  # an ssl.SSLContext for a server
    tlsa(chain, 3, 1, 1)                                          # "3 1 1 a0b1...": its TLSA record
"""
import datetime
import hashlib
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def other_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


class Authority:
    def __init__(self, directory, name="Test Authority"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of(name)
        self.certificate = self.build(self.name, self.key.public_key(), 365, [
            (x509.BasicConstraints(ca=True, path_length=None), True)])
        self.path = self.directory / "ca.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.issued = 0

    def build(self, subject, public_key, days, extensions):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=30))
                   .not_valid_after(now + datetime.timedelta(days=days)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, *names, days=30):
        """Files with the chain (the authority's own certificate last) and the key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.build(name_of(names[0]), key.public_key(), days, [
            (x509.SubjectAlternativeName([other_name(n) for n in names]), False)])
        self.issued += 1
        chain = self.directory / f"{self.issued}.pem"
        secret = self.directory / f"{self.issued}.key"
        pem = serialization.Encoding.PEM
        chain.write_bytes(certificate.public_bytes(pem) + self.certificate.public_bytes(pem))
        secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return chain, secret

    def context(self, *names, days=30):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*names, days=days))
        return context


def tlsa(chain, usage, selector, matching):
    """The record's data for the first certificate of the file, or for usage 2 the last."""
    pems = [p + b"-----END CERTIFICATE-----\n" for p in pathlib.Path(chain).read_bytes().split(b"-----END CERTIFICATE-----\n")[:-1]]
    certificate = x509.load_pem_x509_certificate(pems[-1 if usage == 2 else 0])
    data = certificate.public_bytes(serialization.Encoding.DER)
    if selector == 1:
        data = certificate.public_key().public_bytes(serialization.Encoding.DER,
                                                     serialization.PublicFormat.SubjectPublicKeyInfo)
    data = {0: lambda d: d.hex(), 1: lambda d: hashlib.sha256(d).hexdigest(),
            2: lambda d: hashlib.sha512(d).hexdigest()}[matching](data)
    return f"{usage} {selector} {matching} {data}"
