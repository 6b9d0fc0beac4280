import { type Certificate, derOid, parseCertificate } from "../../asn1/index.ts";
import { type CallOptions, memoizeAsync } from "../../async/index.ts";
import { concat, DataError, equalBytes } from "../../bytes/index.ts";
import {
  type CardCertificate,
  type CardData,
  type CardObject,
  type CardPrivateKey,
  type CardPublicKey,
  type CardToken,
  type KeyAttestation,
  type KeyUsage,
  UnsupportedError,
} from "../../card/index.ts";
import { digest } from "../../crypto/index.ts";
import { CKA_CRYPTOKI, CK_CERTIFICATE_CATEGORY, CK_SECURITY_DOMAIN, CKC, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import { type KeyKind, offeredForKey } from "../mechanisms/availability.ts";
import type { Token } from "../slots/token.ts";
import { privateKeyObject, publicKeyObject, storageAttributes, type VendorSources } from "./card-keys.ts";
import type { ObjectContents, ObjectLife, PrivateKey } from "./object-copy.ts";

/**
 * An X.509 certificate (PKCS#11 3.1, X.509 public key certificate objects).
 * @param all The objects of the token, its private keys at least.
 */
function certificateObject(
  object: CardCertificate,
  all: () => Promise<readonly CardObject[]>,
): Pick<ObjectContents, "attributes"> {
  const value = memoizeAsync(() => object.value());
  const parsed = memoizeAsync(async () => parseCertificate(await value()));
  const category = async (): Promise<number> => {
    const ofUser = (await all()).some((other) => other.class === "private-key" && equalBytes(other.id, object.id));
    if (ofUser) return CK_CERTIFICATE_CATEGORY.TOKEN_USER;
    return (await parsed()).authority ? CK_CERTIFICATE_CATEGORY.AUTHORITY : CK_CERTIFICATE_CATEGORY.UNSPECIFIED;
  };
  return {
    attributes: {
      ...storageAttributes(object),
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      // Being on a card does not make it trusted.
      [CKA.TRUSTED]: false,
      [CKA.CERTIFICATE_CATEGORY]: category,
      // The first three bytes of the SHA-1 hash of CKA_VALUE.
      [CKA.CHECK_VALUE]: async () => digest("sha1", await value()).slice(0, 3),
      [CKA.START_DATE]: async () => dateOrNone(await parsed(), "notBefore"),
      [CKA.END_DATE]: async () => dateOrNone(await parsed(), "notAfter"),
      [CKA.PUBLIC_KEY_INFO]: async () => (await parsed()).subjectPublicKeyInfo,
      [CKA.SUBJECT]: async () => (await parsed()).subject,
      [CKA.ID]: object.id,
      [CKA.ISSUER]: async () => (await parsed()).issuer,
      [CKA.SERIAL_NUMBER]: async () => (await parsed()).serialNumber,
      [CKA.VALUE]: value,
      [CKA.URL]: "",
      [CKA.HASH_OF_SUBJECT_PUBLIC_KEY]: new Uint8Array(),
      [CKA.HASH_OF_ISSUER_PUBLIC_KEY]: new Uint8Array(),
      [CKA.JAVA_MIDP_SECURITY_DOMAIN]: CK_SECURITY_DOMAIN.UNSPECIFIED,
      [CKA.NAME_HASH_ALGORITHM]: CKM.SHA_1,
      ...(object.url !== undefined && elsewhere(object.url)),
    },
  };
}

/**
 * An invalid time becomes the empty date, which is the standard's default, so that the rest of the template can be
 * read.
 */
function dateOrNone(certificate: Certificate, name: "notBefore" | "notAfter"): Date | null {
  try {
    return certificate[name];
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

/** Of a certificate that is available from a URL only the URL is known. */
function elsewhere(url: string): ObjectContents["attributes"] {
  const empty = new Uint8Array();
  const unknown = (): Promise<undefined> => Promise.resolve(undefined);
  return {
    [CKA.URL]: url,
    [CKA.VALUE]: empty,
    [CKA.SUBJECT]: empty,
    [CKA.ISSUER]: empty,
    [CKA.SERIAL_NUMBER]: empty,
    [CKA.PUBLIC_KEY_INFO]: empty,
    [CKA.CERTIFICATE_CATEGORY]: CK_CERTIFICATE_CATEGORY.UNSPECIFIED,
    [CKA.CHECK_VALUE]: unknown,
    [CKA.START_DATE]: unknown,
    [CKA.END_DATE]: unknown,
  };
}

/** A data object (PKCS#11 3.1, data objects). */
function dataObject(object: CardData): Pick<ObjectContents, "attributes"> {
  return {
    attributes: {
      ...storageAttributes(object),
      [CKA.CLASS]: CKO.DATA,
      [CKA.APPLICATION]: object.application,
      [CKA.OBJECT_ID]: object.objectId === undefined ? new Uint8Array() : derOid(object.objectId),
      [CKA.VALUE]: memoizeAsync(() => object.value()),
    },
  };
}

/**
 * An object of a card in PKCS#11's form.
 * @param life Whether the object has ended since.
 */
export function cardObject(object: CardObject, token: Token, life: Readonly<ObjectLife>): ObjectContents {
  return {
    ...contentsOf(object, token, life),
    private: object.private,
    isPresent: (search) => object.isPresent(search),
    card: object,
  };
}

function contentsOf(
  object: CardObject,
  { cardToken }: Token,
  life: Readonly<ObjectLife>,
): Pick<ObjectContents, "attributes" | "key"> {
  const allowedMechanisms = (kind: KeyKind, usage: KeyUsage): readonly number[] =>
    offeredForKey(cardToken, kind, usage);
  switch (object.class) {
    case "certificate":
      return certificateObject(object, () => cardToken.objects(["private-key"]));
    case "public-key":
      return publicKeyObject(
        object,
        allowedMechanisms,
        aboutKey(cardToken, () => privateHalf(cardToken, object)),
      );
    case "private-key": {
      const about = aboutKey(cardToken, () => Promise.resolve(object));
      return privateKeyObject(object, allowedMechanisms, about, cardKey(object, cardToken, life));
    }
    case "data":
      return dataObject(object);
  }
}

async function privateHalf(cardToken: CardToken, { id }: CardPublicKey): Promise<CardPrivateKey | undefined> {
  if (id.length === 0) return undefined;
  for (const object of await cardToken.objects(["private-key"])) {
    if (object.class === "private-key" && equalBytes(object.id, id)) return object;
  }
  return undefined;
}

/**
 * What a card tells of a private key and PKCS#11 has no attribute for. The public half shows it too: before a login, and to the security
 * officer.
 */
function aboutKey(cardToken: CardToken, privateKey: () => Promise<CardPrivateKey | undefined>): VendorSources {
  const attest = cardToken.attestKey?.bind(cardToken);
  const told = async (type: number): Promise<number | undefined> =>
    (await privateKey())?.vendorAttributes?.get(type)?.();
  const policies = [...(cardToken.newKeyAttributes ?? [])];
  const sources: Record<number, () => Promise<number | undefined>> = {};
  for (const type of policies) sources[type] = () => told(type);
  return {
    ...sources,
    ...(policies.length > 0 && { [CKA_CRYPTOKI.ORIGIN]: async () => originOf(await privateKey(), policies) }),
    ...(attest && {
      [CKA_CRYPTOKI.ATTESTATION]: async () => {
        const key = await privateKey();
        return key && (await attestation(() => attest(key)));
      },
    }),
  };
}

/** A card that tells of no policies may not tell where a key comes from either. */
async function originOf(key: CardPrivateKey | undefined, policies: readonly number[]): Promise<number | undefined> {
  if (!key) return undefined;
  if (typeof key.local === "function" ? await key.local() : key.local) return ORIGIN.GENERATED;
  for (const type of policies) if ((await key.vendorAttributes?.get(type)?.()) !== undefined) return ORIGIN.IMPORTED;
  return undefined;
}

/** Values of {@link CKA_CRYPTOKI}.ORIGIN. */
const ORIGIN = { GENERATED: 1, IMPORTED: 2 } as const;

async function attestation(attest: () => Promise<KeyAttestation>): Promise<Uint8Array | undefined> {
  try {
    const { certificate, chain } = await attest();
    return concat(certificate, ...chain);
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

function cardKey(
  object: CardPrivateKey,
  cardToken: CardToken,
  life: Readonly<ObjectLife>,
): Pick<PrivateKey, "use" | "authenticate"> {
  const authenticate = cardToken.authenticate?.bind(cardToken);
  return {
    use: (primitive, input, options) => {
      // An operation that began with the key before must not end with the one that took its place.
      if (life.ended) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
      return cardToken.use(object, primitive, input, options);
    },
    ...(authenticate && {
      authenticate: (pin: Uint8Array | null, options?: CallOptions) => {
        if (life.ended) throw new CryptokiError(CKR.KEY_HANDLE_INVALID);
        return authenticate(object, pin, options);
      },
    }),
  };
}
