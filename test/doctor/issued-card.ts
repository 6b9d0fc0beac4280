import "reflect-metadata";
import type { webcrypto } from "node:crypto";
import { createHash, createPublicKey, KeyObject } from "node:crypto";
import * as x509 from "@peculiar/x509";
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { encodeTlv } from "../../src/apdu/index.ts";
import { derOctetString, derOid, derSequence, derUnsigned, encodeDer } from "../../src/asn1/index.ts";
import { concat, fromHex, utf8 } from "../../src/bytes/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";

/** Tags of data objects. */
export const TAG = {
  CHUID: 0x5fc102,
  FINGERPRINTS: 0x5fc103,
  SECURITY: 0x5fc106,
  FACE: 0x5fc108,
  CARD_AUTH: 0x5fc101,
} as const;

export const FASCN = fromHex("d13810d828ab6c10c339e5a1685a08c92ade0a6184e739c3e7");
/** The same card's number with another system code. */
export const OTHER_FASCN = fromHex("d13810d833ab6c10c339e5a1685a08c92ade0a6184e739c3e7");
const UUID = fromHex("94e28c6884db44db8a0ef502d6689b14");
export const OTHER_UUID = fromHex("03fa9eecf2834802901840a3b67e4d05");
export const PIN = "123456";

const DAY = 86_400_000;
const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const CONTENT_SIGNING = "2.16.840.1.101.3.6.7";

/** What is planted in a card; what is left out is as it should be. */
export interface Planted {
  readonly chuidFascn?: Uint8Array;
  readonly certificateFascn?: Uint8Array;
  readonly faceFascn?: Uint8Array;
  /** Of the photo's signature only. */
  readonly signedFascn?: Uint8Array;
  readonly certificateUuid?: Uint8Array;
  readonly faceUuid?: Uint8Array;
  /** Done to an object after everything was signed and hashed. */
  readonly alter?: readonly { readonly tag: number; readonly change: (content: Uint8Array) => Uint8Array }[];
  /** What the hash of the photo is made of. */
  readonly hashed?: (face: Uint8Array) => Uint8Array;
  readonly signerValid?: readonly [Date, Date];
  readonly signerPurpose?: string;
  readonly cardAuthValid?: readonly [Date, Date];
  /** The certificate of 9E is of another key. */
  readonly otherKey?: boolean;
  /** The issuing authority signs with another key than that of its certificate. */
  readonly otherAuthority?: boolean;
}

export interface IssuedCard {
  readonly card: VirtualPivCard;
  /** The authority's certificate, DER. */
  readonly authority: Uint8Array;
}

const now = Date.now();
const VALID = [new Date(now - DAY), new Date(now + 300 * DAY)] as const;
const EXPIRES = new Date(now + 600 * DAY).toISOString().slice(0, 10).replaceAll("-", "");

