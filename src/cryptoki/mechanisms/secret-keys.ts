import { wipe } from "../../bytes/index.ts";
import { hashLength, hkdfExpand, hkdfExtract, pbkdf2Hmac } from "../../crypto/index.ts";
import { CKK } from "../constants/ck.ts";
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, CryptokiError } from "../errors.ts";
import { cbc, ccm, ctr, ecb, gcm, keyWrap } from "./ciphers.ts";
import type { GenerationMechanism, GenerationRequest, KeySizes, SecretMechanism } from "./family.ts";
import { HASHES } from "./hashes.ts";
import { cmac, cmacGeneral, hmac, hmacGeneral } from "./mac.ts";
import {
  type HkdfParameters,
  invalid,
  MAX_ITERATIONS,
  readHkdfParameters,
  readNoParameter,
  readPbkdf2Parameters,
} from "./parameters.ts";

type Generate = GenerationMechanism["generate"];

/** Longer than any key. */
const MAX_KEY = 65_536;

/** CKA_VALUE_LEN random bytes. @param lengths The possible lengths; default: any. */
const ofAnyLength =
  (lengths?: readonly number[]): Generate =>
  async (request) => {
    readNoParameter(request.parameter);
    return request.random(requireLength(request, lengths));
  };

/** A DES key, with odd parity in each byte (FIPS 46-3). */
const desKey =
  (length: number): Generate =>
  async (request) => {
    readNoParameter(request.parameter);
    if (request.length !== undefined) requireLength(request, [length]);
    const key = await request.random(length);
    key.set(key.map(withOddParity));
    return key;
  };

/** CKM_PKCS5_PBKD2: a key derived from a password. */
const fromPassword: Generate = async (request) => {
  const { hash, password, salt, iterations } = readPbkdf2Parameters(request.parameter);
  try {
    const length = requireLength(request);
    // Each part of a hash's length takes all the iterations (RFC 8018 section 5.2).
    if (iterations * Math.ceil(length / hashLength(hash)) > MAX_ITERATIONS) {
      throw invalid(`${iterations} iterations are too many for a key of ${length} bytes`);
    }
    return await pbkdf2Hmac(hash, password, salt, iterations, length);
  } finally {
    wipe(password);
  }
};

function requireLength({ length }: GenerationRequest, lengths?: readonly number[]): number {
  if (length === undefined)
    throw new CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN must give the key's length");
  if (length < 1 || length > MAX_KEY || (lengths && !lengths.includes(length))) {
    const wanted = lengths?.join(", ") ?? `1 to ${MAX_KEY}`;
    throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, `CKA_VALUE_LEN is ${length}; such keys have ${wanted} bytes`);
  }
  return length;
}

function withOddParity(byte: number): number {
  const upper = byte & 0xfe;
  let parity = upper;
  for (const shift of [4, 2, 1]) parity ^= parity >> shift;
  return upper | (~parity & 1);
}

/** CKM_HKDF_DERIVE and CKM_HKDF_DATA (PKCS#11 3.1, HKDF mechanisms; RFC 5869). */
const hkdf: NonNullable<SecretMechanism["derive"]> = ({ value }, parameter, length, other) => {
  const { salt, ...parameters } = readHkdfParameters(parameter);
  // "The salt should be ignored if bExtract is false."
  const named = typeof salt === "number" && parameters.extract ? other(salt).value : salt;
  return Promise.resolve(derive(value, parameters, typeof named === "number" ? new Uint8Array() : named, length));
};

function derive(
  value: Uint8Array,
  { extract, expand, hash, info }: Omit<HkdfParameters, "salt">,
  salt: Uint8Array,
  length: number | undefined,
): Uint8Array {
  const wanted = length ?? hashLength(hash);
  if (!expand) {
    // "If bExpand is false ... the length of the key is that of the hash."
    if (wanted !== hashLength(hash))
      throw new CryptokiError(CKR.KEY_SIZE_RANGE, `extraction gives ${hashLength(hash)} bytes`);
    return hkdfExtract(hash, salt, value);
  }
  const key = extract ? hkdfExtract(hash, salt, value) : value;
  try {
    return asCallerError(CKR.KEY_SIZE_RANGE, () => hkdfExpand(hash, key, info, wanted));
  } finally {
    if (extract) wipe(key);
  }
}

/** In bytes, as in the standard for these mechanisms. */
const AES_SIZES: KeySizes = { min: 16, max: 32 };
const DES_SIZES: KeySizes = { min: 8, max: 8 };
const DES3_SIZES: KeySizes = { min: 16, max: 24 };
const ANY_SIZE: KeySizes = { min: 1, max: 65_536 };

const AES = { kind: "secret", keyTypes: [CKK.AES], sizes: AES_SIZES } as const;
const DES = { kind: "secret", keyTypes: [CKK.DES], sizes: DES_SIZES } as const;
const DES3 = { kind: "secret", keyTypes: [CKK.DES2, CKK.DES3], sizes: DES3_SIZES } as const;

