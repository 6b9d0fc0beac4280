import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { derOid, parseDerCertificate } from "../../asn1/index.ts";
import { wipe } from "../../bytes/index.ts";
import { encodeEcParameters, encodeEcPoint, parsePublicKey } from "../../crypto/index.ts";
import { CKA, CKC, CKK, CKO, type Template } from "../../cryptoki/index.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { requireSigningKey } from "./signature.ts";

/** How the contents of a file become an object on a card. */
export type ImportType = "cert" | "private" | "public" | "data";

/** Reads a certificate in PEM or DER, for C_CreateObject. @throws {FileError} if the file holds none. */
export function certificateTemplate(file: string, bytes: Uint8Array): Template {
  const der = new Uint8Array(attempt(file, "certificate", () => new X509Certificate(bytes).raw));
  const { subject, issuer, serialNumber } = attempt(file, "certificate", () => parseDerCertificate(der));
  return {
    [CKA.CLASS]: CKO.CERTIFICATE,
    [CKA.CERTIFICATE_TYPE]: CKC.X_509,
    [CKA.SUBJECT]: subject,
    [CKA.ISSUER]: issuer,
    [CKA.SERIAL_NUMBER]: serialNumber,
    [CKA.VALUE]: der,
  };
}

/**
 * Reads a public key in PEM or DER (SubjectPublicKeyInfo).
 * @throws {FileError} if there is none, or its type is not supported.
 */
export function publicKeyTemplate(file: string, bytes: Uint8Array): Template {
  const key = attempt(file, "public key", () => openPublicKey(bytes));
  return { [CKA.CLASS]: CKO.PUBLIC_KEY, ...publicParts(file, key) };
}

/** @throws {UsageError} if `objectId` is not an object identifier such as 2.5.4.3. */
export function dataTemplate(value: Uint8Array, application: string, objectId?: string): Template {
  return {
    [CKA.CLASS]: CKO.DATA,
    ...(application !== "" && { [CKA.APPLICATION]: application }),
    ...(objectId !== undefined && { [CKA.OBJECT_ID]: readObjectId(objectId) }),
    [CKA.VALUE]: value,
  };
}

function readObjectId(dotted: string): Uint8Array {
  try {
    return derOid(dotted);
  } catch (cause) {
    throw new UsageError(`--object-id ${dotted}: not an object identifier such as 2.5.4.3`, { cause });
  }
}

/** Wipes the private values of a key template. */
export function wipeTemplate(template: Template): void {
  wipe(...Object.values(template).filter((value) => value instanceof Uint8Array));
}

function publicParts(file: string, key: KeyObject): Template {
  const parsed = attempt(file, "RSA or EC key of a type that cards support", () =>
    requireSigningKey(parsePublicKey(new Uint8Array(key.export({ format: "der", type: "spki" })))),
  );
  if (parsed.type === "edwards")
    throw new UsageError(`${file} holds an ${parsed.curve} key; such keys cannot be imported to a card`);
  if (parsed.type === "rsa") {
    return { [CKA.KEY_TYPE]: CKK.RSA, [CKA.MODULUS]: parsed.modulus, [CKA.PUBLIC_EXPONENT]: parsed.publicExponent };
  }
  return {
    [CKA.KEY_TYPE]: CKK.EC,
    [CKA.EC_PARAMS]: encodeEcParameters(parsed.curve),
    [CKA.EC_POINT]: encodeEcPoint(parsed.point),
  };
}

function openPublicKey(bytes: Uint8Array): KeyObject {
  const key = Buffer.from(bytes);
  return isPem(bytes) ? createPublicKey(key) : createPublicKey({ key, format: "der", type: "spki" });
}

const isPem = (bytes: Uint8Array): boolean => Buffer.from(bytes.subarray(0, 64)).includes("-----BEGIN ");

/** OpenSSL finds the format of a file by trial. */
function attempt<T>(file: string, what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new FileError(`${file} holds no ${what}, in PEM or DER`, { cause });
  }
}