/** A PIV card as a federal issuer makes one: signed CHUID, photo, fingerprints and security object. */
export async function issueCard(planted: Planted = {}): Promise<IssuedCard> {
  const authority = await makePair();
  const authorityCertificate = await certify({
    subject: "CN=Authority",
    pair: authority,
    signer: authority,
    authority: true,
  });
  const issuing = planted.otherAuthority ? await makePair() : authority;
  const signerPair = await makePair();
  const signer = await certify({
    subject: "CN=Content Signer",
    pair: signerPair,
    signer: issuing,
    valid: planted.signerValid ?? VALID,
    purpose: planted.signerPurpose ?? CONTENT_SIGNING,
  });
  const cardAuth = await makePair();
  const cardCertificate = await certify({
    subject: "CN=Card",
    pair: planted.otherKey ? await makePair() : cardAuth,
    signer: issuing,
    valid: planted.cardAuthValid ?? VALID,
    names: alternativeNames(planted.certificateFascn ?? FASCN, planted.certificateUuid ?? UUID),
  });
  const sign = { certificate: signer, key: signerPair.privateKey };

  const head = concat(
    encodeTlv(0x30, planted.chuidFascn ?? FASCN),
    encodeTlv(0x34, UUID),
    encodeTlv(0x35, utf8(EXPIRES)),
  );
  const end = encodeTlv(0xfe);
  const chuidSignature = await signDetached(sign, concat(head, end), { carries: true });
  const chuid = concat(head, encodeTlv(0x3e, chuidSignature), end);
  const face = await biometric(sign, planted);
  const fingerprints = await biometric(sign, {});
  const hashes = new Map([
    [1, chuid],
    [2, fingerprints],
    [3, planted.hashed?.(face) ?? face],
  ]);
  const security = concat(
    encodeTlv(0xba, fromHex("013000 026010 036030")),
    encodeTlv(0xbb, await signDetached(sign, undefined, { content: ldsSecurityObject(hashes) })),
    end,
  );
  const objects = new Map<number, Uint8Array>([
    [TAG.CHUID, chuid],
    [TAG.FACE, face],
    [TAG.FINGERPRINTS, fingerprints],
    [TAG.SECURITY, security],
    [TAG.CARD_AUTH, concat(encodeTlv(0x70, cardCertificate), encodeTlv(0x71, Uint8Array.of(0)), end)],
  ]);
  for (const { tag, change } of planted.alter ?? []) objects.set(tag, change(objects.get(tag) ?? new Uint8Array()));
  const card = await VirtualPivCard.create({
    pin: PIN,
    guid: UUID,
    keys: {
      "9a": null,
      "9c": null,
      "9d": null,
      "9e": { privateKey: KeyObject.from(cardAuth.privateKey) },
    },
    // Its printed expiration date would be another one.
    objects: new Map([...objects, [0x5fc109, null] as const]),
  });
  return { card, authority: authorityCertificate };
}

/** A certificate for a P-256 key, which names no card. */
export async function selfSigned(key: KeyObject): Promise<Uint8Array> {
  const pair = {
    privateKey: await crypto.subtle.importKey("pkcs8", key.export({ format: "der", type: "pkcs8" }), EC, true, [
      "sign",
    ]),
    publicKey: await crypto.subtle.importKey(
      "spki",
      createPublicKey(key).export({ format: "der", type: "spki" }),
      EC,
      true,
      ["verify"],
    ),
  };
  return certify({ subject: "CN=Authority", pair, signer: pair });
}

const makePair = (): Promise<webcrypto.CryptoKeyPair> => crypto.subtle.generateKey(EC, true, ["sign", "verify"]);

interface Request {
  readonly subject: string;
  readonly pair: webcrypto.CryptoKeyPair;
  readonly signer: webcrypto.CryptoKeyPair;
  readonly valid?: readonly [Date, Date];
  readonly purpose?: string;
  readonly names?: Uint8Array;
  readonly authority?: boolean;
}

let serial = 1;