const GENERATION: readonly GenerationMechanism[] = [
  {
    kind: "generation",
    type: CKM.GENERIC_SECRET_KEY_GEN,
    keyTypes: [CKK.GENERIC_SECRET],
    // This one is in bits (PKCS#11 3.1, Generic secret key generation).
    sizes: { min: 8, max: 8 * ANY_SIZE.max },
    generate: ofAnyLength(),
  },
  {
    kind: "generation",
    type: CKM.AES_KEY_GEN,
    keyTypes: [CKK.AES],
    sizes: AES_SIZES,
    generate: ofAnyLength([16, 24, 32]),
  },
  { kind: "generation", type: CKM.DES_KEY_GEN, keyTypes: [CKK.DES], sizes: DES_SIZES, generate: desKey(8) },
  {
    kind: "generation",
    type: CKM.DES2_KEY_GEN,
    keyTypes: [CKK.DES2],
    sizes: { min: 16, max: 16 },
    generate: desKey(16),
  },
  {
    kind: "generation",
    type: CKM.DES3_KEY_GEN,
    keyTypes: [CKK.DES3],
    sizes: { min: 24, max: 24 },
    generate: desKey(24),
  },
  { kind: "generation", type: CKM.HKDF_KEY_GEN, keyTypes: [CKK.HKDF], sizes: ANY_SIZE, generate: ofAnyLength() },
  ...HASHES.flatMap(({ hmacKey, hmacKeyGen }): GenerationMechanism[] =>
    hmacKeyGen === undefined
      ? []
      : [{ kind: "generation", type: hmacKeyGen, keyTypes: [hmacKey], sizes: ANY_SIZE, generate: ofAnyLength() }],
  ),
  {
    kind: "generation",
    type: CKM.PKCS5_PBKD2,
    keyTypes: [
      CKK.GENERIC_SECRET,
      CKK.AES,
      CKK.HKDF,
      CKK.DES,
      CKK.DES2,
      CKK.DES3,
      ...HASHES.map(({ hmacKey }) => hmacKey),
    ],
    sizes: ANY_SIZE,
    generate: fromPassword,
  },
];

const CIPHERS: readonly SecretMechanism[] = [
  { ...AES, type: CKM.AES_ECB, ...ecb("aes"), wraps: true },
  { ...AES, type: CKM.AES_CBC, ...cbc("aes", false), wraps: true },
  { ...AES, type: CKM.AES_CBC_PAD, ...cbc("aes", true), wraps: true },
  { ...AES, type: CKM.AES_CTR, ...ctr, wraps: true },
  { ...AES, type: CKM.AES_GCM, ...gcm, wraps: true },
  { ...AES, type: CKM.AES_CCM, ...ccm, wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP, ...keyWrap("plain"), wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP_PAD, ...keyWrap("padded"), wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP_KWP, ...keyWrap("padded"), wraps: true },
  { ...AES, type: CKM.AES_KEY_WRAP_PKCS7, ...keyWrap("pkcs7"), wraps: true },
  { ...AES, type: CKM.AES_CMAC, mac: cmac("aes") },
  { ...AES, type: CKM.AES_CMAC_GENERAL, mac: cmacGeneral("aes") },
  { ...DES, type: CKM.DES_ECB, ...ecb("3des"), wraps: true },
  { ...DES, type: CKM.DES_CBC, ...cbc("3des", false), wraps: true },
  { ...DES, type: CKM.DES_CBC_PAD, ...cbc("3des", true), wraps: true },
  { ...DES3, type: CKM.DES3_ECB, ...ecb("3des"), wraps: true },
  { ...DES3, type: CKM.DES3_CBC, ...cbc("3des", false), wraps: true },
  { ...DES3, type: CKM.DES3_CBC_PAD, ...cbc("3des", true), wraps: true },
  { ...DES3, type: CKM.DES3_CMAC, mac: cmac("3des") },
  { ...DES3, type: CKM.DES3_CMAC_GENERAL, mac: cmacGeneral("3des") },
];

const MACS: readonly SecretMechanism[] = HASHES.flatMap(({ hash, hmac: type, hmacGeneral: general, hmacKey }) => {
  const common = { kind: "secret", keyTypes: [CKK.GENERIC_SECRET, hmacKey], sizes: ANY_SIZE } as const;
  return [
    { ...common, type, mac: hmac(hash) },
    { ...common, type: general, mac: hmacGeneral(hash) },
  ];
});

/** The types of HKDF keys: the standard's own, and the types of derived keys. */
const HKDF = {
  kind: "secret",
  keyTypes: [CKK.HKDF, CKK.GENERIC_SECRET],
  sizes: { min: 1, max: 255 * hashLength("sha512") },
  derive: hkdf,
} as const;

/** The mechanisms with secret keys, and those that generate such keys, all on the host. */
export const SECRET_KEY_MECHANISMS: readonly (GenerationMechanism | SecretMechanism)[] = [
  ...GENERATION,
  ...CIPHERS,
  ...MACS,
  { ...HKDF, type: CKM.HKDF_DERIVE },
  { ...HKDF, type: CKM.HKDF_DATA, derivesData: true },
];
