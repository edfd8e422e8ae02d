// A throw-away certificate authority and a server certificate for 127.0.0.1, made without any tool.
// It writes the few X.509 fields that OpenSSL and rustls insist on; it is no general encoder.

import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/**
 * @typedef {object} ServerIdentity
 * @property {string} key the server's private key, PEM
 * @property {string} certificate the server's certificate, PEM
 * @property {string} authority the certificate of the authority that signed it, PEM
 * @property {string} authorityFileName the name under which OpenSSL looks for it in a certificate directory
 */

const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
};

/** Object identifiers in their encoded form (RFC 5280 and RFC 5758 give the dotted names). */
const Oid = {
  commonName: Buffer.from('550403', 'hex'),
  basicConstraints: Buffer.from('551d13', 'hex'),
  keyUsage: Buffer.from('551d0f', 'hex'),
  extendedKeyUsage: Buffer.from('551d25', 'hex'),
  subjectAltName: Buffer.from('551d11', 'hex'),
  subjectKeyIdentifier: Buffer.from('551d0e', 'hex'),
  authorityKeyIdentifier: Buffer.from('551d23', 'hex'),
  serverAuth: Buffer.from('2b06010505070301', 'hex'),
  ecdsaWithSha256: Buffer.from('2a8648ce3d040302', 'hex'),
};

const YEAR_MS = 365 * 24 * 3600 * 1000;

/**
 * @param {number} tag
 * @param {Buffer[]} parts
 */
function der(tag, ...parts) {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}

/** @param {Buffer[]} parts */
const sequence = (...parts) => der(Tag.sequence, ...parts);
/** @param {Buffer} encoded */
const oid = (encoded) => der(Tag.objectIdentifier, encoded);
const yes = der(Tag.boolean, Buffer.from([0xff]));

/** @param {string} commonName */
const relativeName = (commonName) =>
  der(Tag.set, sequence(oid(Oid.commonName), der(Tag.utf8String, Buffer.from(commonName))));

/** @param {Date} date */
function time(date) {
  const digits = date.toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return der(Tag.generalizedTime, Buffer.from(`${digits}Z`));
}

/**
 * @param {Buffer} id
 * @param {Buffer} value
 */
const critical = (id, value) => sequence(oid(id), yes, der(Tag.octetString, value));
/**
 * @param {Buffer} id
 * @param {Buffer} value
 */
const extension = (id, value) => sequence(oid(id), der(Tag.octetString, value));

const authorityExtensions = [
  critical(Oid.basicConstraints, sequence(yes)),
  critical(Oid.keyUsage, der(Tag.bitString, Buffer.from([1, 0b0000_0110]))),
];
const serverExtensions = [
  critical(Oid.basicConstraints, sequence()),
  critical(Oid.keyUsage, der(Tag.bitString, Buffer.from([7, 0b1000_0000]))),
  extension(Oid.extendedKeyUsage, sequence(oid(Oid.serverAuth))),
  extension(
    Oid.subjectAltName,
    sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1]))),
  ),
];

/** @param {import('node:crypto').KeyObject} publicKey */
const keyIdentifier = (publicKey) =>
  createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();

/**
 * @param {{ subject: string, issuer: string, publicKey: import('node:crypto').KeyObject,
 *   signingKey: import('node:crypto').KeyObject, extensions: Buffer[] }} fields
 * @returns {string} PEM
 */
function certificate({ subject, issuer, publicKey, signingKey, extensions }) {
  const algorithm = sequence(oid(Oid.ecdsaWithSha256));
  const serial = randomBytes(8);
  serial[0] = 0x40 | (serial.readUInt8(0) & 0x3f); // positive, and no leading zero
  const now = Date.now();
  const body = sequence(
    der(0xa0, der(Tag.integer, Buffer.from([2]))), // version 3
    der(Tag.integer, serial),
    algorithm,
    sequence(relativeName(issuer)),
    sequence(time(new Date(now - YEAR_MS)), time(new Date(now + YEAR_MS))),
    sequence(relativeName(subject)),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        extension(Oid.subjectKeyIdentifier, der(Tag.octetString, keyIdentifier(publicKey))),
        extension(
          Oid.authorityKeyIdentifier,
          sequence(der(0x80, keyIdentifier(createPublicKey(signingKey)))),
        ),
        ...extensions,
      ),
    ),
  );
  const signature = sign('sha256', body, signingKey);
  const encoded = sequence(body, algorithm, der(Tag.bitString, Buffer.from([0]), signature));
  const lines = encoded.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/**
 * OpenSSL finds an authority in a directory by a hash of its subject: the first four bytes, little-endian, of
 * the SHA-1 of the names in lower case (`X509_NAME_hash`; `openssl rehash` makes such file names).
 *
 * @param {string} commonName
 */
function hashedFileName(commonName) {
  const digest = createHash('sha1').update(relativeName(commonName.toLowerCase())).digest();
  return `${digest.readUInt32LE(0).toString(16).padStart(8, '0')}.0`;
}

/**
 * A fresh server identity for `127.0.0.1` and `localhost`, valid from a year ago for two years.
 *
 * @returns {ServerIdentity}
 */
export function createServerIdentity() {
  const authorityName = 'agsight test authority';
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: certificate({
      subject: '127.0.0.1',
      issuer: authorityName,
      publicKey: server.publicKey,
      signingKey: authority.privateKey,
      extensions: serverExtensions,
    }),
    authority: certificate({
      subject: authorityName,
      issuer: authorityName,
      publicKey: authority.publicKey,
      signingKey: authority.privateKey,
      extensions: authorityExtensions,
    }),
    authorityFileName: hashedFileName(authorityName),
  };
}