async function certify({
  subject,
  pair,
  signer,
  valid = VALID,
  purpose,
  names,
  authority,
}: Request): Promise<Uint8Array> {
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: (serial++).toString(16).padStart(4, "0"),
    subject,
    issuer: "CN=Authority",
    notBefore: valid[0],
    notAfter: valid[1],
    publicKey: pair.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: EC,
    extensions: [
      ...(authority ? [new x509.BasicConstraintsExtension(true, undefined, true)] : []),
      new x509.KeyUsagesExtension(
        authority ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      ...(purpose === undefined ? [] : [new x509.ExtendedKeyUsageExtension([purpose], true)]),
      ...(names ? [new x509.Extension("2.5.29.17", false, names)] : []),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

function alternativeNames(fascn: Uint8Array, uuid: Uint8Array): Uint8Array {
  const digits = Buffer.from(uuid).toString("hex");
  const text = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, "urn:uuid:$1-$2-$3-$4-$5");
  return derSequence(
    encodeDer(0xa0, derOid("2.16.840.1.101.3.6.6"), encodeDer(0xa0, derOctetString(fascn))),
    encodeDer(0x86, utf8(text)),
  );
}

interface Signer {
  readonly certificate: Uint8Array;
  readonly key: webcrypto.CryptoKey;
}

interface Signing {
  /** The signer's certificate is in it. */
  readonly carries?: boolean;
  readonly content?: Uint8Array;
  readonly fascn?: Uint8Array;
  readonly uuid?: Uint8Array;
}

async function signDetached(
  { certificate, key }: Signer,
  detached: Uint8Array | undefined,
  { carries, content, fascn, uuid }: Signing,
): Promise<Uint8Array> {
  const parsed = pkijs.Certificate.fromBER(Uint8Array.from(certificate).buffer);
  const signed = detached ?? content ?? new Uint8Array();
  const octets = (value: Uint8Array): asn1js.OctetString =>
    new asn1js.OctetString({ valueHex: Uint8Array.from(value).buffer });
  const attribute = (type: string, value: asn1js.BaseBlock): pkijs.Attribute =>
    new pkijs.Attribute({ type, values: [value] });
  const attributes = [
    attribute("1.2.840.113549.1.9.3", new asn1js.ObjectIdentifier({ value: "2.16.840.1.101.3.6.1" })),
    attribute("1.2.840.113549.1.9.4", octets(createHash("sha256").update(signed).digest())),
    ...(fascn ? [attribute("2.16.840.1.101.3.6.6", octets(fascn))] : []),
    ...(uuid ? [attribute("1.3.6.1.1.16.4", octets(uuid))] : []),
  ];
  const data = new pkijs.SignedData({
    version: 3,
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: "2.16.840.1.101.3.6.1",
      ...(content && { eContent: octets(content) }),
    }),
    signerInfos: [
      new pkijs.SignerInfo({
        version: 1,
        sid: new pkijs.IssuerAndSerialNumber({ issuer: parsed.issuer, serialNumber: parsed.serialNumber }),
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes }),
      }),
    ],
    ...(carries && { certificates: [parsed] }),
  });
  await data.sign(key, 0, "SHA-256", Uint8Array.from(signed).buffer);
  const info = new pkijs.ContentInfo({ contentType: "1.2.840.113549.1.7.2", content: data.toSchema(true) });
  return new Uint8Array(info.toSchema().toBER());
}

/** A CBEFF record (SP 800-76-2 table 14) of a few bytes, in its tag BC. */
async function biometric(signer: Signer, { faceFascn, signedFascn, faceUuid }: Planted): Promise<Uint8Array> {
  const record = utf8("a face or a finger");
  const fascn = faceFascn ?? FASCN;
  const time = (date: Date): Uint8Array =>
    Uint8Array.of(20, date.getUTCFullYear() % 100, date.getUTCMonth() + 1, date.getUTCDate(), 0, 0, 0, 0x5a);
  const header = (signatureLength: number): Uint8Array =>
    concat(
      fromHex("030d"),
      Uint8Array.of(0, 0, 0, record.length, signatureLength >> 8, signatureLength & 0xff),
      fromHex("001b0501"),
      time(VALID[0]),
      time(VALID[0]),
      time(VALID[1]),
      fromHex("000002 20 fe"),
      new Uint8Array(18),
      fascn,
      new Uint8Array(4),
    );
  const signing = { fascn: signedFascn ?? fascn, uuid: faceUuid ?? UUID };
  // An ECDSA signature is of one length or another: the header, which is signed, says which.
  for (;;) {
    const guess = (await signDetached(signer, record, signing)).length;
    const signature = await signDetached(signer, concat(header(guess), record), signing);
    if (signature.length === guess) return concat(encodeTlv(0xbc, header(guess), record, signature), encodeTlv(0xfe));
  }
}

function ldsSecurityObject(contents: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const groups = Array.from(contents, ([number, content]) =>
    derSequence(derUnsigned(Uint8Array.of(number)), derOctetString(createHash("sha256").update(content).digest())),
  );
  return derSequence(
    derUnsigned(new Uint8Array()),
    derSequence(derOid("2.16.840.1.101.3.4.2.1")),
    derSequence(...groups),
  );
}
